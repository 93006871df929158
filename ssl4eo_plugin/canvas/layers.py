# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's layers in the project: one group, samples above the maps above the features."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsDataProvider, QgsMapLayer, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.styles import style_composite, style_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qgis.core import QgsLayerTreeGroup, QgsLayerTreeLayer
    from qgis.PyQt.QtGui import QColor

    from ssl4eo_plugin.canvas.feature_folder import FeatureFolder

__all__ = [
    "CERTAINTY",
    "FEATURES",
    "LIVE",
    "MAP",
    "POLYGONS",
    "SAMPLES",
    "add_beside",
    "add_features",
    "add_live",
    "add_samples",
    "find_layers",
    "remove_raster",
    "show_map",
]

# Kinds, from top to bottom of the group.
SAMPLES, LIVE, POLYGONS, MAP, CERTAINTY, FEATURES = "samples", "live", "polygons", "map", "certainty", "features"
_ORDER = (SAMPLES, LIVE, POLYGONS, MAP, CERTAINTY, FEATURES)
_KIND = "ssl4eo/kind"
# The feature set that a map was made of, by its folder's name.
_SET = "ssl4eo/feature_set"
# A feature set that was hidden when the live map came.
_MADE_WAY = "ssl4eo/made_way"

_GROUP = "SSL4EO"

translate = QCoreApplication.translate


def find_layers(project: QgsProject, kind: str, feature_set: str = "") -> list[QgsMapLayer]:
    """Return the project's layers of a kind, of one feature set or of all."""
    return [
        layer
        for layer in project.mapLayers().values()
        if layer.customProperty(_KIND) == kind and feature_set in ("", layer.customProperty(_SET))
    ]


def add_features(project: QgsProject, features: FeatureFolder) -> QgsRasterLayer:
    """Show a feature set as a colour composite of its first three components; one that is shown already stays.

    Raises:
        CanvasError: when QGIS cannot open the level.
    """
    for layer in find_layers(project, FEATURES, features.name):
        if Path(layer.source()) == features.picture:
            return layer
    layer = _open(features.picture, translate("Layers", "Features: {}").format(features.name))
    style_composite(layer)
    _add(project, layer, FEATURES, features.name)
    return layer


def add_samples(project: QgsProject, layers: list[QgsMapLayer]) -> None:
    """Show the samples layers, the first on top, unless the project has them."""
    for layer in reversed(layers):
        if layer.id() not in project.mapLayers():
            _add(project, layer, SAMPLES, "")


def add_live(project: QgsProject, layer: QgsRasterLayer, feature_set: str) -> None:
    """Show the live map beneath the samples and above the map that was made last.

    Feature sets are hidden once, so that what shows through is the image; who shows them again keeps them.
    """
    _add(project, layer, LIVE, feature_set)
    for features in find_layers(project, FEATURES):
        node = project.layerTreeRoot().findLayer(features.id())
        if node is not None and not features.customProperty(_MADE_WAY):
            features.setCustomProperty(_MADE_WAY, True)
            node.setItemVisibilityChecked(False)


def add_beside(project: QgsProject, layer: QgsMapLayer, kind: str, feature_set: str) -> QgsLayerTreeLayer:
    """Show what comes beside a map, its polygons or how sure it is, in its place in the group."""
    return _add(project, layer, kind, feature_set)


def show_map(
    project: QgsProject, path: Path, feature_set: str, names: Mapping[int, str], colors: Mapping[str, QColor]
) -> tuple[QgsRasterLayer, Path | None]:
    """Show a class map in the place of the last one of the same feature set.

    Returns:
        The layer, and the file it showed before.

    Raises:
        CanvasError: when QGIS cannot open the map; the last one stays then.
    """
    title = translate("Layers", "Land cover: {}").format(feature_set)
    new = _open(path, title)
    for layer in find_layers(project, MAP, feature_set):
        before = Path(layer.source())
        layer.setDataSource(str(path), layer.name(), "gdal", QgsDataProvider.ProviderOptions())
        style_map(layer, names, colors)
        return layer, before
    style_map(new, names, colors)
    _add(project, new, MAP, feature_set)
    return new, None


def remove_raster(path: Path) -> None:
    """Delete a raster and what GDAL and QGIS put beside it; what cannot be deleted stays."""
    for beside in (path, path.with_name(f"{path.name}.aux.xml"), path.with_suffix(".qml")):
        with contextlib.suppress(OSError):
            beside.unlink()


def _open(path: Path, title: str) -> QgsRasterLayer:
    layer = QgsRasterLayer(str(path), title, "gdal")
    if not layer.isValid():
        sentence = translate("Layers", "QGIS cannot open “{}”; check whether the file is still there.")
        raise CanvasError(sentence.format(path))
    return layer


def _add(project: QgsProject, layer: QgsMapLayer, kind: str, feature_set: str) -> QgsLayerTreeLayer:
    layer.setCustomProperty(_KIND, kind)
    layer.setCustomProperty(_SET, feature_set)
    project.addMapLayer(layer, False)
    group = _group(project)
    above = [
        node
        for node in group.findLayers()
        if node.layer() is not None and node.layer().customProperty(_KIND) in _ORDER[: _ORDER.index(kind)]
    ]
    node = group.insertLayer(len(above), layer)
    # The bands of a composite say nothing; the classes of samples and maps are the legend.
    node.setExpanded(kind != FEATURES)
    if len(group.children()) == 1:
        # A view cannot open a group that is empty yet, so it is told again.
        group.setExpanded(False)
        group.setExpanded(True)
    return node


def _group(project: QgsProject) -> QgsLayerTreeGroup:
    root = project.layerTreeRoot()
    return root.findGroup(_GROUP) or root.insertGroup(0, _GROUP)
