# SPDX-License-Identifier: GPL-2.0-or-later
"""The Assess step with the real backend: points drawn, answered by key, and figures with intervals."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from qgis.core import QgsProject, QgsRectangle
from qgis.gui import QgsMapToolPan
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QFileDialog, QMessageBox

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.assessment import Assessment, assessment_path
from tests.qgis.canvas_helpers import UTM, on_disk, press, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.panel_helpers import STEP, X, Y, serve_until, told
from tests.qgis.samples_helpers import point


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Where the first test leaves its map and points for the others, which would take a second each to make."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def page(dock, encoded, made):
    """The Assess step on a map of two classes, with points drawn, 5 at least in each class."""
    dock.state.live_map.set_on(False)
    assert dock.features.use(encoded)
    show(dock.state.canvas, QgsRectangle(*PATCH_BBOX))
    for number, name in enumerate(("forest", "water")):
        dock.labels.add_class(name)
        for step in range(3):
            dock.labels.store.add(point(X + number * 2 * STEP, Y + step * STEP), UTM, name)
    if any(made.iterdir()):
        home = shutil.copytree(made, encoded.parent / "maps")
        names = {1: "forest", 2: "water"}
        layers.show_map(dock.state.project, home / "map.tif", encoded.name, names, dock.labels.classes())
        dock.assess.refresh()
        dock._update()
    else:
        assert told(dock.map, dock.map.classify, "classified")[1] is None
        draw(dock.assess)
        for file, name in (
            (dock.assess._shown, "map.tif"),
            (dock.assess.stepper.assessment.path, "map_assessment.gpkg"),
        ):
            shutil.copyfile(file, made / name)
    assert dock.show_step("assess")
    return dock.assess


def draw(page) -> None:
    page.errorBox.setValue(9)
    page.leastBox.setValue(5)
    result, failed = told(page, page.draw, "drawn")
    assert failed is None
    assert result["points"] == len(page.stepper.assessment) >= 10


def map_node(page):
    return page.state.project.layerTreeRoot().findLayer(page.layer().id())


def test_the_step_comes_after_the_map(dock, encoded):
    assert dock.features.use(encoded)
    assert not dock.show_step("assess")


def test_the_points_carry_no_class_and_lie_in_the_map(page):
    rows = on_disk(page.stepper.assessment.path, "samples")
    assert {row["class"] for row in rows} == {None}
    assert page.stepper.assessment.path == assessment_path(Path(page.layer().source()))
    assert all(page.layer().extent().contains(page.stepper.assessment.place(i)) for i in range(len(rows)))
    assert "0 of" in page.progressBar.text()


def test_keys_answer_and_each_answer_is_on_disk_at_once(page):
    canvas, stepper = page.state.canvas, page.stepper
    page.stepButton.click()
    for number, key in enumerate((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_1)):
        place = stepper.assessment.place(number)
        assert canvas.center().distance(place) < 1
        press(canvas, key)
        answers = {row["number"]: row["class"] for row in on_disk(stepper.assessment.path, "samples")}
        assert answers[number + 1] == ("forest", "water", "forest")[number]
    assert "3 of" in page.progressBar.text()


def test_the_frame_is_the_pixel_of_the_map(page):
    page.stepper.begin()
    pixel = page.stepper._pixel(page.stepper.assessment.place(0))
    assert (pixel.width(), pixel.height()) == pytest.approx((10, 10))
    assert pixel.center().distance(page.stepper.assessment.place(0)) < 0.01


def test_the_map_is_hidden_until_the_answer_and_comes_back(page):
    assert map_node(page).itemVisibilityChecked()
    page.stepper.begin()
    assert not map_node(page).itemVisibilityChecked()
    assert page.lastAnswer.isHidden()
    page.stepper.answer("forest")
    assert not map_node(page).itemVisibilityChecked()
    says = page.stepper.last()[1]
    assert says in ("forest", "water")
    expected = "and so does the map" if says == "forest" else "the map says “water”"
    assert expected in page.lastAnswer.text()
    page.stepButton.click()
    assert map_node(page).itemVisibilityChecked()
    assert page.classList.isHidden()


def test_another_tool_or_step_pauses_and_gives_the_map_back(page, dock):
    canvas = dock.state.canvas
    pan = QgsMapToolPan(canvas)
    canvas.setMapTool(pan)
    page.stepper.begin()
    dock.show_step("map")
    assert not page.stepper.running
    assert canvas.mapTool() is pan
    assert map_node(page).itemVisibilityChecked()
    dock.show_step("assess")
    page.stepper.begin()
    other = QgsMapToolPan(canvas)
    canvas.setMapTool(other)
    assert not page.stepper.running
    assert canvas.mapTool() is other
    assert map_node(page).itemVisibilityChecked()


def test_back_corrects_and_skip_leaves_open(page):
    canvas, stepper = page.state.canvas, page.stepper
    stepper.begin()
    press(canvas, Qt.Key.Key_1)
    press(canvas, Qt.Key.Key_S)
    assert stepper.index == 2
    press(canvas, Qt.Key.Key_Backspace)
    press(canvas, Qt.Key.Key_Backspace)
    assert stepper.index == 0
    assert "Answered so far: “forest”" in page.question.text()
    QTest.keyClick(page, Qt.Key.Key_2)
    assert stepper.assessment.answer_of(0) == "water"
    assert stepper.index == 1
    assert stepper.assessment.answered() == 1


def test_a_click_on_a_class_answers_and_a_key_without_a_class_does_not(page):
    page.stepper.begin()
    press(page.state.canvas, Qt.Key.Key_9)
    assert page.stepper.index == 0
    assert [page.classList.item(row).text() for row in range(2)] == ["1  forest", "2  water"]
    page.classList.itemClicked.emit(page.classList.item(1))
    assert page.stepper.assessment.answer_of(0) == "water"


def test_all_answers_lead_to_figures_a_report_and_a_table(page, tmp_path, monkeypatch):
    stepper = page.stepper
    truth = [stepper._class_of_map(index) for index in range(len(stepper.assessment))]
    # The first is called wrong.
    truth[0] = "water" if truth[0] == "forest" else "forest"
    stepper.begin()
    for name in truth[:-1]:
        stepper.answer(name)
    result, failed = told(page, lambda: stepper.answer(truth[-1]), "assessed")
    assert failed is None
    assert result["points"] == len(truth)
    assert 0.5 < result["overall"]["value"] < 1
    assert "Overall accuracy" in page.overall.text()
    assert "±" in page.overall.text()
    table = page.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["forest", "water"]
    assert all("%" in table.item(row, 1).text() for row in range(2))
    assert Path(result["report"]).read_text("utf-8").startswith("<!")
    saved = tmp_path / "figures.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    page.csvButton.click()
    assert saved.read_bytes() == Path(result["csv"]).read_bytes()
    assert not page.stepper.running


def test_a_sample_is_found_again_and_goes_on_where_it_stopped(page, dock):
    page.stepper.begin()
    page.stepper.answer("forest")
    page.stepper.take(None, None, [])
    page._open(page.layer())
    assert page.stepButton.text() == "Go on"
    page.stepButton.click()
    assert page.stepper.index == 1


@pytest.mark.parametrize("answer", ["No", "Yes"])
def test_drawing_anew_asks_when_answers_would_be_lost(page, monkeypatch, answer):
    page.stepper.begin()
    page.stepper.answer("forest")
    asked = []
    monkeypatch.setattr(
        QMessageBox, "question", lambda *texts: asked.append(texts[2]) or getattr(QMessageBox.StandardButton, answer)
    )
    if answer == "No":
        page.draw()
    else:
        told(page, page.draw, "drawn")
    assert asked == ["Draw new places? The 1 answers so far are lost."]
    assert page.stepper.assessment.answered() == (1 if answer == "No" else 0)


def test_an_answer_that_cannot_be_written_is_a_sentence_and_asked_again(page):
    page.stepper.begin()
    page.stepper.assessment.path.rename(page.stepper.assessment.path.with_name("elsewhere.gpkg"))
    page.stepper.answer("forest")
    assert "cannot be written" in page.note.sentence()
    assert page.stepper.index == 0
    assert page.stepper.assessment.answered() == 0


def test_a_file_that_is_none_is_a_sentence(page):
    path = page.stepper.assessment.path
    page.stepper.take(None, None, [])
    path.write_bytes(b"not a database")
    page._open(page.layer())
    assert "holds no points to assess a map with" in page.note.sentence()
    assert page.stepper.assessment is None


def test_a_new_map_asks_for_a_new_sample(page, dock):
    page.stepper.begin()
    first = page.stepper.assessment.path
    dock.show_step("map")
    assert told(dock.map, dock.map.classify, "classified")[1] is None
    serve_until(lambda: page.stepper.assessment is None, 10)
    assert page.askCard.isHidden()
    # What was answered is not deleted.
    assert len(Assessment(first)) > 0


def test_a_map_that_is_taken_away_in_the_middle_ends_the_questions(page, dock):
    page.stepper.begin()
    QgsProject.instance().removeMapLayer(page.layer().id())
    assert not page.stepper.running
    assert layers.find_layers(QgsProject.instance(), layers.MAP) == []
    assert dock.step() != "assess"
