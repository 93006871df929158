# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample tool under a real mouse and keyboard on a real canvas."""

from __future__ import annotations

import pytest
from qgis.PyQt.QtCore import Qt

from ssl4eo_plugin.canvas.extent_tool import ExtentOutline, ExtentTool
from ssl4eo_plugin.canvas.sample_tool import DELETE, POINT, POLYGON
from tests.qgis.canvas_helpers import RIGHT, SHIFT, click, double_click, drag, heard_tool, press


@pytest.fixture
def tool(canvas):
    with heard_tool(
        canvas, ("pointPlaced", "areaDrawn", "removeAsked", "classAsked", "undoAsked", "complained")
    ) as tool:
        yield tool


def heard(tool, name: str) -> list[tuple]:
    return [values for kind, *values in tool.heard if kind == name]


def test_a_click_places_one_point_where_it_hit(canvas, tool):
    hit = click(canvas, 331000, 5815000)
    ((point,),) = heard(tool, "pointPlaced")
    # Half a pixel of the canvas is 5 m.
    assert point.distance(331000, 5815000) < 10
    assert point.compare(hit, 1e-6)


def test_a_slip_of_the_finger_places_no_second_point(canvas, tool):
    double_click(canvas, 331000, 5815000)
    assert len(heard(tool, "pointPlaced")) == 1


def test_the_right_button_places_no_point(canvas, tool):
    click(canvas, 331000, 5815000, RIGHT)
    assert tool.heard == []


@pytest.mark.parametrize("end", ["right click", "double click"])
def test_an_area_is_drawn_corner_by_corner(canvas, tool, end):
    tool.set_mode(POLYGON)
    click(canvas, 331000, 5815000)
    click(canvas, 333000, 5815000)
    if end == "right click":
        click(canvas, 333000, 5817000)
        click(canvas, 332000, 5819000, RIGHT)
    else:
        double_click(canvas, 333000, 5817000)
    ((area,),) = heard(tool, "areaDrawn")
    assert area.asPolygon()[0][0].distance(331000, 5815000) < 10
    # Three corners and the first again; the right click is no corner.
    assert len(area.asPolygon()[0]) == 4
    assert area.area() == pytest.approx(2e6, rel=0.02)
    assert not tool.drawing


def test_backspace_takes_back_a_corner_and_escape_drops_the_area(canvas, tool):
    tool.set_mode(POLYGON)
    for x, y in ((331000, 5815000), (333000, 5815000), (335000, 5819000)):
        click(canvas, x, y)
    press(canvas, Qt.Key.Key_Backspace)
    click(canvas, 333000, 5817000)
    click(canvas, 333000, 5817000, RIGHT)
    ((area,),) = heard(tool, "areaDrawn")
    assert area.area() == pytest.approx(2e6, rel=0.02)

    click(canvas, 331000, 5815000)
    press(canvas, Qt.Key.Key_Escape)
    assert not tool.drawing
    click(canvas, 331000, 5815000, RIGHT)
    assert len(heard(tool, "areaDrawn")) == 1


def test_an_outline_that_crosses_itself_is_refused_and_can_be_mended(canvas, tool):
    tool.set_mode(POLYGON)
    for x, y in ((331000, 5815000), (333000, 5817000), (333000, 5815000), (331000, 5817000)):
        click(canvas, x, y)
    click(canvas, 331000, 5817000, RIGHT)
    assert heard(tool, "areaDrawn") == []
    assert "crosses itself" in heard(tool, "complained")[-1][0]
    assert tool.drawing
    press(canvas, Qt.Key.Key_Backspace)
    assert heard(tool, "complained")[-1] == [""]
    click(canvas, 331000, 5817000, RIGHT)
    assert len(heard(tool, "areaDrawn")) == 1


def test_two_corners_are_no_area(canvas, tool):
    tool.set_mode(POLYGON)
    click(canvas, 331000, 5815000)
    click(canvas, 333000, 5815000)
    click(canvas, 333000, 5815000, RIGHT)
    assert heard(tool, "areaDrawn") == []
    assert "three corners" in heard(tool, "complained")[-1][0]


def test_another_tool_drops_the_area_in_progress(canvas, tool):
    tool.set_mode(POLYGON)
    click(canvas, 331000, 5815000)
    canvas.unsetMapTool(tool)
    assert not tool.drawing


@pytest.mark.parametrize(("mode", "modifiers"), [(DELETE, None), (POINT, SHIFT), (POLYGON, SHIFT)])
def test_samples_are_removed_in_delete_mode_or_with_shift(canvas, tool, mode, modifiers):
    tool.set_mode(mode)
    click(canvas, 331000, 5815000, **({"modifiers": modifiers} if modifiers else {}))
    ((point, reach),) = heard(tool, "removeAsked")
    assert point.distance(331000, 5815000) < 10
    # 9 pixels of 10 m.
    assert reach == pytest.approx(90, rel=0.01)
    assert heard(tool, "pointPlaced") == []
    assert not tool.drawing


def test_digits_choose_a_class_and_control_z_undoes(canvas, tool):
    press(canvas, Qt.Key.Key_3)
    press(canvas, Qt.Key.Key_0)
    press(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tool.heard == [("classAsked", 3), ("undoAsked",)]


def test_control_z_takes_a_corner_back_before_it_undoes_a_sample(canvas, tool):
    tool.set_mode(POLYGON)
    click(canvas, 331000, 5815000)
    press(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not tool.drawing
    assert heard(tool, "undoAsked") == []


def test_an_extent_is_dragged(canvas):
    outline = ExtentOutline(canvas)
    tool, drawn = ExtentTool(canvas, outline), []
    tool.drawn.connect(drawn.append)
    canvas.setMapTool(tool)
    drag(canvas, (331000, 5818000), (333000, 5815000))
    (rect,) = drawn
    assert (rect.width(), rect.height()) == (pytest.approx(2000, abs=11), pytest.approx(3000, abs=11))
    # A click is no extent.
    click(canvas, 331000, 5815000)
    assert len(drawn) == 1
    canvas.unsetMapTool(tool)
    outline.dispose()
