# SPDX-License-Identifier: GPL-2.0-or-later
"""Gives the backend, which reads files, what QGIS holds as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsFeatureSink,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["class_colors", "raster_path", "write_samples"]

translate = QCoreApplication.translate


def raster_path(layer: QgsRasterLayer) -> str:
    """Return what GDAL opens for a raster layer: a file, or one of its data sets.

    Raises:
        QgsProcessingException: When the layer does not come from a file.
    """
    if layer.providerType() != "gdal":
        sentence = translate(
            "Sources",
            "The layer “{}” comes from {}, not from a file; save its values as a GeoTIFF first.",
        )
        raise QgsProcessingException(sentence.format(layer.name(), layer.providerType()))
    parts = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    # A plain file comes apart into its path; a data set inside a file (GDAL_SUBDATASET) only works whole.
    return layer.source() if parts.get("layerName") else str(parts.get("path") or layer.source())


def write_samples(
    source: QgsProcessingFeatureSource,
    path: Path,
    transform_context: QgsCoordinateTransformContext,
    feedback: QgsProcessingFeedback,
) -> Path:
    """Write the features a layer shows (its selection, filter and unsaved edits included) to a GeoPackage.

    Raises:
        QgsProcessingException: When it cannot be written.
    """
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = "samples"
    # A field named like the GeoPackage's own key would be refused; the key itself carries nothing.
    fields = source.fields()
    if (key := fields.lookupField("fid")) >= 0:
        fields.remove(key)
    writer = QgsVectorFileWriter.create(
        str(path), fields, source.wkbType(), source.sourceCrs(), transform_context, options
    )
    names = [field.name() for field in fields]
    for feature in source.getFeatures():
        if feedback.isCanceled():
            break
        values = [feature[name] for name in names]
        feature.setFields(fields, True)
        feature.setAttributes(values)
        writer.addFeature(feature, QgsFeatureSink.Flag.FastInsert)
    message = writer.errorMessage()
    del writer
    if message:
        sentence = translate("Sources", "The samples cannot be written to “{}” ({}); free some space and try again.")
        raise QgsProcessingException(sentence.format(path, message.rstrip(".")))
    return path


def class_colors(layer: QgsVectorLayer, field: str) -> dict[str, str]:
    """Return the colours a layer is drawn in by `field`, as `{"forest": "#1b7837"}`; {} when by another."""
    renderer = layer.renderer()
    if renderer is None or renderer.type() != "categorizedSymbol" or renderer.classAttribute() != field:
        return {}
    colors = {}
    # In one go: a category is a copy, and its symbol is gone with it.
    for category in renderer.categories():
        if category.value() not in (None, "") and category.symbol() is not None:
            colors[str(category.value())] = category.symbol().color().name()
    return colors
