# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers of real feature sets and maps: how they are drawn, where they stand, and what a new map replaces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from qgis.core import (
    QgsContrastEnhancement,
    QgsGeometry,
    QgsMultiBandColorRenderer,
    QgsPalettedRasterRenderer,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.feature_folder import FeatureFolder
from ssl4eo_plugin.canvas.styles import recolor_map, style_image
from tests.qgis.canvas_helpers import UTM
from tests.qgis.helpers import PATCH_BBOX


@pytest.fixture
def project(qgis_new_project):
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def feature_set(features):
    return FeatureFolder.open(features)


@pytest.fixture(scope="session")
def class_map(run_backend, features, osm, tmp_path_factory):
    """A class map that the real backend made, and what it printed."""
    path = tmp_path_factory.mktemp("map") / "map.tif"
    return run_backend("classify", features, osm, path, "--class-field", "fclass", "--head", "lda", "--json")


def names_of(result: dict) -> dict[int, str]:
    return {int(number): name for number, name in result["classes"].items()}


def test_a_feature_set_knows_its_place_and_origin(feature_set, scene):
    extent = feature_set.extent
    assert (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()) == PATCH_BBOX
    west, south, east, north = PATCH_BBOX
    assert (feature_set.width, feature_set.height) == ((east - west) / 10, (north - south) / 10)
    assert feature_set.crs == UTM
    assert feature_set.scene == scene
    assert not feature_set.simulated
    assert feature_set.picture.name == "level_2.tif"


@pytest.mark.parametrize(("right", "up", "inside"), [(1, 1, True), (-1, 1, False), (1, -1, False), (-1, -1, False)])
def test_a_feature_set_knows_what_it_contains(feature_set, right, up, inside):
    x, y = PATCH_BBOX[0] + right, PATCH_BBOX[1] + up
    assert feature_set.contains(QgsGeometry.fromPointXY(QgsPointXY(x, y)), UTM) is inside


@pytest.mark.parametrize("content", [None, "{", "[]", '{"properties": {}}'])
def test_a_folder_without_features_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "item.json").write_text(content)
    with pytest.raises(CanvasError, match="is not a feature set"):
        FeatureFolder.open(tmp_path)


def test_features_are_a_stretched_composite_of_the_first_three_components(project, feature_set):
    layer = layers.add_features(project, feature_set)
    assert layer.name() == f"Features: {feature_set.name}"
    renderer = layer.renderer()
    assert isinstance(renderer, QgsMultiBandColorRenderer)
    assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (1, 2, 3)
    stretch = QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
    for band, enhancement in enumerate(
        (renderer.redContrastEnhancement(), renderer.greenContrastEnhancement(), renderer.blueContrastEnhancement()), 1
    ):
        assert enhancement.contrastEnhancementAlgorithm() == stretch
        statistics = layer.dataProvider().bandStatistics(band)
        assert statistics.minimumValue < enhancement.minimumValue() < enhancement.maximumValue()
        assert enhancement.maximumValue() < statistics.maximumValue


def test_a_feature_set_is_shown_once(project, feature_set):
    assert layers.add_features(project, feature_set) is layers.add_features(project, feature_set)
    assert len(project.mapLayers()) == 1


def test_the_group_holds_samples_above_the_map_above_the_features(project, feature_set, class_map, tmp_path):
    names = names_of(class_map)
    layers.show_map(project, Path(class_map["map"]), feature_set.name, names, {})
    points = QgsVectorLayer("Point?crs=EPSG:32633&field=class:string", "points", "memory")
    areas = QgsVectorLayer("Polygon?crs=EPSG:32633&field=class:string", "areas", "memory")
    layers.add_features(project, feature_set)
    layers.add_samples(project, [points, areas])
    group = project.layerTreeRoot().findGroup("SSL4EO")
    kinds = [node.layer().customProperty("ssl4eo/kind") for node in group.findLayers()]
    assert kinds == ["samples", "samples", "map", "features"]
    assert group.findLayers()[0].layer() is points


def test_a_map_has_its_classes_names_and_colours(project, feature_set, class_map, tmp_path):
    names, colors = names_of(class_map), {"forest": QColor("#1b7837"), "water": QColor("#2166ac")}
    layer, before = layers.show_map(project, Path(class_map["map"]), feature_set.name, names, colors)
    assert before is None
    assert layer.name() == f"Land cover: {feature_set.name}"
    renderer = layer.renderer()
    assert isinstance(renderer, QgsPalettedRasterRenderer)
    assert {int(entry.value): entry.label for entry in renderer.classes()} == names
    shown = {entry.label: entry.color.name() for entry in renderer.classes()}
    assert (shown["forest"], shown["water"]) == ("#1b7837", "#2166ac")
    # The others have the colours that the file's own table gives them.
    in_file = {int(item.value): item.color.name() for item in layer.dataProvider().colorTable(1)}
    rest = {number: name for number, name in names.items() if name not in colors}
    assert rest
    assert {shown[name] for name in rest.values()} == {in_file[number] for number in rest}


def test_a_new_map_takes_the_place_of_the_last(project, feature_set, class_map, tmp_path):
    names = names_of(class_map)
    first = Path(class_map["map"])
    second = shutil.copyfile(first, tmp_path / "second.tif")
    layer, _none = layers.show_map(project, first, feature_set.name, names, {})
    layer.setOpacity(0.4)
    project.layerTreeRoot().findLayer(layer.id()).setItemVisibilityChecked(False)
    again, before = layers.show_map(project, second, feature_set.name, names, {"forest": QColor("red")})
    assert again is layer
    assert before == first
    assert layer.source() == str(second)
    assert layer.isValid()
    assert layer.opacity() == pytest.approx(0.4)
    assert not project.layerTreeRoot().findLayer(layer.id()).isVisible()
    assert len(project.mapLayers()) == 1
    assert {entry.label: entry.color.name() for entry in layer.renderer().classes()}["forest"] == "#ff0000"


def test_a_map_that_cannot_be_opened_leaves_the_last_in_place(project, feature_set, class_map, tmp_path):
    names = names_of(class_map)
    layer, _none = layers.show_map(project, Path(class_map["map"]), feature_set.name, names, {})
    with pytest.raises(CanvasError, match=r"nothing\.tif"):
        layers.show_map(project, tmp_path / "nothing.tif", feature_set.name, names, {})
    assert layer.source() == class_map["map"]
    assert layer.isValid()


def test_a_map_follows_the_colours_of_the_classes(project, feature_set, class_map, tmp_path):
    names = names_of(class_map)
    layer, _none = layers.show_map(project, Path(class_map["map"]), feature_set.name, names, {})
    layer.setOpacity(0.5)
    recolor_map(layer, {"water": QColor("#00ffff"), "unknown": QColor("black")})
    shown = {entry.label: entry.color.name() for entry in layer.renderer().classes()}
    assert shown["water"] == "#00ffff"
    assert set(shown) == set(names.values())
    assert layer.opacity() == pytest.approx(0.5)


def test_an_image_is_shown_in_true_colour_by_the_names_of_its_bands(run_backend, scene):
    bands = run_backend("inspect", scene, "--json")["bands"]
    layer = QgsRasterLayer(scene, "image", "gdal")
    assert style_image(layer, bands)
    renderer = layer.renderer()
    assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (4, 3, 2)
    assert not style_image(layer, [None] * len(bands))


def test_a_radar_image_is_shown_by_its_polarisations(scene):
    layer = QgsRasterLayer(scene, "image", "gdal")
    assert style_image(layer, [None, "VH", None, "VV"])
    renderer = layer.renderer()
    assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (4, 2, 4)


def test_removing_a_map_removes_what_lies_beside_it(tmp_path):
    for name in ("map.tif", "map.tif.aux.xml", "map.qml", "map-2.tif"):
        (tmp_path / name).write_text(json.dumps(name))
    layers.remove_raster(tmp_path / "map.tif")
    layers.remove_raster(tmp_path / "map.tif")
    assert [entry.name for entry in tmp_path.iterdir()] == ["map-2.tif"]
