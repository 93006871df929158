# SPDX-License-Identifier: GPL-2.0-or-later
"""The live map in the panel: what it asks for, what the layer shows, and what the project keeps of it."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.view_box import ViewBox
from tests.qgis import panel_helpers
from tests.qgis.canvas_helpers import UTM, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.live_server import SURE, LiveServer
from tests.qgis.panel_helpers import STEP, X, Y

EXTENT = QgsRectangle(PATCH_BBOX[0] + 200, PATCH_BBOX[1] + 200, PATCH_BBOX[0] + 1400, PATCH_BBOX[1] + 1400)
COLORS = {"forest": "#1b7837", "water": "#2166ac"}


@pytest.fixture
def server():
    server = LiveServer()
    yield server
    server.go.set()
    server.die()


@pytest.fixture
def dock(qgis_iface, qgis_new_project, server):
    with panel_helpers.opened_dock(qgis_iface, server) as dock:
        yield dock


@pytest.fixture
def live(dock, encoded):
    """The live map over a real feature set, with two classes and no sample."""
    dock.state.use_features(encoded)
    show(dock.state.canvas, EXTENT)
    for name, color in COLORS.items():
        dock.state.ensure_store().add_class(name, QColor(color))
    return dock.state.live_map


def label(dock, name: str, x: float = X, y: float = Y) -> None:
    dock.state.store.add(QgsGeometry.fromPointXY(QgsPointXY(x, y)), UTM, name)


@pytest.fixture
def shown(live, dock):
    """The live map with a sample of each class, on the canvas."""
    label(dock, "forest")
    label(dock, "water", X + STEP)
    serve_until(lambda: live.layer is not None)
    return live


def serve_until(condition) -> None:
    panel_helpers.serve_until(condition, limit=15)


def serve_around(live) -> None:
    """Wait until what lies around the canvas is there too."""
    serve_until(lambda: live.layer is not None and live.layer.width() > 700 and not live._clicks.isActive())


def values(layer) -> np.ndarray:
    return gdal.Open(layer.source()).ReadAsArray()


def picture(canvas, layer):
    """The colour in the middle of the canvas, drawn anew with this layer alone."""
    canvas.setLayers([layer])
    canvas.refresh()
    serve_until(lambda: not canvas.isDrawing())
    return canvas.grab().toImage().pixelColor(300, 300).name()


def test_two_clicks_make_a_layer_in_the_colours_of_the_classes(shown, dock, server):
    layer = shown.layer
    assert layer.name() == "Live map"
    assert [(entry.value, entry.label, entry.color.name()) for entry in layer.renderer().classes()] == [
        (1, "forest", COLORS["forest"]),
        (2, "water", COLORS["water"]),
    ]
    np.testing.assert_array_equal(np.unique(values(layer)[0]), [2])
    np.testing.assert_array_equal(np.unique(values(layer)[1]), [SURE])
    assert layer.crs() == UTM
    shown.set_on(True)
    dock.state.choices.choose(opacity=1.0)
    assert picture(dock.state.canvas, layer) == COLORS["water"]
    tree = [node.layer().name() for node in QgsProject.instance().layerTreeRoot().findLayers()]
    assert tree.index("Samples: areas") < tree.index("Live map") < tree.index("Features: havel-1")


def test_a_click_asks_for_the_canvas_and_then_for_its_surroundings(shown, dock, server):
    serve_around(shown)
    canvas, around = server.bodies("/view")[-2:]
    shown_extent, size = dock.state.canvas.extent(), dock.state.canvas.mapSettings().outputSize()
    assert (canvas["width"], canvas["height"]) == (size.width(), size.height())
    assert QgsRectangle(*canvas["bbox"]) == shown_extent
    wanted = QgsRectangle(*around["bbox"])
    # A quarter more in the east and north, and in the west and south what there is of the scene.
    quarter = shown_extent.width() / 4
    assert wanted.xMaximum() - shown_extent.xMaximum() == pytest.approx(quarter, abs=2)
    assert wanted.yMaximum() - shown_extent.yMaximum() == pytest.approx(quarter, abs=2)
    assert (wanted.xMinimum(), wanted.yMinimum()) == pytest.approx(PATCH_BBOX[:2], abs=2)
    assert shown.layer.extent() == wanted
    assert shown.layer.rasterUnitsPerPixelX() == pytest.approx(dock.state.canvas.mapUnitsPerPixel())


def test_undoing_to_nothing_empties_the_map_and_a_new_click_fills_it(shown, dock, server):
    dock.state.store.undo()
    serve_until(lambda: not shown.answer["ready"])
    assert values(shown.layer).max() == 0
    dock.state.store.undo()
    serve_until(lambda: shown.answer["samples"] == 0)
    label(dock, "water")
    label(dock, "forest", X + STEP)
    serve_until(lambda: values(shown.layer).max() > 0)
    np.testing.assert_array_equal(np.unique(values(shown.layer)[0]), [1])


def test_panning_within_what_is_there_asks_for_nothing_and_beyond_it_only_for_a_view(shown, dock, server):
    canvas = dock.state.canvas
    serve_around(shown)
    puts, views = len(server.bodies("/samples")), len(server.bodies("/view"))
    moved = QgsRectangle(EXTENT)
    moved += QgsPointXY(0, 0) - QgsPointXY(-100, 0)
    canvas.setExtent(moved)
    serve_until(lambda: not shown._moves.isActive())
    assert len(server.bodies("/view")) == views
    moved += QgsPointXY(400, 0) - QgsPointXY(0, 0)
    canvas.setExtent(moved)
    serve_until(lambda: len(server.bodies("/view")) > views)
    assert len(server.bodies("/samples")) == puts
    serve_until(lambda: shown.layer.extent().xMaximum() > EXTENT.xMaximum() + 400)


def test_zooming_asks_for_pixels_of_the_new_size(shown, dock, server):
    serve_around(shown)
    half = QgsRectangle(EXTENT)
    half.scale(0.5)
    dock.state.canvas.setExtent(half)
    serve_until(lambda: shown.layer.rasterUnitsPerPixelX() < 1.5)


def test_a_canvas_in_another_crs_asks_in_that_of_the_scene(shown, dock, server):
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    transform = QgsCoordinateTransform(UTM, mercator, QgsProject.instance())
    serve_around(shown)
    views = len(server.bodies("/view"))
    show(dock.state.canvas, transform.transformBoundingBox(EXTENT), mercator)
    serve_until(lambda: len(server.bodies("/view")) > views)
    xmin, ymin, xmax, ymax = server.bodies("/view")[-1]["bbox"]
    assert (xmin, ymin) < (EXTENT.xMinimum(), EXTENT.yMinimum())
    assert (xmax, ymax) > (EXTENT.xMaximum(), EXTENT.yMaximum())
    assert QgsRectangle(*PATCH_BBOX).buffered(20).contains(QgsRectangle(xmin, ymin, xmax, ymax))


def test_a_canvas_far_from_the_scene_asks_for_nothing(shown, dock, server):
    serve_around(shown)
    views = len(server.bodies("/view"))
    dock.state.canvas.setExtent(QgsRectangle(0, 0, 100, 100))
    serve_until(lambda: not shown._moves.isActive())
    label(dock, "water", X, Y + STEP)
    serve_until(lambda: shown.answer["samples"] == 3)
    assert len(server.bodies("/view")) == views


def test_another_colour_or_a_hidden_class_is_drawn_without_asking(shown, dock, server):
    serve_around(shown)
    asked = len(server.asked)
    dock.state.store.recolor_class("water", QColor("#00ffff"))
    dock.state.store.hide_class("forest")
    entries = {entry.label: entry.color for entry in shown.layer.renderer().classes()}
    assert entries["water"].name() == "#00ffff"
    assert entries["forest"].alpha() == 0
    assert len(server.asked) == asked


def test_what_is_unsure_fades_and_what_belongs_to_no_class_is_grey(shown, dock, server):
    dock.state.choices.choose(fade=True)
    assert shown.layer.renderer().alphaBand() == 2
    dock.state.choices.choose(none_beyond=0.3)
    serve_until(lambda: [entry.value for entry in shown.layer.renderer().classes()] == [1, 2, 255])
    assert server.bodies("/view")[-1]["none_beyond"] == 0.3
    assert len(server.bodies("/samples")) == len({str(body) for body in server.bodies("/samples")})


def test_the_likeness_to_the_chosen_class_is_shown_by_a_ramp(shown, dock, server):
    shown.set_class("water")
    dock.state.choices.choose(layer="similarity")
    serve_until(lambda: shown.layer.renderer().type() == "singlebandpseudocolor")
    np.testing.assert_array_equal(np.unique(values(shown.layer)[0]), [2])
    shown.set_class("forest")
    serve_until(lambda: values(shown.layer)[0].max() == 1)
    dock.state.choices.choose(layer="classes")
    serve_until(lambda: shown.layer.renderer().type() == "paletted")


def test_the_classifier_s_choices_refit(shown, dock, server):
    dock.state.choices.choose(head="lda", balance="samples")
    serve_until(lambda: server.bodies("/samples")[-1]["head"] == "lda")
    assert server.bodies("/samples")[-1]["balance"] == "samples"
    dock.state.choices.choose(head="forest")
    serve_until(lambda: server.bodies("/samples")[-1]["head"] == "auto")


def test_switched_off_it_takes_its_layer_away_and_asks_for_nothing(shown, dock, server):
    shown.set_on(False)
    assert shown.layer is None
    assert dock.state.live is None
    asked = len(server.bodies("/samples"))
    label(dock, "water", X, Y + STEP)
    answers = []
    shown.probe(QgsPointXY(X, Y), UTM, answers.append)
    assert answers == [None]
    shown.set_on(True)
    serve_until(lambda: shown.layer is not None)
    assert dock.state.live is shown
    assert len(server.bodies("/samples")) == asked + 1


def test_a_layer_that_the_user_removes_switches_it_off(shown, dock):
    QgsProject.instance().removeMapLayer(shown.layer.id())
    serve_until(lambda: not shown.on)
    assert shown.layer is None


def test_questions_are_asked_where_the_canvas_s_crs_puts_them(shown, dock, server):
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    place = QgsCoordinateTransform(UTM, mercator, QgsProject.instance()).transform(X, Y)
    answers = []
    shown.probe(place, mercator, answers.append)
    shown.grow(QgsPointXY(X, Y), UTM, answers.append)
    shown.suggestions(answers.append)
    serve_until(lambda: len(answers) == 3)
    assert answers[0]["at"] == pytest.approx([X, Y], abs=0.01)
    assert answers[1]["pixels"] == 9
    assert answers[2]["strategy"] == "typical"


def test_a_killed_backend_comes_back_with_the_next_click(shown, dock, server):
    heard = []
    shown.failed.connect(heard.append)
    server.die()
    label(dock, "forest", X, Y + STEP)
    serve_until(lambda: shown.answer["samples"] == 3 and values(shown.layer)[0].max() == 1)
    assert heard == []
    assert server.started == 2


def test_a_refusal_stands_until_the_next_click_is_answered(live, dock, server):
    dock.state.store.add_class("refused")
    label(dock, "refused")
    serve_until(lambda: live.trouble)
    assert "choose another" in live.trouble
    dock.state.store.undo()
    label(dock, "forest")
    label(dock, "water", X + STEP)
    serve_until(lambda: live.layer is not None)
    assert live.trouble == ""


def test_the_project_does_not_keep_the_layer_but_brings_the_map_back(shown, dock, server, tmp_path):
    dock.state.choices.choose(head="lda", fade=True, none_beyond=0.4)
    project, path = QgsProject.instance(), str(tmp_path / "job.qgs")
    serve_until(lambda: shown.layer.renderer().alphaBand() == 2)
    name = shown.layer.id()
    assert project.write(path)
    assert shown.layer is not None
    project.clear()
    assert shown.layer is None
    assert dock.state.choices["head"] == "auto"
    assert project.read(path)
    assert not [layer.name() for layer in project.mapLayers().values() if not layer.isValid()]
    serve_until(lambda: shown.layer is not None)
    assert shown.layer.id() != name
    assert len(project.mapLayersByName("Live map")) == 1
    choices = dock.state.choices
    assert (choices["head"], choices["fade"], choices["none_beyond"]) == ("lda", True, 0.4)
    assert server.bodies("/samples")[-1]["head"] == "lda"
    assert not project.isDirty()


def test_another_project_ends_it_and_nothing_of_it_comes_after(shown, dock, server):
    server.go.clear()
    label(dock, "forest", X, Y + STEP)
    QgsProject.instance().clear()
    server.go.set()
    serve_until(lambda: server.asked[-1][0] == "DELETE")
    assert QgsProject.instance().mapLayers() == {}
    assert dock.state.choices["live"]


@pytest.mark.parametrize(
    ("width", "pixel", "serves"), [(10, 1.0, True), (12, 1.0, False), (10, 1.01, True), (10, 0.5, False)]
)
def test_a_window_serves_what_lies_in_it_and_is_no_sharper(width, pixel, serves):
    whole = ViewBox(QgsRectangle(0, 0, 10, 10), 10, 10)
    other = ViewBox(QgsRectangle(0, 0, width, 5), round(width / pixel), round(5 / pixel))
    assert whole.serves(other) is serves


def test_the_bar_says_what_the_map_rests_on_and_switches_it(shown, dock):
    bar = dock.labels.live_bar
    assert bar.onBox.isChecked()
    assert bar.status.text().replace("\u200b", "") == "why"
    bar.onBox.click()
    assert (dock.state.live, bar.status.text()) == (None, "")
    assert not bar.layerBox.isEnabled()
    bar.onBox.click()
    serve_until(lambda: shown.layer is not None)


def test_the_bar_s_widgets_choose_how_it_is_drawn(shown, dock, server):
    bar = dock.labels.live_bar
    bar.lookButton.click()
    assert not bar.look.isHidden()
    bar.fadeBox.click()
    assert shown.layer.renderer().alphaBand() == 2
    bar.opacityBox.setOpacity(0.3)
    assert shown.layer.opacity() == pytest.approx(0.3)
    bar.noneBox.click()
    bar.noneSlider.setValue(80)
    assert bar.noneLabel.text() == "80 %"
    serve_until(lambda: server.bodies("/view")[-1]["none_beyond"] == 0.8)
    bar.noneBox.click()
    serve_until(lambda: server.bodies("/view")[-1]["none_beyond"] is None)


def test_the_bar_says_why_there_is_no_map(live, dock, server):
    bar = dock.labels.live_bar
    server.message = "All samples are of one class; label a second one."
    label(dock, "forest")
    serve_until(lambda: bar.status.text() == server.message)
    dock.state.store.add_class("refused")
    label(dock, "refused", X + STEP)
    serve_until(lambda: bar.note.sentence() == "The class “refused” is refused; choose another.")
