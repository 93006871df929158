# SPDX-License-Identifier: GPL-2.0-or-later
"""Brush, eraser, grow, pick and the keys of the sample tool, under a real mouse and keyboard."""

from __future__ import annotations

import math

import pytest
from qgis.core import QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QKeyEvent, QWheelEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication

from ssl4eo_plugin.canvas.sample_tool import BRUSH, DELETE, GROW, PICK, POINT
from tests.qgis.canvas_helpers import (
    LEFT,
    NONE,
    RIGHT,
    SHIFT,
    click,
    drag,
    heard_tool,
    move,
    pixel_of,
    press,
    stroke,
)

ALT, CONTROL = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier
SIGNALS = (
    "pointPlaced", "areaDrawn", "growAsked", "removeAsked", "pickAsked", "eraseAsked", "classAsked", "undoAsked",
    "redoAsked", "nextAsked", "hovered", "left", "radiusChanged", "complained",
)  # fmt: skip


@pytest.fixture
def tool(canvas):
    with heard_tool(canvas, SIGNALS) as tool:
        yield tool


def heard(tool, name: str) -> list[tuple]:
    return [values for kind, *values in tool.heard if kind == name]


def test_a_stroke_of_the_brush_is_one_area_as_broad_as_the_tip(canvas, tool):
    tool.set_mode(BRUSH)
    tool.set_radius(20)
    stroke(canvas, (331000, 5816000), (332000, 5816000), (333000, 5816000))
    ((area,),) = heard(tool, "areaDrawn")
    assert area.isGeosValid()
    # 2 km long and 2 x 200 m broad, with round ends.
    assert area.area() == pytest.approx(2000 * 400 + math.pi * 200**2, rel=0.02)
    assert area.contains(QgsGeometry.fromPointXY(QgsPointXY(331000 - 190, 5816000)))
    assert not tool.drawing


def test_a_stroke_that_closes_on_itself_is_a_valid_ring(canvas, tool):
    tool.set_mode(BRUSH)
    stroke(
        canvas, (331000, 5816000), (333000, 5816000), (333000, 5818000), (331000, 5818000), (331000, 5816000),
        (331000, 5815500),
    )  # fmt: skip
    ((area,),) = heard(tool, "areaDrawn")
    assert area.isGeosValid()
    assert not area.contains(QgsGeometry.fromPointXY(QgsPointXY(332000, 5817000)))


def test_a_click_of_the_brush_is_a_dab(canvas, tool):
    tool.set_mode(BRUSH)
    click(canvas, 331000, 5816000)
    ((area,),) = heard(tool, "areaDrawn")
    assert area.area() == pytest.approx(math.pi * (10 * tool.radius) ** 2, rel=0.05)


def test_the_right_button_and_escape_drop_a_stroke(canvas, tool):
    tool.set_mode(BRUSH)
    for drop in (
        lambda: QTest.mousePress(canvas.viewport(), RIGHT, NONE, pixel_of(canvas, 331000, 5816000)),
        lambda: tool.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Escape, NONE)),
    ):
        QTest.mousePress(canvas.viewport(), LEFT, NONE, pixel_of(canvas, 331000, 5816000))
        assert tool.drawing
        drop()
        assert not tool.drawing
        QTest.mouseRelease(canvas.viewport(), LEFT, NONE, pixel_of(canvas, 331000, 5816000))
    assert heard(tool, "areaDrawn") == []


def test_dragging_the_eraser_erases_and_a_click_removes(canvas, tool):
    tool.set_mode(DELETE)
    drag(canvas, (331000, 5816000), (333000, 5816000))
    ((area,),) = heard(tool, "eraseAsked")
    assert area.area() == pytest.approx(2000 * 20 * tool.radius, rel=0.3)
    assert heard(tool, "removeAsked") == []
    click(canvas, 331000, 5815000)
    assert len(heard(tool, "removeAsked")) == 1
    assert len(heard(tool, "eraseAsked")) == 1


def test_shift_and_the_wheel_or_brackets_change_the_tip(canvas, tool):
    tool.set_mode(BRUSH)
    first = tool.radius
    for turn, modifiers in ((120, SHIFT), (120, SHIFT), (-120, SHIFT)):
        event = QWheelEvent(
            QPointF(300, 300), QPointF(300, 300), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, modifiers,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(canvas.viewport(), event)
    press(canvas, Qt.Key.Key_BracketRight)
    press(canvas, Qt.Key.Key_BracketLeft)
    radii = [radius for (radius,) in heard(tool, "radiusChanged")]
    assert radii[0] > first
    assert radii[1] > radii[0]
    assert radii[2] == radii[4] == radii[0]
    assert canvas.mapUnitsPerPixel() == pytest.approx(10, rel=0.01)


def test_the_tip_stays_within_its_limits(tool):
    tool.set_mode(BRUSH)
    for pixels in (1, 1000):
        tool.set_radius(pixels)
        assert 3 <= tool.radius <= 80


def test_grow_and_pick_say_where(canvas, tool):
    tool.set_mode(GROW)
    click(canvas, 331000, 5816000)
    assert heard(tool, "growAsked")[0][0].distance(331000, 5816000) < 10
    tool.set_mode(PICK)
    click(canvas, 332000, 5816000)
    tool.set_mode(POINT)
    click(canvas, 333000, 5816000, modifiers=ALT)
    assert [round(point.x(), -2) for point, _reach in heard(tool, "pickAsked")] == [332000, 333000]
    assert heard(tool, "pointPlaced") == []


def test_while_the_space_bar_is_held_no_sample_is_made(canvas, tool):
    """The map is the canvas's to pan then."""
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    QTest.mouseClick(canvas.viewport(), LEFT, NONE, pixel_of(canvas, 333000, 5816000))
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert heard(tool, "pointPlaced") == []
    click(canvas, 333000, 5816000)
    assert len(heard(tool, "pointPlaced")) == 1


@pytest.mark.parametrize(("key", "modifiers"), [(Qt.Key.Key_Z, CONTROL | SHIFT), (Qt.Key.Key_Y, CONTROL)])
def test_undo_and_redo_are_claimed_before_qgis_has_them(canvas, tool, key, modifiers):
    override = QKeyEvent(QEvent.Type.ShortcutOverride, key, modifiers)
    override.ignore()
    QApplication.sendEvent(canvas, override)
    assert override.isAccepted()
    press(canvas, key, modifiers)
    assert tool.heard == [("redoAsked",)]


def test_n_asks_for_the_next_place(canvas, tool):
    press(canvas, Qt.Key.Key_N)
    assert heard(tool, "nextAsked") == [[]]
    press(canvas, Qt.Key.Key_N, CONTROL)
    assert len(heard(tool, "nextAsked")) == 1


def test_where_the_mouse_is_is_told_until_it_leaves(canvas, tool):
    move(canvas, 331000, 5816000)
    move(canvas, 332000, 5816000)
    assert heard(tool, "hovered")[-1][0].distance(332000, 5816000) < 10
    QApplication.sendEvent(canvas, QEvent(QEvent.Type.Leave))
    assert heard(tool, "left") == [[]]
