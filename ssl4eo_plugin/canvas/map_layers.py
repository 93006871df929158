# SPDX-License-Identifier: GPL-2.0-or-later
"""The layers of what comes beside a class map: its polygons above it, how sure it is beneath it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsProject, QgsProviderRegistry, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.styles import style_certainty

if TYPE_CHECKING:
    from qgis.core import QgsMapLayer

__all__ = ["file_of", "show_beside"]

# The table that the backend writes polygons to; its style is in the file.
_TABLE = "classes"

translate = QCoreApplication.translate


def file_of(layer: QgsMapLayer) -> Path:
    """Return the file that a layer shows."""
    parts = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source())
    return Path(parts.get("path") or layer.source())


def show_beside(project: QgsProject, kind: str, path: Path | None, feature_set: str) -> list[Path]:
    """Show the polygons or the certainty of a map in the place of those of the last one.

    Args:
        project: The project.
        kind: `layers.POLYGONS` or `layers.CERTAINTY`.
        path: The file; None when the new map has none.
        feature_set: The folder's name, which the layer carries.

    Returns:
        The files that were shown before.

    Raises:
        CanvasError: when QGIS cannot open the file.
    """
    new = _open(kind, path, feature_set) if path is not None else None
    before = []
    for layer in layers.find_layers(project, kind, feature_set):
        before.append(file_of(layer))
        project.removeMapLayer(layer.id())
    if new is not None:
        node = layers.add_beside(project, new, kind, feature_set)
        # Certainty is looked at now and then, and its legend is long.
        node.setItemVisibilityChecked(kind == layers.POLYGONS)
        node.setExpanded(False)
    return before


def _open(kind: str, path: Path, feature_set: str) -> QgsMapLayer:
    if kind == layers.POLYGONS:
        title = translate("Layers", "Polygons: {}").format(feature_set)
        layer = QgsVectorLayer(f"{path}|layername={_TABLE}", title, "ogr")
    else:
        layer = QgsRasterLayer(str(path), translate("Layers", "Probability in %: {}").format(feature_set), "gdal")
    if not layer.isValid():
        sentence = translate("Layers", "QGIS cannot open “{}”; check whether the file is still there.")
        raise CanvasError(sentence.format(path))
    if kind == layers.CERTAINTY:
        style_certainty(layer)
    return layer
