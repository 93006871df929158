# SPDX-License-Identifier: GPL-2.0-or-later
"""The Labels step under a real mouse: clicks on the canvas become samples on disk."""

from __future__ import annotations

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject, QgsRectangle
from qgis.gui import QgsMapToolPan
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QLineEdit, QMessageBox

from ssl4eo_plugin.panel.dock import Ssl4eoDock
from tests.qgis.canvas_helpers import RIGHT, SHIFT, UTM, click, on_disk, press, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.panel_helpers import STEP, X, Y


@pytest.fixture
def page(dock, encoded):
    """The Labels step on a real feature set, with two classes and the map showing the patch."""
    assert dock.features.use(encoded)
    show(dock.state.canvas, QgsRectangle(*PATCH_BBOX).buffered(100))
    assert dock.show_step("labels")
    dock.labels.add_class("forest", "#1b7837")
    dock.labels.add_class("water", QColor("#2166ac"))
    dock.labels.select_class("forest")
    return dock.labels


def rows(page, column: int) -> list[str]:
    return [page.table.item(row, column).text() for row in range(page.table.rowCount())]


def test_clicks_become_points_of_the_chosen_class_on_disk(page, dock):
    canvas = dock.state.canvas
    page.activate_tool("point")
    first = click(canvas, X, Y)
    press(canvas, Qt.Key.Key_2)
    assert page.current_class() == "water"
    click(canvas, X + STEP, Y)
    stored = on_disk(page.store.path, "samples")
    assert [row["class"] for row in stored] == ["forest", "water"]
    x, y = map(float, stored[0]["wkt"].strip("POINT ()").split())
    assert (x, y) == pytest.approx((first.x(), first.y()), abs=1e-6)
    assert page.counts() == {"forest": 1, "water": 1}
    assert (rows(page, 1), rows(page, 2), rows(page, 4)) == (["forest", "water"], ["1", "1"], ["1", "2"])


def test_the_samples_lie_beside_the_feature_set_or_the_project(page, encoded, dock, tmp_path):
    assert page.store.path == encoded.with_name("havel-1_samples.gpkg")
    QgsProject.instance().clear()
    QgsProject.instance().write(str(tmp_path / "job.qgz"))
    dock.features.use(encoded)
    dock.labels.add_class()
    assert dock.labels.store.path == tmp_path / "job_samples.gpkg"


def test_a_map_in_another_crs_labels_the_same_place(page, dock):
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    transform = QgsCoordinateTransform(UTM, mercator, QgsProject.instance())
    show(dock.state.canvas, transform.transformBoundingBox(QgsRectangle(*PATCH_BBOX)), mercator)
    page.activate_tool("point")
    there = transform.transform(X, Y)
    click(dock.state.canvas, there.x(), there.y())
    x, y = map(float, on_disk(page.store.path, "samples")[0]["wkt"].strip("POINT ()").split())
    assert (x, y) == pytest.approx((X, Y), abs=6)


def test_an_area_is_drawn_and_counted(page, dock):
    page.polygonButton.click()
    canvas = dock.state.canvas
    for x, y in ((X, Y), (X + STEP, Y), (X + STEP, Y + STEP)):
        click(canvas, x, y)
    assert "right click ends it" in page.hint.text()
    click(canvas, X, Y, RIGHT)
    assert [row["class"] for row in on_disk(page.store.path, "sample_areas")] == ["forest"]
    assert page.counts() == {"forest": 1, "water": 0}


def test_a_click_outside_the_encoded_extent_is_refused_with_a_sentence(page, dock):
    page.activate_tool("point")
    click(dock.state.canvas, PATCH_BBOX[0] - 50, Y)
    assert page.note.sentence() == (
        "This place lies outside the encoded extent; click inside it or encode a larger one."
    )
    assert page.note.level == "error"
    assert on_disk(page.store.path, "samples") == []
    click(dock.state.canvas, X, Y)
    assert page.note.sentence() == ""
    assert len(on_disk(page.store.path, "samples")) == 1


def test_samples_are_deleted_and_brought_back(page, dock):
    canvas = dock.state.canvas
    page.activate_tool("point")
    click(canvas, X, Y)
    click(canvas, X + STEP, Y)
    click(canvas, X, Y, modifiers=SHIFT)
    assert len(on_disk(page.store.path, "samples")) == 1
    page.deleteButton.click()
    click(canvas, X + STEP, Y)
    assert on_disk(page.store.path, "samples") == []
    press(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    page.undoButton.click()
    assert len(on_disk(page.store.path, "samples")) == 2


def test_the_buttons_follow_the_tool(page, dock):
    canvas = dock.state.canvas
    pan = QgsMapToolPan(canvas)
    canvas.setMapTool(pan)
    page.pointButton.click()
    assert (page.tool_mode(), page.pointButton.isChecked()) == ("point", True)
    page.polygonButton.click()
    assert (page.pointButton.isChecked(), page.polygonButton.isChecked()) == (False, True)
    page.polygonButton.click()
    assert page.tool_mode() == ""
    assert canvas.mapTool() is pan
    page.activate_tool("point")
    canvas.setMapTool(pan)
    assert not page.pointButton.isChecked()
    page.activate_tool("point")
    dock.show_step("imagery")
    assert canvas.mapTool() is pan


def test_the_first_sample_needs_no_class_to_be_added_first(dock, encoded):
    dock.features.use(encoded)
    show(dock.state.canvas, QgsRectangle(*PATCH_BBOX))
    dock.show_step("labels")
    dock.labels.pointButton.click()
    click(dock.state.canvas, X, Y)
    assert dock.labels.counts() == {"class 1": 1}


def test_a_class_is_renamed_in_the_table(page, dock):
    page.activate_tool("point")
    click(dock.state.canvas, X, Y)
    page.table.start_renaming("forest")
    editor = page.table.findChild(QLineEdit)
    QTest.keyClicks(editor, "wood")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    # The table takes the text over when the editor is done with the key.
    QApplication.processEvents()
    assert list(page.classes()) == ["wood", "water"]
    assert on_disk(page.store.path, "samples")[0]["class"] == "wood"
    assert page.current_class() == "wood"


def test_a_name_that_is_taken_is_refused_and_the_old_one_shown(page):
    page.table.item(0, 1).setText("water")
    assert "already a class “water”" in page.note.sentence()
    assert rows(page, 1) == ["forest", "water"]


def test_a_colour_changes_the_renderer(page):
    page.recolor_class("water", "#00ffff")
    assert page.classes()["water"].name() == "#00ffff"
    categories = page.store.points.renderer().categories()
    assert categories[1].symbol().color().name() == "#00ffff"


@pytest.mark.parametrize(("answer", "left"), [("No", ["forest", "water"]), ("Yes", ["water"])])
def test_a_class_with_samples_is_removed_after_asking(page, dock, monkeypatch, answer, left):
    asked = []
    monkeypatch.setattr(
        QMessageBox, "question", lambda *texts: asked.append(texts[2]) or getattr(QMessageBox.StandardButton, answer)
    )
    page.activate_tool("point")
    click(dock.state.canvas, X, Y)
    page.removeButton.click()
    assert asked == ["Remove the class “forest” and its 1 samples?"]
    assert list(page.classes()) == left
    assert len(on_disk(page.store.path, "samples")) == (1 if answer == "No" else 0)


def test_a_class_without_samples_is_removed_without_asking(page, monkeypatch):
    monkeypatch.setattr(QMessageBox, "question", lambda *_: pytest.fail("asked"))
    page.remove_class("water")
    assert list(page.classes()) == ["forest"]
    page.undo()
    assert list(page.classes()) == ["forest", "water"]


def test_samples_of_an_earlier_session_are_found_again(page, dock, encoded, qgis_iface, panel_backend):
    page.activate_tool("point")
    click(dock.state.canvas, X, Y)
    dock.shutdown()
    QgsProject.instance().clear()
    again = Ssl4eoDock(qgis_iface, panel_backend)
    again.features.use(encoded)
    again.show_step("labels")
    assert again.labels.counts() == {"forest": 1, "water": 0}
    assert again.labels.classes()["forest"].name() == "#1b7837"
    assert again.labels.note.sentence() == "Found 1 samples in “havel-1_samples.gpkg”."
    again.shutdown()
    again.deleteLater()


def test_layers_taken_out_of_the_project_are_not_lost(page, dock):
    page.activate_tool("point")
    click(dock.state.canvas, X, Y)
    QgsProject.instance().removeMapLayer(page.store.points.id())
    assert page.store is None
    assert page.classes() == {}
    assert dock.show_step("labels")
    assert page.counts() == {"forest": 1, "water": 0}


def test_a_closed_panel_gives_the_map_back(page, dock):
    canvas = dock.state.canvas
    pan = QgsMapToolPan(canvas)
    canvas.setMapTool(pan)
    page.activate_tool("point")
    dock.close()
    assert canvas.mapTool() is pan
