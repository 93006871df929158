# SPDX-License-Identifier: GPL-2.0-or-later
"""The layer of the live map by itself: what stands on the canvas after answers that come faster than it draws."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import QgsProject, QgsRectangle
from qgis.gui import QgsMapCanvas, QgsMapToolIdentify
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtTest import QTest

from ssl4eo_plugin.canvas.live_layer import LiveLayer
from ssl4eo_plugin.canvas.live_styles import NONE_OF_THESE, Look
from tests.qgis.canvas_helpers import UTM, show

SIDE = 400
EXTENT = QgsRectangle(330000, 5810000, 330000 + 10 * SIDE, 5810000 + 10 * SIDE)
COLORS = [QColor.fromHsv(37 * code % 360, 200, 200).name() for code in range(9)]
LOOK = Look(tuple((code, f"class {code}", COLORS[code]) for code in range(1, 9)), frozenset(), False, False, "")


@pytest.fixture
def canvas(qgis_app, qgis_new_project):
    canvas = QgsMapCanvas()
    canvas.setCachingEnabled(True)
    canvas.setParallelRenderingEnabled(True)
    show(canvas, EXTENT)
    yield canvas
    canvas.close()
    canvas.deleteLater()


@pytest.fixture
def live(canvas):
    live = LiveLayer(QgsProject.instance(), canvas)
    put(live, 1)
    canvas.setLayers([live.layer])
    settle(canvas)
    yield live
    live.dispose()
    QgsProject.instance().clear()


def put(live: LiveLayer, code: int, sure: int = 255, look: Look = LOOK, extent: QgsRectangle = EXTENT) -> None:
    planes = [np.full((SIDE, SIDE), code, np.uint8), np.full((SIDE, SIDE), sure, np.uint8)]
    live.show(planes, extent, UTM, "havel-1", look, 1.0)


def settle(canvas) -> None:
    """Wait until nothing is drawn any more, also no second time."""
    quiet = 0
    while quiet < 4:
        QTest.qWait(15)
        quiet = 0 if canvas.isDrawing() else quiet + 1


def middle(canvas) -> str:
    return canvas.grab().toImage().pixelColor(300, 300).name()


def test_answers_that_come_while_the_map_is_drawn_end_on_the_last_one(live, canvas):
    ends = []
    for turn in range(12):
        for code in range(2, 9):
            put(live, code)
            QTest.qWait(1 + (3 * turn + 5 * code) % 25)
        settle(canvas)
        ends.append(middle(canvas))
    assert ends == [COLORS[8]] * 12


def test_another_window_of_the_scene_is_drawn_in_its_place(live, canvas):
    east = QgsRectangle(EXTENT)
    east.setXMinimum(EXTENT.center().x() + 500)
    east.setXMaximum(EXTENT.xMaximum() + 500)
    put(live, 3, extent=east)
    settle(canvas)
    picture = canvas.grab().toImage()
    assert picture.pixelColor(590, 300).name() == COLORS[3]
    assert picture.pixelColor(300, 300).name() == "#ffffff"


def test_what_is_hidden_none_or_unsure_lets_the_ground_through(live, canvas):
    look = Look(LOOK.classes, frozenset({"class 2"}), True, True, "")
    seen = []
    for code, sure in ((2, 255), (3, 255), (3, 51), (NONE_OF_THESE, 255), (0, 255)):
        put(live, code, sure, look)
        settle(canvas)
        seen.append(middle(canvas))
    hidden, sure, unsure, none, nothing = map(QColor, seen)
    assert hidden.name() == nothing.name() == "#ffffff"
    assert sure.name() == COLORS[3]
    assert unsure.lightness() > sure.lightness() + 50
    assert none.red() == none.green() == none.blue() != 255


def test_identify_names_the_classes_beside_the_number(live, canvas):
    put(live, 3, 204)
    settle(canvas)
    (found,) = QgsMapToolIdentify(canvas).identify(300, 300, [live.layer], QgsMapToolIdentify.IdentifyMode.TopDownAll)
    (kind, code), (sure, probability) = found.mAttributes.items()
    assert (kind, code, probability) == ("Band 1: class", "3", "204")
    assert "255 is certain" in sure
    assert "3 class 3" in sure


def test_the_memory_is_freed_with_the_layer(live):
    path = live.layer.source()
    assert gdal.VSIStatL(path) is not None
    live.take_out()
    assert gdal.VSIStatL(path) is None
    assert QgsProject.instance().mapLayers() == {}
    put(live, 2)
    assert live.layer.isValid()


def test_a_project_need_not_be_saved_for_what_is_shown_live(live):
    project = QgsProject.instance()
    project.setDirty(False)
    put(live, 4)
    live.dress(Look(LOOK.classes, frozenset(), False, True, ""))
    live.set_opacity(0.4)
    assert live.layer.opacity() == pytest.approx(0.4)
    live.clear()
    live.take_out()
    put(live, 5)
    assert not project.isDirty()
