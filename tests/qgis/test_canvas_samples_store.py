# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples: on disk at once, in the right place, in the right class, and back again."""

from __future__ import annotations

import sqlite3

import pytest
from osgeo import ogr
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRendererCategory,
)
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QApplication

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.samples_store import SamplesStore
from ssl4eo_plugin.canvas.symbols import point_symbol
from tests.qgis.canvas_helpers import UTM, on_disk

GREEN, BLUE = QColor("#1b7837"), QColor("#2166ac")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job_samples.gpkg"


@pytest.fixture
def store(path, qgis_new_project):
    store = SamplesStore(path, UTM, QgsProject.instance())
    QgsProject.instance().addMapLayers([store.points, store.areas])
    store.add_class("forest", GREEN)
    store.add_class("water", BLUE)
    yield store
    store.close()
    QgsProject.instance().clear()


def point(x: float, y: float) -> QgsGeometry:
    return QgsGeometry.fromPointXY(QgsPointXY(x, y))


def square(x: float, y: float, side: float) -> QgsGeometry:
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return QgsGeometry.fromPolygonXY([[QgsPointXY(*corner) for corner in corners]])


def test_a_sample_is_on_disk_when_the_call_returns(store, path):
    store.add(point(334000, 5816000), UTM, "forest")
    (row,) = on_disk(path, "samples")
    assert (row["class"], row["role"], row["confidence"], row["wkt"]) == (
        "forest", "train", 1.0, "POINT (334000 5816000)",
    )  # fmt: skip
    assert row["created"][:4].isdigit()
    assert row["created"].endswith("+00:00")
    store.add(square(334000, 5816000, 100), UTM, "water")
    (row,) = on_disk(path, "sample_areas")
    assert row["class"] == "water"
    assert store.counts() == {"forest": 1, "water": 1}


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:25832"])
def test_a_sample_lands_where_it_was_clicked_in_any_crs(store, path, crs):
    clicked = QgsCoordinateReferenceSystem(crs)
    there = QgsCoordinateTransform(UTM, clicked, QgsProject.instance()).transform(QgsPointXY(334567, 5816789))
    store.add(QgsGeometry.fromPointXY(there), clicked, "forest")
    stored = ogr.CreateGeometryFromWkt(on_disk(path, "samples")[0]["wkt"])
    assert stored.GetX() == pytest.approx(334567, abs=0.01)
    assert stored.GetY() == pytest.approx(5816789, abs=0.01)
    store.add(square(there.x(), there.y(), 0.001 if clicked.isGeographic() else 100), clicked, "water")
    assert on_disk(path, "sample_areas")[0]["wkt"].startswith("POLYGON ((334567")


def test_classes_and_colours_come_back_from_the_file_alone(store, path):
    store.recolor_class("water", QColor("#00ffff"))
    store.add(point(334000, 5816000), UTM, "forest")
    store.close()
    QgsProject.instance().clear()
    again = SamplesStore(path, UTM, QgsProject.instance())
    assert {name: color.name() for name, color in again.classes().items()} == {
        "forest": "#1b7837",
        "water": "#00ffff",
    }
    assert again.counts() == {"forest": 1, "water": 0}


def test_the_renderers_of_both_layers_are_the_class_list(store):
    for layer in (store.points, store.areas):
        renderer = layer.renderer()
        assert isinstance(renderer, QgsCategorizedSymbolRenderer)
        assert renderer.classAttribute() == "class"
        assert [item.value() for item in renderer.categories()] == ["forest", "water"]
        assert [item.label() for item in renderer.categories()] == ["forest", "water"]
        assert [QColor(item.symbol().color().rgb()).name() for item in renderer.categories()] == [
            GREEN.name(),
            BLUE.name(),
        ]


def test_a_change_in_the_symbology_panel_of_qgis_changes_the_classes(store):
    told = []
    store.changed.connect(lambda: told.append(True))
    categories = [QgsRendererCategory(name, point_symbol(QColor("#123456")), name) for name in ("water", "sand")]
    store.points.setRenderer(QgsCategorizedSymbolRenderer("class", categories))
    QApplication.processEvents()
    assert {name: color.name() for name, color in store.classes().items()} == {"water": "#123456", "sand": "#123456"}
    assert [item.value() for item in store.areas.renderer().categories()] == ["water", "sand"]
    assert told


def test_a_colour_keeps_the_size_the_user_gave_the_symbol(store):
    categories = store.points.renderer().categories()
    bigger = categories[0].symbol().clone()
    bigger.setSize(9)
    renderer = store.points.renderer().clone()
    renderer.updateCategorySymbol(0, bigger)
    store.points.setRenderer(renderer)
    store.recolor_class("forest", QColor("red"))
    # Held, because the category owns its symbol.
    category = store.points.renderer().categories()[0]
    assert category.symbol().size() == pytest.approx(9)
    assert category.symbol().color().name() == "#ff0000"


def test_new_classes_get_names_and_colours_of_their_own(store):
    names = [store.add_class() for _ in range(9)]
    assert len({*names, *store.classes()}) == 11
    assert len({color.name() for color in store.classes().values()}) == 11


@pytest.mark.parametrize(
    ("name", "says"), [("", "needs a name"), ("   ", "needs a name"), ("forest", "“forest”"), (" forest ", "“forest”")]
)
def test_a_name_that_cannot_be_is_refused(store, name, says):
    with pytest.raises(CanvasError, match=says):
        store.add_class(name)
    with pytest.raises(CanvasError, match=says):
        store.rename_class("water", name)
    assert list(store.classes()) == ["forest", "water"]


def test_renaming_renames_the_samples_on_disk(store, path):
    store.add(point(334000, 5816000), UTM, "forest")
    store.add(square(334000, 5816000, 100), UTM, "forest")
    assert store.rename_class("forest", "  Wald's 'Rand'  ") == "Wald's 'Rand'"
    assert on_disk(path, "samples")[0]["class"] == "Wald's 'Rand'"
    assert on_disk(path, "sample_areas")[0]["class"] == "Wald's 'Rand'"
    assert store.classes()["Wald's 'Rand'"].name() == GREEN.name()
    assert store.counts() == {"Wald's 'Rand'": 2, "water": 0}


def test_removing_takes_the_nearest_point_or_the_area_underneath(store, path):
    store.add(point(334000, 5816000), UTM, "forest")
    store.add(point(334030, 5816000), UTM, "water")
    store.add(square(334000, 5815900, 500), UTM, "forest")
    store.add(square(334100, 5816000, 100), UTM, "water")
    assert store.remove_at(QgsPointXY(334022, 5816000), UTM, 30) == "water"
    assert [row["class"] for row in on_disk(path, "samples")] == ["forest"]
    # Inside both areas: the smaller one is meant.
    assert store.remove_at(QgsPointXY(334150, 5816050), UTM, 5) == "water"
    assert store.remove_at(QgsPointXY(330000, 5816050), UTM, 5) is None
    assert store.counts() == {"forest": 2, "water": 0}


def test_removing_works_through_another_crs(store):
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    store.add(point(334000, 5816000), UTM, "forest")
    there = QgsCoordinateTransform(UTM, mercator, QgsProject.instance()).transform(QgsPointXY(334005, 5816000))
    assert store.remove_at(there, mercator, 2) is None
    assert store.remove_at(there, mercator, 20) == "forest"


def test_undo_takes_back_step_by_step(store, path):
    store.add(point(334000, 5816000), UTM, "forest")
    store.add(point(335000, 5816000), UTM, "water")
    before = on_disk(path, "samples")
    store.remove_at(QgsPointXY(334000, 5816000), UTM, 5)
    store.remove_class("water")
    assert on_disk(path, "samples") == []
    assert list(store.classes()) == ["forest"]
    assert store.undo()
    assert store.classes()["water"].name() == BLUE.name()
    assert store.undo()
    assert on_disk(path, "samples") == before
    assert store.undo()
    assert store.undo()
    assert on_disk(path, "samples") == []
    # Before the samples came the two classes.
    assert store.undo()
    assert store.undo()
    assert not store.undo()
    assert store.classes() == {}


def test_edits_with_qgiss_own_tools_are_counted(store):
    store.add(point(334000, 5816000), UTM, "forest")
    layer = store.points
    layer.startEditing()
    feature = next(layer.getFeatures())
    layer.changeAttributeValue(feature.id(), layer.fields().lookupField("class"), "reed")
    assert layer.commitChanges()
    QApplication.processEvents()
    assert store.counts() == {"forest": 0, "water": 0, "reed": 1}


def test_layers_of_the_project_are_used_again(store, path):
    other = SamplesStore(path, UTM, QgsProject.instance())
    assert other.points is store.points
    assert other.areas is store.areas


def test_a_file_that_is_no_samples_file_is_refused_and_left_alone(qgis_new_project, path):
    path.write_bytes(b"not a database")
    with pytest.raises(CanvasError, match="is not a samples file"):
        SamplesStore(path, UTM, QgsProject.instance())
    assert path.read_bytes() == b"not a database"


def test_a_folder_that_cannot_be_made_is_named_and_nothing_is_left(qgis_new_project, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CanvasError, match="cannot be written"):
        SamplesStore(tmp_path / "file" / "samples.gpkg", UTM, QgsProject.instance())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_sample_that_cannot_be_written_is_a_sentence_and_not_counted(store, path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE samples")
    with pytest.raises(CanvasError, match="cannot be written"):
        store.add(point(334000, 5816000), UTM, "forest")
    assert store.counts()["forest"] == 0
    assert store.samples_json() == []
