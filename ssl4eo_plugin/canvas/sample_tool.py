# SPDX-License-Identifier: GPL-2.0-or-later
"""The map tool that samples are made with: point, area, brush, grow, eraser, and a mode that picks a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsGeometry, QgsPointXY
from qgis.gui import QgsMapTool
from qgis.PyQt.QtCore import QEvent, QObject, QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeySequence

from ssl4eo_plugin.canvas.tools.outline import Outline
from ssl4eo_plugin.canvas.tools.stroke import Stroke

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas, QgsMapMouseEvent
    from qgis.PyQt.QtGui import QKeyEvent, QWheelEvent

__all__ = ["BRUSH", "DELETE", "GROW", "PICK", "POINT", "POLYGON", "SampleTool"]

POINT, POLYGON, BRUSH, GROW, DELETE, PICK = "point", "polygon", "brush", "grow", "delete", "pick"

# Pixels on the screen: how near a click must be to a point sample to mean it, a little more than its dot.
_REACH = 9
_ERASER = QColor("#ffffff")
_TIPS = (BRUSH, DELETE)
_CURSORS = {DELETE: Qt.CursorShape.PointingHandCursor, PICK: Qt.CursorShape.WhatsThisCursor}
_DIGITS = tuple("123456789")


class SampleTool(QgsMapTool):
    """Turns mouse and keys into signals; coordinates are in the CRS of the canvas.

    A left click places a point or a corner, or begins a stroke. Right click or double click ends an area, Backspace
    takes its last corner back, Esc drops it. In every mode Shift+click removes a sample and Alt+click picks a class;
    1 to 9 choose a class, N goes to the next suggestion, and the map is panned while the space bar is held.
    """

    pointPlaced = pyqtSignal(QgsPointXY)
    areaDrawn = pyqtSignal(QgsGeometry)
    growAsked = pyqtSignal(QgsPointXY)
    # Where, and within how many map units.
    removeAsked = pyqtSignal(QgsPointXY, float)
    pickAsked = pyqtSignal(QgsPointXY, float)
    eraseAsked = pyqtSignal(QgsGeometry)
    # 1 to 9.
    classAsked = pyqtSignal(int)
    undoAsked = pyqtSignal()
    redoAsked = pyqtSignal()
    nextAsked = pyqtSignal()
    hovered = pyqtSignal(QgsPointXY)
    left = pyqtSignal()
    # Of the brush and the eraser, in pixels.
    radiusChanged = pyqtSignal(int)
    # A sentence about a drawing that cannot be used, "" when it can again.
    complained = pyqtSignal(str)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Make the tool for a canvas; `canvas.setMapTool` switches it on."""
        super().__init__(canvas)
        self._canvas = canvas
        self._mode = POINT
        self._color = QColor("white")
        self._outline, self._stroke = Outline(canvas), Stroke(canvas)
        self._space = False
        self.setCursor(Qt.CursorShape.CrossCursor)

    @property
    def mode(self) -> str:
        """The mode: `point`, `polygon`, `brush`, `grow`, `delete` or `pick`."""
        return self._mode

    @property
    def drawing(self) -> bool:
        """Whether an area or a stroke is begun and not yet ended."""
        return self._outline.begun or self._stroke.begun

    @property
    def radius(self) -> int:
        """The radius of the brush and the eraser in pixels."""
        return self._stroke.radius

    def set_radius(self, pixels: int) -> None:
        """Set the radius of the brush and the eraser."""
        if pixels != self._stroke.radius:
            self._stroke.set_radius(pixels)
            self.radiusChanged.emit(self._stroke.radius)

    def set_mode(self, mode: str) -> None:
        """Choose what a left click does; what was begun is dropped."""
        self._drop()
        self._stroke.hide()
        self._mode = mode
        self.set_color(self._color)
        self.setCursor(_CURSORS.get(mode, Qt.CursorShape.CrossCursor))

    def set_color(self, color: QColor) -> None:
        """Draw what is in progress in the colour of its class."""
        self._color = QColor(color)
        self._outline.set_color(self._color)
        self._stroke.set_color(_ERASER if self._mode == DELETE else self._color)

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:
        """Act on the press, not the release, so that a hand that moves while clicking hits what it aimed at."""
        if self._space:
            # The canvas is being panned.
            return
        if event.button() == Qt.MouseButton.RightButton:
            self._stroke.drop()
            self._end_area()
        elif event.button() == Qt.MouseButton.LeftButton:
            self._left_click(event)

    def canvasDoubleClickEvent(self, event: QgsMapMouseEvent) -> None:
        """End an area; its last corner came with the first click of the two."""
        # In the other modes the first click did it all: a second at the same place is a slip of the finger.
        if event.button() == Qt.MouseButton.LeftButton and self._mode == POLYGON:
            self._end_area()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        """Draw the area as it would be with a corner here, or the stroke up to here."""
        self._outline.show_with(event.mapPoint())
        if self._mode in _TIPS:
            self._stroke.hover(event.mapPoint())
        if not self._stroke.begun:
            self.hovered.emit(event.mapPoint())

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        """End a stroke."""
        if event.button() != Qt.MouseButton.LeftButton or not self._stroke.begun:
            return
        shape, start, still = self._stroke.shape(), self._stroke.start(), self._stroke.still()
        self._stroke.drop()
        if self._mode == BRUSH:
            self.areaDrawn.emit(shape)
        elif still:
            self.removeAsked.emit(start, self._reach(event.pos()))
        else:
            self.eraseAsked.emit(shape)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Change the tip with Shift; without it the canvas zooms."""
        if self._mode in _TIPS and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            # Some systems turn Shift+wheel into a sideways one.
            turned = event.angleDelta().y() or event.angleDelta().x()
            self._change_tip(1 if turned > 0 else -1)
            event.accept()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose a class, undo, or change what is in progress; other keys go on to QGIS."""
        key, text = event.key(), event.text()
        if event.matches(QKeySequence.StandardKey.Undo):
            self._undo()
        elif _is_redo(event):
            self.redoAsked.emit()
        elif key == Qt.Key.Key_Escape and self.drawing:
            self._drop()
        elif key in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and self._outline.begun:
            self._take_back_corner()
        elif event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()
            return
        elif text in _DIGITS:
            self.classAsked.emit(int(text))
        elif key == Qt.Key.Key_N:
            self.nextAsked.emit()
        elif self._mode in _TIPS and text in ("[", "]", "-", "+"):
            self._change_tip(1 if text in ("]", "+") else -1)
        else:
            event.ignore()
            return
        # QGIS's own shortcuts must not see a key that was used here.
        event.accept()

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Know whether the space bar is held, which the canvas keeps to itself; claim undo before QGIS's own."""
        kind = event.type()
        if kind == QEvent.Type.ShortcutOverride:
            if event.matches(QKeySequence.StandardKey.Undo) or _is_redo(event):
                event.accept()
                return True
        elif kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
                self._space = kind == QEvent.Type.KeyPress
        elif kind == QEvent.Type.FocusOut:
            self._space = False
        elif kind == QEvent.Type.Leave:
            self._stroke.hide()
            self.left.emit()
        return False

    def activate(self) -> None:
        """Listen to the canvas."""
        super().activate()
        self._canvas.installEventFilter(self)

    def deactivate(self) -> None:
        """Drop what is in progress when another tool takes over."""
        self._canvas.removeEventFilter(self)
        self._space = False
        self._drop()
        self._stroke.hide()
        self.left.emit()
        super().deactivate()

    def dispose(self) -> None:
        """Take the drawing off the canvas for good."""
        self._outline.dispose()
        self._stroke.dispose()

    def _left_click(self, event: QgsMapMouseEvent) -> None:
        point, reach = event.mapPoint(), self._reach(event.pos())
        if self._outline.begun:
            self._outline.add(point)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.removeAsked.emit(point, reach)
        elif self._mode == PICK or event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self.pickAsked.emit(point, reach)
        elif self._mode == POLYGON:
            self._outline.add(point)
        elif self._mode in _TIPS:
            self._stroke.begin(point)
        elif self._mode == GROW:
            self.growAsked.emit(point)
        else:
            self.pointPlaced.emit(point)

    def _reach(self, pos: QPoint) -> float:
        here = self.toMapCoordinates(pos)
        return here.distance(self.toMapCoordinates(pos + QPoint(_REACH, 0)))

    def _change_tip(self, steps: int) -> None:
        self._stroke.grow_tip(steps)
        self.radiusChanged.emit(self._stroke.radius)

    def _undo(self) -> None:
        if self._outline.begun:
            self._take_back_corner()
        else:
            self.undoAsked.emit()

    def _take_back_corner(self) -> None:
        self._outline.take_back()
        self.complained.emit("")

    def _end_area(self) -> None:
        if not self._outline.begun:
            return
        fault = self._outline.fault()
        if fault:
            self.complained.emit(fault)
            return
        area = self._outline.end()
        self.complained.emit("")
        self.areaDrawn.emit(area)

    def _drop(self) -> None:
        if self._outline.begun:
            self.complained.emit("")
        self._outline.drop()
        self._stroke.drop()


def _is_redo(event: QKeyEvent) -> bool:
    # Both on every system: Qt knows one of them per system only.
    return event.matches(QKeySequence.StandardKey.Redo) or (
        event.modifiers() == Qt.KeyboardModifier.ControlModifier and event.key() == Qt.Key.Key_Y
    ) or (
        event.modifiers() == Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        and event.key() == Qt.Key.Key_Z
    )  # fmt: skip
