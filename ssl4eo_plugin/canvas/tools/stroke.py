# SPDX-License-Identifier: GPL-2.0-or-later
"""A stroke of the brush or the eraser: what a round tip covers while the mouse is held down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsGeometry, QgsPointXY
from qgis.gui import QgsVertexMarker
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.tools.band import AreaBand

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas

__all__ = ["Stroke"]

# Radius of the tip in pixels of the screen.
_RADIUS, _FINEST, _BROADEST = 12, 3, 80
_STEP = 1.25
# Corners of a quarter circle, and how far in pixels the outline may be off: finer than a hand is.
_QUARTER, _TOLERANCE = 6, 0.5
# Pixels: a press that moves less than that is a click.
_STILL = 4


class Stroke:
    """The way of the tip in the CRS of the canvas, and the tip's ring under the mouse."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Begin with no stroke."""
        self._canvas = canvas
        self._way: list[QgsPointXY] = []
        self._band = AreaBand(canvas)
        self._ring: QgsVertexMarker | None = QgsVertexMarker(canvas)
        self._ring.setIconType(QgsVertexMarker.IconType.ICON_CIRCLE)
        self._ring.setPenWidth(2)
        self.radius = _RADIUS
        self.set_radius(_RADIUS)
        self.hide()

    @property
    def begun(self) -> bool:
        """Whether a stroke is going on."""
        return bool(self._way)

    def set_radius(self, pixels: int) -> None:
        """Make the tip finer or broader."""
        self.radius = max(_FINEST, min(_BROADEST, pixels))
        if self._ring is not None:
            self._ring.setIconSize(2 * self.radius)

    def grow_tip(self, steps: int) -> None:
        """Make the tip broader by steps, finer by negative ones."""
        wanted = round(self.radius * _STEP**steps)
        self.set_radius(wanted if wanted != self.radius else self.radius + steps)

    def set_color(self, color: QColor) -> None:
        """Draw in the colour of the class, or of the eraser."""
        self._band.set_color(color)
        if self._ring is not None:
            self._ring.setColor(color)

    def hover(self, point: QgsPointXY) -> None:
        """Show the tip at a place, and the stroke up to it."""
        if self._ring is not None:
            self._ring.setCenter(point)
            self._ring.show()
        if self._way:
            self._way.append(point)
            self._band.show(self.shape())

    def begin(self, point: QgsPointXY) -> None:
        """Put the tip down."""
        self._way = [point]
        self.hover(point)

    def still(self) -> bool:
        """Return whether the tip has hardly moved, as in a click."""
        first = self._way[0]
        return all(first.distance(point) < _STILL * self._canvas.mapUnitsPerPixel() for point in self._way)

    def start(self) -> QgsPointXY:
        """Return where the tip was put down."""
        return self._way[0]

    def shape(self) -> QgsGeometry:
        """Return what the tip covered, a polygon."""
        pixel = self._canvas.mapUnitsPerPixel()
        line = QgsGeometry.fromPolylineXY(self._way) if not self.still() else QgsGeometry.fromPointXY(self._way[0])
        return line.buffer(self.radius * pixel, _QUARTER).simplify(_TOLERANCE * pixel)

    def drop(self) -> None:
        """Forget the stroke."""
        self._way = []
        self._band.clear()

    def hide(self) -> None:
        """Take the ring off until the mouse is back."""
        if self._ring is not None:
            self._ring.hide()

    def dispose(self) -> None:
        """Leave the canvas for good."""
        self._band.dispose()
        scene = self._canvas.scene()
        if self._ring is not None and scene is not None:
            scene.removeItem(self._ring)
        self._ring = None
