# SPDX-License-Identifier: GPL-2.0-or-later
"""The GeoPackage that holds the samples: its two tables, and the layers that show them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsProject,
    QgsProviderRegistry,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError

__all__ = ["AREAS", "CLASS_FIELD", "POINTS", "create_samples_file", "find_layer", "open_layer"]

POINTS = "samples"
AREAS = "sample_areas"
CLASS_FIELD = "class"

# Length 0 is unlimited text. `role` tells training samples from those kept for the assessment.
_FIELDS = "field=class:string(0)&field=confidence:double&field=role:string(0)&field=created:string(0)"
_GEOMETRY = {POINTS: "Point", AREAS: "Polygon"}

translate = QCoreApplication.translate


def create_samples_file(path: Path, crs: QgsCoordinateReferenceSystem) -> None:
    """Write an empty GeoPackage with the tables `samples` (points) and `sample_areas` (polygons).

    Raises:
        CanvasError: when it cannot be written; nothing is left then.
    """
    temporary = path.with_name(f".{path.stem}-new.gpkg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for table in (POINTS, AREAS):
            _write_table(temporary, table, crs)
        temporary.replace(path)
    except OSError as error:
        raise CanvasError(_cannot_write(path, error.strerror or str(error))) from error
    finally:
        for leftover in path.parent.glob(f"{temporary.name}*"):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _write_table(path: Path, table: str, crs: QgsCoordinateReferenceSystem) -> None:
    empty = QgsVectorLayer(f"{_GEOMETRY[table]}?{_FIELDS}", table, "memory")
    empty.setCrs(crs)
    actions = QgsVectorFileWriter.ActionOnExistingFile
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = table
    options.actionOnExistingFile = actions.CreateOrOverwriteLayer if path.exists() else actions.CreateOrOverwriteFile
    result = QgsVectorFileWriter.writeAsVectorFormatV3(empty, str(path), QgsCoordinateTransformContext(), options)
    if result[1]:
        raise OSError(None, result[1])


def open_layer(path: Path, table: str) -> QgsVectorLayer:
    """Return a layer of one table of the samples file.

    Raises:
        CanvasError: when the file has no such table, or the table has no class field.
    """
    layer = QgsVectorLayer(f"{path}|layername={table}", _title(table), "ogr")
    if not layer.isValid() or layer.fields().lookupField(CLASS_FIELD) < 0:
        sentence = translate(
            "Samples",
            "“{}” holds no table “{}” with a field “{}”, so it is not a samples file; "
            "rename or move it, and a new one is made.",
        )
        raise CanvasError(sentence.format(path, table, CLASS_FIELD))
    return layer


def find_layer(project: QgsProject, path: Path, table: str) -> QgsVectorLayer | None:
    """Return the project's layer of a table, so that it is not loaded twice."""
    for layer in project.mapLayers().values():
        if not isinstance(layer, QgsVectorLayer) or layer.providerType() != "ogr" or not layer.isValid():
            continue
        parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
        if parts.get("layerName") == table and Path(parts.get("path") or "") == path:
            return layer
    return None


def _title(table: str) -> str:
    return translate("Samples", "Samples: points") if table == POINTS else translate("Samples", "Samples: areas")


def _cannot_write(path: Path, reason: str) -> str:
    sentence = translate(
        "Samples", "The samples file “{}” cannot be written ({}); save the project in a folder of yours."
    )
    return sentence.format(path, reason.rstrip("."))
