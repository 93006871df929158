# SPDX-License-Identifier: GPL-2.0-or-later
"""A mouse and a keyboard on a map canvas, and a look at a GeoPackage from outside, for the tests in QGIS."""

from __future__ import annotations

from contextlib import contextmanager

from osgeo import ogr
from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsRectangle
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication

from ssl4eo_plugin.canvas.sample_tool import SampleTool

UTM = QgsCoordinateReferenceSystem("EPSG:32633")
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


def show(canvas, extent: QgsRectangle, crs: QgsCoordinateReferenceSystem = UTM) -> None:
    """Let a canvas of about 600 x 600 pixels show an extent."""
    # A canvas in a hidden window is never told its size.
    canvas.window().show()
    canvas.show()
    canvas.resize(600, 600)
    QApplication.processEvents()
    assert canvas.mapSettings().outputSize() == canvas.viewport().size()
    canvas.setDestinationCrs(crs)
    canvas.setExtent(extent)
    QApplication.processEvents()


@contextmanager
def heard_tool(canvas, signals):
    """Give a canvas the sample tool, which keeps in `heard` what it says by these signals."""
    tool = SampleTool(canvas)
    tool.heard = []
    for name in signals:
        getattr(tool, name).connect(lambda *values, name=name: tool.heard.append((name, *values)))
    canvas.setMapTool(tool)
    yield tool
    canvas.unsetMapTool(tool)
    tool.dispose()


def pixel_of(canvas, x: float, y: float) -> QPoint:
    """Where a point, in the CRS of the canvas, is on the canvas."""
    place = canvas.getCoordinateTransform().transform(QgsPointXY(x, y))
    return QPoint(round(place.x()), round(place.y()))


def click(canvas, x: float, y: float, button=LEFT, modifiers=NONE) -> QgsPointXY:
    """Click at a point and return where the pixel that was hit lies."""
    pixel = pixel_of(canvas, x, y)
    QTest.mouseClick(canvas.viewport(), button, modifiers, pixel)
    return canvas.getCoordinateTransform().toMapCoordinates(pixel.x(), pixel.y())


def double_click(canvas, x: float, y: float) -> None:
    """Send what a mouse sends: a click, then the double click in place of the second press."""
    pixel = pixel_of(canvas, x, y)
    QTest.mouseClick(canvas.viewport(), LEFT, NONE, pixel)
    QTest.mouseDClick(canvas.viewport(), LEFT, NONE, pixel)


def move(canvas, x: float, y: float, buttons=Qt.MouseButton.NoButton) -> None:
    """Move the mouse to a point; unlike QTest, which moves the pointer of the screen, the canvas is told at once."""
    pixel = pixel_of(canvas, x, y)
    there = QPointF(canvas.viewport().mapToGlobal(pixel))
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(pixel), there, Qt.MouseButton.NoButton, buttons, NONE)
    QApplication.sendEvent(canvas.viewport(), event)


def drag(canvas, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Drag with the left button from one point to another."""
    stroke(canvas, start, stop)


def stroke(canvas, *places: tuple[float, float]) -> None:
    """Drag with the left button from place to place."""
    QTest.mousePress(canvas.viewport(), LEFT, NONE, pixel_of(canvas, *places[0]))
    for place in places[1:]:
        move(canvas, *place, LEFT)
    QTest.mouseRelease(canvas.viewport(), LEFT, NONE, pixel_of(canvas, *places[-1]))


def press(canvas, key, modifiers=NONE) -> None:
    """Press a key on the canvas."""
    QTest.keyClick(canvas, key, modifiers)


def on_disk(path, table: str) -> list[dict]:
    """Read a table through a connection of its own, as another program would."""
    dataset = ogr.Open(str(path), 0)
    layer = dataset.GetLayerByName(table)
    return [
        {**feature.items(), "fid": feature.GetFID(), "wkt": feature.GetGeometryRef().ExportToWkt()} for feature in layer
    ]
