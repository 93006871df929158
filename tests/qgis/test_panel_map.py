# SPDX-License-Identifier: GPL-2.0-or-later
"""The Map step with the real backend: classify, classify again, save, come back, and fail without harm."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from osgeo import gdal, ogr
from qgis.core import QgsGeometry, QgsPalettedRasterRenderer, QgsPointXY, QgsProject

from ssl4eo_plugin.canvas.feature_folder import FeatureFolder
from ssl4eo_plugin.engine.client import Client
from tests.qgis.canvas_helpers import UTM
from tests.qgis.panel_helpers import serve_until, told

# Places of three kinds of land use in the patch, from the OpenStreetMap polygons beside the scene.
COLORS = {"forest": "#1b7837", "field": "#d9b365", "water": "#2166ac"}
USES = {"forest": "forest", "field": "farm", "water": "water"}


@pytest.fixture(scope="session")
def places(osm, features) -> dict[str, list[QgsPointXY]]:
    """Points inside the polygons of each kind, three per kind at most."""
    encoded = FeatureFolder.open(features)
    found: dict[str, list[QgsPointXY]] = {name: [] for name in USES}
    dataset = ogr.Open(str(osm))
    for feature in dataset.GetLayer(0):
        shape = QgsGeometry.fromWkt(feature.GetGeometryRef().ExportToWkt())
        place = shape.pointOnSurface()
        for name, use in USES.items():
            if feature["fclass"] == use and len(found[name]) < 3 and encoded.contains(place, UTM):
                found[name].append(place.asPoint())
    return {name: points for name, points in found.items() if points}


@pytest.fixture
def page(dock, encoded, places):
    """The Map step with samples of at least two classes."""
    assert len(places) >= 2
    dock.features.use(encoded)
    store = dock.state.ensure_store()
    for name, points in places.items():
        store.add_class(name, None)
        dock.labels.recolor_class(name, COLORS[name])
        for point in points:
            store.add(QgsGeometry.fromPointXY(point), UTM, name)
    assert dock.show_step("map")
    return dock.map


def classify(page) -> dict:
    result, failed = told(page, page.classify, "classified")
    assert failed is None
    return result


def value_at(path: str, point: QgsPointXY) -> int:
    dataset = gdal.Open(path)
    west, across, _zero, north, _zero, down = dataset.GetGeoTransform()
    pixel = dataset.GetRasterBand(1).ReadAsArray(
        int((point.x() - west) / across), int((point.y() - north) / down), 1, 1
    )
    return int(pixel[0, 0])


def test_what_is_missing_is_said_step_by_step(dock, encoded, places):
    page = dock.map
    assert page.missing() == "Encode an image first."
    dock.features.use(encoded)
    assert page.missing() == "Label a few places of at least two classes first."
    store = dock.state.ensure_store()
    for name in ("forest", "water"):
        store.add_class(name)
    point = QgsGeometry.fromPointXY(next(iter(places.values()))[0])
    store.add(point, UTM, "forest")
    assert page.missing() == page.samplesFacts.text() == "Only one class has samples; label a second one."
    assert not page.job.button.isEnabled()
    assert not dock.show_step("map")
    _none, sentence = told(page, page.classify, "classified")
    assert sentence == page.missing()
    store.add(point, UTM, "water")
    assert page.missing() == ""
    assert page.job.button.isEnabled()
    assert dock.show_step("map")


def test_classes_without_samples_are_named(page, dock):
    dock.labels.add_class("bare soil")
    assert "Without samples, so not in the map: bare soil." in page.samplesFacts.text()


def test_a_map_with_names_and_colours_comes_of_the_samples(page, dock, places, encoded):
    result = classify(page)
    assert set(result["classes"].values()) == set(places)
    layer = page.layer()
    assert layer.name() == "Land cover: havel-1"
    assert layer.source() == result["map"] == str(encoded.with_name("havel-1-landcover-1.tif"))
    assert isinstance(layer.renderer(), QgsPalettedRasterRenderer)
    shown = {entry.label: entry.color.name() for entry in layer.renderer().classes()}
    assert shown == {name: COLORS[name] for name in places}
    numbers = {name: int(number) for number, name in result["classes"].items()}
    hits = [value_at(result["map"], point) == numbers[name] for name, points in places.items() for point in points]
    assert sum(hits) >= 0.7 * len(hits)
    assert page.result == result
    samples = sum(map(len, places.values()))
    assert f"on {samples} samples" in page.facts.text()
    assert [page.legend.item(row).text() for row in range(page.legend.count())] == list(result["classes"].values())
    assert not page.card.isHidden()


def test_the_classifier_that_was_chosen_is_used(page):
    page.set_head("logistic")
    assert classify(page)["head"] == "logistic"
    assert page.facts.text().startswith("Logistic regression on")


def test_classifying_again_replaces_the_map_and_its_file(page, dock):
    first = classify(page)["map"]
    layer = page.layer()
    page.opacityBox.setOpacity(0.3)
    assert layer.opacity() == pytest.approx(0.3)
    second = classify(page)["map"]
    assert page.layer() is layer
    assert layer.source() == second != first
    assert layer.opacity() == pytest.approx(0.3)
    assert not Path(first).exists()
    assert Path(second).exists()


def test_a_map_that_the_saved_project_shows_stays_until_the_project_is_saved_again(page, tmp_path):
    first = Path(classify(page)["map"])
    QgsProject.instance().write(str(tmp_path / "job.qgz"))
    classify(page)
    assert first.exists()
    QgsProject.instance().write()
    assert not first.exists()


def test_colours_of_the_classes_reach_the_map(page, dock):
    classify(page)
    name = next(iter(dock.labels.classes()))
    dock.labels.recolor_class(name, "#ff00ff")
    shown = {entry.label: entry.color.name() for entry in page.layer().renderer().classes()}
    assert shown[name] == "#ff00ff"


def test_a_saved_copy_carries_names_and_colours(page, tmp_path):
    result = classify(page)
    assert page.save_as(tmp_path / "copy.tif")
    copy = gdal.Open(str(tmp_path / "copy.tif"))
    assert copy.GetMetadataItem("CLASS_NAMES") == gdal.Open(result["map"]).GetMetadataItem("CLASS_NAMES")
    assert copy.GetRasterBand(1).GetColorTable() is not None
    assert (tmp_path / "copy.qml").exists()
    assert page.note.sentence() == "Saved copy.tif and its style."


def test_a_copy_that_cannot_be_written_is_one_sentence(page, tmp_path):
    result = classify(page)
    assert not page.save_as(tmp_path / "no" / "copy.tif")
    assert "cannot be saved" in page.note.sentence()
    assert not page.save_as(result["map"])
    assert Path(result["map"]).stat().st_size > 0


def test_a_project_comes_back_with_features_samples_and_map(page, dock, encoded, tmp_path):
    result, counts = classify(page), dock.labels.counts()
    project = QgsProject.instance()
    project.write(str(tmp_path / "job.qgz"))
    project.clear()
    assert (dock.step(), dock.state.features, dock.state.store, dock.map.layer()) == ("imagery", None, None, None)
    assert project.read(str(tmp_path / "job.qgz"))
    assert dock.step() == "map"
    assert dock.state.features.path == encoded
    assert dock.labels.counts() == counts
    assert dock.labels.classes()["forest"].name() == COLORS["forest"]
    assert page.result == result
    assert not project.isDirty()
    assert len(project.mapLayersByName("Land cover: havel-1")) == 1


def test_a_backend_that_dies_leaves_map_and_samples_and_says_so(page, dock, panel_backend, monkeypatch):
    first, counts = classify(page)["map"], dock.labels.counts()
    submit = Client.submit

    def submit_and_die(client, kind, params):
        job = submit(client, kind, params)
        os.kill(panel_backend.pid, signal.SIGKILL)
        return job

    with monkeypatch.context() as patch:
        patch.setattr(Client, "submit", submit_and_die)
        _none, sentence = told(page, page.classify, "classified")
    assert "stopped" in sentence
    assert (page.note.sentence(), page.note.level) == (sentence, "error")
    assert page.layer().source() == first
    assert page.layer().isValid()
    assert dock.labels.counts() == counts
    assert not page.running()
    assert classify(page)["map"] != first


def test_a_map_made_for_another_project_stays_out_of_this_one(page, dock):
    page.classify()
    QgsProject.instance().clear()
    serve_until(lambda: not page.running())
    assert QgsProject.instance().mapLayers() == {}
    assert "The map of the last project is in" in page.note.sentence()


def test_shutting_down_gives_the_canvas_back_and_ends_the_task(page, dock):
    tool = dock.state.canvas.mapTool()
    dock.labels.activate_tool("point")
    assert dock.state.canvas.mapTool() is not tool
    before = len(dock.state.canvas.scene().items())
    page.classify()
    dock.shutdown()
    assert dock.state.canvas.mapTool() is tool
    assert len(dock.state.canvas.scene().items()) < before
    assert not dock.state.runner.busy()
