# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks on the canvas: numbered places to label next, and rings around labels to look at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsPointXY, QgsProject
from qgis.gui import QgsMapCanvasItem
from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QFont, QPainter, QPen

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas

__all__ = ["Marks"]

# Pixels on the screen.
_DISC, _RING, _EDGE = 11.0, 10.0, 3.0
_TEXT_SIZE = 11
# Above the map and its rubber bands.
_HEIGHT = 90
_DISC_COLOR, _CURRENT_COLOR, _RING_COLOR = QColor("#1d1d1b"), QColor("#d4570a"), QColor("#e3211b")
_WHITE = QColor("white")


class Marks:
    """Numbered discs, or rings without a number, at places that they keep while the map moves."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Show nothing yet."""
        self._canvas = canvas
        self._items: list[_Mark] = []
        self._placed: list[tuple[QgsPointXY, str]] = []
        self._crs = QgsCoordinateReferenceSystem()
        self._current = -1
        canvas.destinationCrsChanged.connect(self._place)

    def show(self, places: list[tuple[QgsPointXY, str]], crs: QgsCoordinateReferenceSystem) -> None:
        """Show places of `crs` with the number of each, "" for a ring, in place of those before."""
        self._placed, self._crs, self._current = places, crs, -1
        self._place()

    def set_current(self, index: int) -> None:
        """Let one of the marks stand out, -1 none."""
        self._current = index
        for number, item in enumerate(self._items):
            item.set_current(number == index)

    def positions(self) -> list[QgsPointXY]:
        """Return where the marks are, in the CRS of the canvas."""
        return [item.place for item in self._items]

    def clear(self) -> None:
        """Show nothing."""
        self.show([], self._crs)

    def dispose(self) -> None:
        """Leave the canvas for good."""
        self._canvas.destinationCrsChanged.disconnect(self._place)
        self._placed = []
        self._place()

    def _place(self) -> None:
        scene = self._canvas.scene()
        for item in self._items:
            if scene is not None:
                scene.removeItem(item)
        self._items = []
        transform = QgsCoordinateTransform(
            self._crs, self._canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        for place, text in self._placed:
            try:
                self._items.append(_Mark(self._canvas, transform.transform(place), text))
            except QgsCsException:
                # It has no place on this map.
                continue
        self.set_current(self._current)


class _Mark(QgsMapCanvasItem):
    """One mark; QGIS moves it with the map by `updatePosition`."""

    def __init__(self, canvas: QgsMapCanvas, place: QgsPointXY, text: str) -> None:
        super().__init__(canvas)
        self.place = place
        self._text = text
        self._current = False
        self.setZValue(_HEIGHT)
        self.updatePosition()

    def set_current(self, current: bool) -> None:
        self._current = current
        self.update()

    def updatePosition(self) -> None:
        self.setPos(self.toCanvasCoordinates(self.place))

    def boundingRect(self) -> QRectF:
        half = _DISC + _EDGE
        return QRectF(-half, -half, 2 * half, 2 * half)

    def paint(self, painter: QPainter, *_: object) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._text:
            self._paint_disc(painter)
        else:
            # White around red shows on any ground.
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for color, width in ((_WHITE, 5.0), (_RING_COLOR, 2.6)):
                painter.setPen(QPen(color, width))
                painter.drawEllipse(QPointF(0, 0), _RING, _RING)

    def _paint_disc(self, painter: QPainter) -> None:
        painter.setPen(QPen(_WHITE, 2.0))
        painter.setBrush(_CURRENT_COLOR if self._current else _DISC_COLOR)
        painter.drawEllipse(QPointF(0, 0), _DISC, _DISC)
        font = QFont(painter.font())
        font.setPixelSize(_TEXT_SIZE)
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(self.boundingRect(), Qt.AlignmentFlag.AlignCenter, self._text)
