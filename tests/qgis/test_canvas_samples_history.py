# SPDX-License-Identifier: GPL-2.0-or-later
"""Undo and redo of all that can be done to samples and classes, and what the session gets of them."""

from __future__ import annotations

import pytest
from osgeo import ogr
from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsProject, QgsRectangle
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QApplication

from ssl4eo_plugin.canvas.samples_store import SamplesStore
from tests.qgis.canvas_helpers import UTM, on_disk
from tests.qgis.samples_helpers import X, Y, labelled_store, point, square


@pytest.fixture
def store(tmp_path, qgis_new_project):
    with labelled_store(tmp_path) as store:
        store.add_class("reed", QColor("#aa3377"))
        store.add(square(X, Y + 500, 300), UTM, "reed")
        yield store


def content(store):
    """All there is: the tables on disk, the legend and what is hidden."""
    legend = [(name, color.name()) for name, color in store.classes().items()]
    return on_disk(store.path, "samples"), on_disk(store.path, "sample_areas"), legend, store.hidden()


def move_with_qgis(store):
    layer = store.points
    layer.startEditing()
    layer.changeGeometry(next(layer.getFeatures()).id(), point(X + 7, Y))
    assert layer.commitChanges()
    QApplication.processEvents()


ACTIONS = {
    "add a point": lambda store: store.add(point(X, Y + 50), UTM, "water"),
    "add an area": lambda store: store.add(square(X, Y, 50), UTM, "water"),
    "remove": lambda store: store.remove_at(QgsPointXY(X, Y), UTM, 5),
    "erase": lambda store: store.erase(square(X - 20, Y - 20, 600), UTM),
    "add a class": lambda store: store.add_class("sand"),
    "import classes": lambda store: store.import_classes({"sand": QColor("#ff0000"), "ice": None, "water": None}),
    "remove a class": lambda store: store.remove_class("water"),
    "merge": lambda store: store.merge_class("forest", "reed"),
    "rename": lambda store: store.rename_class("forest", "wood"),
    "recolour": lambda store: store.recolor_class("reed", QColor("#00ffff")),
    "reorder": lambda store: store.reorder_classes(["reed", "forest", "water"]),
    "move with QGIS": move_with_qgis,
}


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_taken_back_and_done_again(store, action):
    before = content(store)
    ACTIONS[action](store)
    after = content(store)
    assert after != before
    assert store.undo()
    assert content(store) == before
    assert store.redo()
    assert content(store) == after
    assert not store.can_redo()


def test_all_actions_one_after_the_other_go_back_to_none_and_forth_again(store):
    states = [content(store)]
    for action in ("move with QGIS", "rename", "merge again", "erase", "reorder", "add a class", "add an area"):
        if action == "merge again":
            store.merge_class("wood", "reed")
        else:
            ACTIONS[action](store)
        states.append(content(store))
    for state in reversed(states[:-1]):
        store.undo()
        assert content(store) == state
    for state in states[1:]:
        store.redo()
        assert content(store) == state
    steps = 0
    while store.undo():
        steps += 1
    assert steps == 6 + 7
    assert content(store) == ([], [], [], [])


def test_after_something_new_nothing_is_done_again(store):
    store.undo()
    store.add(point(X, Y + 50), UTM, "water")
    assert not store.can_redo()
    assert not store.redo()


def test_merging_moves_the_samples_and_keeps_the_other_colour(store):
    store.merge_class("water", "forest")
    assert store.counts() == {"forest": 2, "reed": 1}
    assert store.classes()["forest"].name() == "#1b7837"
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["forest", "forest"]


def test_the_order_is_kept_in_the_file(store):
    store.reorder_classes(["reed", "water", "forest"])
    store.close()
    QgsProject.instance().clear()
    again = SamplesStore(store.path, UTM, QgsProject.instance())
    assert list(again.classes()) == ["reed", "water", "forest"]
    again.close()


def test_hidden_classes_follow_renaming_and_are_told(store):
    told = []
    store.changed.connect(lambda: told.append(store.hidden()))
    store.hide_class("reed")
    store.rename_class("reed", "cane")
    assert told == [["reed"], ["cane"]]
    store.hide_class("cane", False)
    assert store.hidden() == []


def test_erasing_trims_an_area(store):
    assert store.erase(square(X + 100, Y + 380, 100), UTM) == 0
    # Of 300 x 300 m the stroke takes the lower left quarter.
    assert store.erase(square(X - 50, Y + 450, 200), UTM) == 1
    (row,) = on_disk(store.path, "sample_areas")
    assert ogr.CreateGeometryFromWkt(row["wkt"]).GetArea() == pytest.approx(300 * 300 - 150 * 150)


def test_erasing_splits_an_area_where_the_stroke_goes_through(store):
    through = QgsGeometry.fromRect(QgsRectangle(X + 140, Y + 450, X + 160, Y + 850))
    assert store.erase(through, UTM) == 1
    areas = [ogr.CreateGeometryFromWkt(row["wkt"]).GetArea() for row in on_disk(store.path, "sample_areas")]
    assert areas == [pytest.approx(140 * 300)] * 2
    assert store.counts()["reed"] == 2


def test_erasing_leaves_no_slivers(store):
    # Two metres of 300 are left on the right.
    store.erase(QgsGeometry.fromRect(QgsRectangle(X - 10, Y + 490, X + 298, Y + 810)), UTM)
    assert on_disk(store.path, "sample_areas") == []


def test_the_session_gets_ids_classes_and_places(store):
    samples = store.samples_json()
    assert [(sample["id"], sample["class"]) for sample in samples] == [
        ("p1", "forest"),
        ("p2", "water"),
        ("a1", "reed"),
    ]
    assert samples[0]["wkt"].upper().startswith("POINT")
    assert f"({X} {Y})" in samples[0]["wkt"]
    assert store.crs == QgsCoordinateReferenceSystem("EPSG:32633")
    assert store.place_of("a1").area() == pytest.approx(9e4)
    assert store.place_of("a9") is None
    store.rename_class("forest", "wood")
    move_with_qgis(store)
    assert store.samples_json()[0]["class"] == "wood"
    assert str(X + 7) in store.samples_json()[0]["wkt"]


def test_samples_for_the_assessment_or_without_class_are_no_training(store):
    layer = store.points
    layer.startEditing()
    fields = layer.fields()
    layer.changeAttributeValue(1, fields.lookupField("role"), "assess")
    layer.changeAttributeValue(2, fields.lookupField("class"), "")
    assert layer.commitChanges()
    QApplication.processEvents()
    assert [sample["id"] for sample in store.samples_json()] == ["a1"]
    assert store.counts() == {"forest": 0, "water": 0, "reed": 1}
