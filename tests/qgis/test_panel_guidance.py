# SPDX-License-Identifier: GPL-2.0-or-later
"""Guidance, hover, pick and grow: what the panel makes of what the live map answers."""

from __future__ import annotations

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsPointXY, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor

from tests.qgis.canvas_helpers import SHIFT, UTM, click, move, on_disk, press, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.live_stand_in import LiveStandIn
from tests.qgis.panel_helpers import STEP, X, Y, serve_until

ALT = Qt.KeyboardModifier.AltModifier
PLACES = [
    {"x": X + 100 * rank, "y": Y + 300, "rank": rank, "reason": f"Reason {rank}.", "class": None} for rank in (1, 2, 3)
]


@pytest.fixture
def page(panel, encoded, monkeypatch):
    """The Labels step with three classes, and a session that answers as the test wants."""
    assert panel.features.use(encoded)
    panel.labels.live = LiveStandIn(panel.state.live_map, monkeypatch)
    show(panel.state.canvas, QgsRectangle(*PATCH_BBOX).buffered(100))
    assert panel.show_step("labels")
    for name, color in (("forest", "#1b7837"), ("water", "#2166ac"), ("reed", "#aa3377")):
        panel.labels.add_class(name, QColor(color))
    panel.labels.select_class("forest")
    panel.labels.activate_tool("point")
    assert panel.state.live is not None
    return panel.labels


@pytest.fixture
def live(page):
    page.live.answers["suggestions"] = {"suggestions": PLACES, "strategy": "typical"}
    return page.live


def center(page) -> tuple[int, int]:
    at = page.state.canvas.center()
    return round(at.x()), round(at.y())


def test_where_next_marks_five_places_and_n_goes_from_one_to_the_next(page, live):
    canvas = page.state.canvas
    page.guidance.showButton.click()
    marks = page.guidance._marks
    assert [round(at.x()) for at in marks.positions()] == [place["x"] for place in PLACES]
    assert page.guidance.place() is None
    for place in PLACES:
        press(canvas, Qt.Key.Key_N)
        assert center(page) == (place["x"], place["y"])
        assert f"Reason {place['rank']}." in page.guidance.reason.text()
    asked = len(live.asked)
    press(canvas, Qt.Key.Key_N)
    # After the last, places are asked for anew.
    assert len(live.asked) == asked + 1
    assert center(page) == (PLACES[0]["x"], PLACES[0]["y"])


def test_a_class_key_labels_the_place_and_no_other(page, live):
    canvas = page.state.canvas
    press(canvas, Qt.Key.Key_N)
    press(canvas, Qt.Key.Key_N)
    press(canvas, Qt.Key.Key_3)
    (row,) = on_disk(page.store.path, "samples")
    assert row["class"] == "reed"
    x, y = map(float, row["wkt"].strip("POINT ()").split())
    assert (x, y) == pytest.approx((PLACES[1]["x"], PLACES[1]["y"]), abs=1e-3)
    assert len(page.guidance._marks.positions()) == 2
    # The place is done: now the key only chooses.
    press(canvas, Qt.Key.Key_2)
    assert page.current_class() == "water"
    assert len(on_disk(page.store.path, "samples")) == 1


def test_a_click_of_the_users_own_ends_the_place(page, live):
    canvas = page.state.canvas
    press(canvas, Qt.Key.Key_N)
    click(canvas, X + 500, Y + 500)
    press(canvas, Qt.Key.Key_2)
    assert [row["class"] for row in on_disk(page.store.path, "samples")] == ["forest"]


def test_places_are_refreshed_after_a_fit_but_not_under_the_users_hands(page, live):
    page.guidance.showButton.click()
    live.answers["suggestions"] = {"suggestions": PLACES[:1], "strategy": "uncertain"}
    press(page.state.canvas, Qt.Key.Key_N)
    asked = len(live.asked)
    live.fit()
    serve_until(lambda: not page.guidance._quiet.isActive(), 10)
    assert len(live.asked) == asked
    page.guidance.leave()
    live.fit()
    serve_until(lambda: len(live.asked) > asked, 10)
    assert len(page.guidance._marks.positions()) == 1


def test_nothing_is_asked_while_the_places_are_not_wanted(page, live):
    live.fit()
    assert not page.guidance._quiet.isActive()
    page.guidance.showButton.click()
    page.guidance.showButton.click()
    assert page.guidance._marks.positions() == []


@pytest.mark.parametrize("answer", [None, {"suggestions": [], "strategy": "typical"}])
def test_no_place_is_a_sentence(page, live, answer):
    live.answers["suggestions"] = answer
    press(page.state.canvas, Qt.Key.Key_N)
    assert "no place to suggest" in page.guidance.reason.text()
    assert page.guidance.place() is None


def test_the_marks_stay_at_their_places_when_the_map_gets_another_crs(page, live):
    page.guidance.showButton.click()
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    transform = QgsCoordinateTransform(UTM, mercator, QgsProject.instance())
    page.state.canvas.setDestinationCrs(mercator)
    there = transform.transform(QgsPointXY(PLACES[0]["x"], PLACES[0]["y"]))
    assert page.guidance._marks.positions()[0].distance(there) < 0.1


def test_labels_that_disagree_are_listed_and_ringed(page, live):
    canvas = page.state.canvas
    click(canvas, X, Y)
    click(canvas, X + STEP, Y)
    flag = {"id": "p2", "class": "forest", "says": "water", "share": 0.8}
    live.fit(disagreeing=[flag, {**flag, "id": "p99"}])
    # A label that was removed since is not listed.
    assert page.guidance.disagreeing() == ["p2"]
    assert "“forest”, but its neighbours say “water” (80%)" in page.guidance.list.item(0).text()
    (ring,) = page.guidance._rings.positions()
    assert ring.distance(X + STEP, Y) < 10
    page.guidance.list.itemClicked.emit(page.guidance.list.item(0))
    assert page.state.canvas.center().distance(X + STEP, Y) < 10
    live.fit()
    assert page.guidance.list.isHidden()
    assert page.guidance._rings.positions() == []


def test_the_indication_is_shown_per_class(page, live):
    hit, table = 3, page.table
    assert table.isColumnHidden(hit)
    live.fit(indication={"balanced_accuracy": 0.8, "per_class": {"forest": 0.9, "water": 0.7}})
    assert not table.isColumnHidden(hit)
    assert [table.item(row, hit).text() for row in range(3)] == ["90%", "70%", "–"]
    assert "Not an accuracy" in table.horizontalHeaderItem(hit).toolTip()
    live.fit(indication=None)
    assert table.isColumnHidden(hit)


def test_the_class_under_the_cursor_is_said(page, live):
    canvas = page.state.canvas
    live.answers["probe"] = {
        "nodata": False, "class": "water", "confidence": 0.62, "probabilities": {"water": 0.62, "reed": 0.35},
    }  # fmt: skip
    move(canvas, X, Y)
    serve_until(lambda: "water" in page.hoverLabel.text(), 10)
    assert page.hoverLabel.text() == "Under the cursor: water 62%, reed 35%"
    assert live.asked[-1][1].distance(X, Y) < 10
    live.answers["probe"] = {"nodata": True, "class": None, "confidence": 0, "probabilities": {}}
    # The map under the cursor that rests was repainted.
    page.state.live_map.repainted.emit({})
    serve_until(lambda: "No data" in page.hoverLabel.text(), 10)


def test_a_class_is_picked_from_a_sample_before_the_map(page, live):
    canvas = page.state.canvas
    page.select_class("reed")
    click(canvas, X, Y)
    page.select_class("forest")
    live.answers["probe"] = {"nodata": False, "class": "water", "confidence": 1.0, "probabilities": {}}
    click(canvas, X, Y, modifiers=ALT)
    assert page.current_class() == "reed"
    page.pickButton.click()
    click(canvas, X + STEP, Y)
    assert page.current_class() == "water"
    live.answers["probe"] = None
    click(canvas, X + STEP, Y)
    assert "no class to pick" in page.note.sentence()
    assert len(on_disk(page.store.path, "samples")) == 1


def test_growing_makes_an_area_of_the_class_that_was_chosen_at_the_click(page, live):
    canvas = page.state.canvas
    live.answers["grow"] = {"wkt": f"POLYGON (({X} {Y}, {X + 60} {Y}, {X + 60} {Y + 60}, {X} {Y}))", "pixels": 18}
    page.growButton.click()
    click(canvas, X + 20, Y + 20)
    (row,) = on_disk(page.store.path, "sample_areas")
    assert row["class"] == "forest"
    live.answers["grow"] = None
    click(canvas, X + 20, Y + 20)
    assert "Nothing could be grown" in page.note.sentence()
    page.state.live_map.set_on(False)
    click(canvas, X + 20, Y + 20)
    assert "switch it on" in page.note.sentence()


def test_the_marks_go_with_the_panel(page, live, panel):
    page.guidance.showButton.click()
    scene = page.state.canvas.scene()
    before = len(scene.items())
    panel.shutdown()
    assert len(scene.items()) <= before - len(PLACES)


def test_shift_click_still_removes(page):
    click(page.state.canvas, X, Y)
    click(page.state.canvas, X, Y, modifiers=SHIFT)
    assert on_disk(page.store.path, "samples") == []
