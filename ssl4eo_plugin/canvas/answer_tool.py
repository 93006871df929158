# SPDX-License-Identifier: GPL-2.0-or-later
"""The map tool of the assessment: it pans, and its keys answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsGeometry, QgsRectangle
from qgis.gui import QgsMapToolPan, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

if TYPE_CHECKING:
    from qgis.core import QgsCoordinateReferenceSystem
    from qgis.gui import QgsMapCanvas
    from qgis.PyQt.QtGui import QKeyEvent

__all__ = ["AnswerTool", "PixelFrame", "answer_key"]

# What `answer_key` returns beside the number of a class.
BACK, SKIP = -1, -2
_FRAME_WIDTH = 2


def answer_key(event: QKeyEvent) -> int | None:
    """Return what a key answers: 1 to 9 a class, -1 back to the last point, -2 skip; None when nothing."""
    if event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
        return None
    if event.key() == Qt.Key.Key_Backspace:
        return BACK
    if event.key() == Qt.Key.Key_S:
        return SKIP
    return int(event.text()) if event.text() in tuple("123456789") else None


class AnswerTool(QgsMapToolPan):
    """Drags the map like QGIS's own hand."""

    # See `answer_key`.
    answered = pyqtSignal(int)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Make the tool for a canvas."""
        super().__init__(canvas)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Answer."""
        answer = answer_key(event)
        if answer is None:
            super().keyPressEvent(event)
        else:
            self.answered.emit(answer)
            event.accept()


class PixelFrame:
    """The outline of the pixel that is asked for."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Show nothing yet."""
        self._canvas = canvas
        self._bands = []
        # White around black shows on any ground.
        for color, width in ((QColor("white"), 2 * _FRAME_WIDTH + 1), (QColor("black"), _FRAME_WIDTH)):
            band = QgsRubberBand(canvas)
            band.setStrokeColor(color)
            band.setFillColor(QColor(0, 0, 0, 0))
            band.setWidth(width)
            self._bands.append(band)

    def show(self, pixel: QgsRectangle, crs: QgsCoordinateReferenceSystem) -> None:
        """Draw a rectangle of `crs`."""
        ring = QgsGeometry.fromPolygonXY(QgsGeometry.fromRect(pixel).asPolygon())
        for band in self._bands:
            color, fill = band.strokeColor(), band.fillColor()
            band.setToGeometry(ring, crs)
            band.setStrokeColor(color)
            band.setFillColor(fill)

    def clear(self) -> None:
        """Draw nothing."""
        for band in self._bands:
            band.reset()

    def dispose(self) -> None:
        """Leave the canvas for good."""
        scene = self._canvas.scene()
        for band in self._bands:
            if scene is not None:
                scene.removeItem(band)
        self._bands = []
