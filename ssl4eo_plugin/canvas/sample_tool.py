# SPDX-License-Identifier: GPL-2.0-or-later
"""The map tool that samples are made with: points by click, areas corner by corner, and a mode that removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsGeometry, QgsPointXY
from qgis.gui import QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeySequence

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas, QgsMapMouseEvent
    from qgis.PyQt.QtGui import QKeyEvent

__all__ = ["DELETE", "POINT", "POLYGON", "SampleTool"]

POINT, POLYGON, DELETE = "point", "polygon", "delete"

# Pixels on the screen: how near a click must be to a point sample to mean it, a little more than its dot.
_REACH = 9
_LINE_WIDTH = 2
_FILL_ALPHA = 70
_FEWEST_CORNERS = 3


class SampleTool(QgsMapTool):
    """Turns clicks and keys into signals; coordinates are in the CRS of the canvas.

    Left click places a point or a corner. Right click or double click ends an area, Backspace takes its last
    corner back, Esc drops it. Shift+click removes a sample in every mode. 1 to 9 choose a class, Ctrl+Z undoes.
    """

    pointPlaced = pyqtSignal(QgsPointXY)
    areaDrawn = pyqtSignal(QgsGeometry)
    # Where, and within how many map units.
    removeAsked = pyqtSignal(QgsPointXY, float)
    # 1 to 9.
    classAsked = pyqtSignal(int)
    undoAsked = pyqtSignal()
    # A sentence about a drawing that cannot be used, "" when it can again.
    complained = pyqtSignal(str)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Make the tool for a canvas; `canvas.setMapTool` switches it on."""
        super().__init__(canvas)
        self._canvas = canvas
        self._mode = POINT
        self._color = QColor("white")
        self._corners: list[QgsPointXY] = []
        self._band = QgsRubberBand(canvas)
        self._band.setWidth(_LINE_WIDTH)
        self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 160))
        self.setCursor(Qt.CursorShape.CrossCursor)

    @property
    def mode(self) -> str:
        """The mode: `point`, `polygon` or `delete`."""
        return self._mode

    @property
    def drawing(self) -> bool:
        """Whether an area is begun and not yet ended."""
        return bool(self._corners)

    def set_mode(self, mode: str) -> None:
        """Choose what a left click does; an area that was begun is dropped."""
        self._drop()
        self._mode = mode
        self.setCursor(Qt.CursorShape.PointingHandCursor if mode == DELETE else Qt.CursorShape.CrossCursor)

    def set_color(self, color: QColor) -> None:
        """Draw the area in progress in the colour of its class."""
        self._color = QColor(color)
        self._band.setStrokeColor(self._color)
        fill = QColor(color)
        fill.setAlpha(_FILL_ALPHA)
        self._band.setFillColor(fill)

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:
        """Act on the press, not the release, so that a hand that moves while clicking hits what it aimed at."""
        if event.button() == Qt.MouseButton.RightButton:
            self._end_area()
        elif event.button() == Qt.MouseButton.LeftButton:
            self._left_click(event)

    def canvasDoubleClickEvent(self, event: QgsMapMouseEvent) -> None:
        """End an area; its last corner came with the first click of the two."""
        # In the other modes the first click did it all: a second at the same place is a slip of the finger.
        if event.button() == Qt.MouseButton.LeftButton and self._mode == POLYGON:
            self._end_area()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        """Draw the area as it would be with a corner here."""
        if self._corners:
            self._show([*self._corners, event.mapPoint()])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose a class, undo, or change the area in progress; other keys go on to QGIS."""
        if event.matches(QKeySequence.StandardKey.Undo):
            self._undo()
        elif event.key() == Qt.Key.Key_Escape and self._corners:
            self._drop()
        elif event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and self._corners:
            self._take_back_corner()
        elif event.text() in tuple("123456789") and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.classAsked.emit(int(event.text()))
        else:
            event.ignore()
            return
        # QGIS's own shortcuts must not see a key that was used here.
        event.accept()

    def deactivate(self) -> None:
        """Drop what is in progress when another tool takes over."""
        self._drop()
        super().deactivate()

    def dispose(self) -> None:
        """Take the drawing off the canvas for good."""
        scene = self._canvas.scene()
        if self._band is not None and scene is not None:
            scene.removeItem(self._band)
        self._band = None

    def _left_click(self, event: QgsMapMouseEvent) -> None:
        removing = self._mode == DELETE or event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if removing and not self._corners:
            self.removeAsked.emit(event.mapPoint(), self._reach(event.pos()))
        elif self._mode == POINT:
            self.pointPlaced.emit(event.mapPoint())
        elif self._mode == POLYGON:
            self._corners.append(event.mapPoint())
            self._show(self._corners)

    def _reach(self, pos: QPoint) -> float:
        here = self.toMapCoordinates(pos)
        return here.distance(self.toMapCoordinates(pos + QPoint(_REACH, 0)))

    def _undo(self) -> None:
        if self._corners:
            self._take_back_corner()
        else:
            self.undoAsked.emit()

    def _take_back_corner(self) -> None:
        self._corners.pop()
        self.complained.emit("")
        self._show(self._corners)

    def _end_area(self) -> None:
        if not self._corners:
            return
        corners = [corner for corner, before in zip(self._corners, [None, *self._corners]) if corner != before]
        area = QgsGeometry.fromPolygonXY([corners])
        if len(corners) < _FEWEST_CORNERS:
            self.complained.emit(self.tr("An area needs three corners; click on, or press Esc to drop it."))
        elif not area.isGeosValid() or area.area() == 0:
            self.complained.emit(
                self.tr("The outline crosses itself; Backspace takes the last corner back, Esc drops the area.")
            )
        else:
            self._drop()
            self.areaDrawn.emit(area)

    def _drop(self) -> None:
        if self._corners:
            self.complained.emit("")
        self._corners = []
        if self._band is not None:
            self._band.reset()

    def _show(self, corners: list[QgsPointXY]) -> None:
        if len(corners) < _FEWEST_CORNERS:
            shape = QgsGeometry.fromPolylineXY(corners)
        else:
            shape = QgsGeometry.fromPolygonXY([corners])
        self._band.setToGeometry(shape, self._canvas.mapSettings().destinationCrs())
        self.set_color(self._color)
