# SPDX-License-Identifier: GPL-2.0-or-later
"""The map tool that draws the extent to encode, and the outline that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsRectangle
from qgis.gui import QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas, QgsMapMouseEvent
    from qgis.PyQt.QtGui import QKeyEvent

__all__ = ["ExtentOutline", "ExtentTool"]

# Amber, from a scheme for colour-blind readers (IBM Design Language v1): stands out on vegetation and water.
_COLOR = QColor("#ffb000")
_FILL_ALPHA = 30
_LINE_WIDTH = 2
# Pixels on the screen: a shorter drag is a click that slipped.
_SHORTEST_DRAG = 4


class ExtentOutline:
    """A rectangle on the canvas, in any CRS."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Prepare an outline that shows nothing yet."""
        self._canvas = canvas
        self._band = QgsRubberBand(canvas)
        self._band.setWidth(_LINE_WIDTH)

    def show(self, rect: QgsRectangle, crs: QgsCoordinateReferenceSystem | None = None) -> None:
        """Show a rectangle given in `crs`, or in the CRS of the canvas."""
        crs = crs or self._canvas.mapSettings().destinationCrs()
        self._band.setToGeometry(QgsGeometry.fromRect(rect), crs)
        self._band.setStrokeColor(_COLOR)
        self._band.setSecondaryStrokeColor(QColor(0, 0, 0, 120))
        fill = QColor(_COLOR)
        fill.setAlpha(_FILL_ALPHA)
        self._band.setFillColor(fill)

    def hide(self) -> None:
        """Show nothing."""
        self._band.reset()

    def dispose(self) -> None:
        """Take the outline off the canvas for good."""
        if self._canvas.scene() is not None:
            self._canvas.scene().removeItem(self._band)


class ExtentTool(QgsMapTool):
    """Draws a rectangle from one corner to the other; Esc gives up."""

    # In the CRS of the canvas.
    drawn = pyqtSignal(QgsRectangle)

    def __init__(self, canvas: QgsMapCanvas, outline: ExtentOutline) -> None:
        """Make the tool for a canvas; what it draws shows in `outline`."""
        super().__init__(canvas)
        self._outline = outline
        self._start: QPoint | None = None
        self.setCursor(Qt.CursorShape.CrossCursor)

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:
        """Set the first corner."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._start = event.pos()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        """Show the rectangle as it would be with the other corner here."""
        if self._start is not None:
            self._outline.show(self._rect(event.pos()))

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        """Set the other corner."""
        if self._start is None or event.button() != Qt.MouseButton.LeftButton:
            return
        rect, way = self._rect(event.pos()), event.pos() - self._start
        self._start = None
        if min(abs(way.x()), abs(way.y())) >= _SHORTEST_DRAG:
            self.drawn.emit(rect)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Give up the rectangle in progress on Esc."""
        if event.key() == Qt.Key.Key_Escape and self._start is not None:
            self._start = None
            self._outline.hide()
            event.accept()
        else:
            event.ignore()

    def deactivate(self) -> None:
        """Give up when another tool takes over."""
        self._start = None
        super().deactivate()

    def _rect(self, pos: QPoint) -> QgsRectangle:
        return QgsRectangle(self.toMapCoordinates(self._start), self.toMapCoordinates(pos))
