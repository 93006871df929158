# SPDX-License-Identifier: GPL-2.0-or-later
"""What is drawn on the canvas while a sample is being made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.gui import QgsRubberBand
from qgis.PyQt.QtGui import QColor

if TYPE_CHECKING:
    from qgis.core import QgsGeometry
    from qgis.gui import QgsMapCanvas

__all__ = ["AreaBand"]

_LINE_WIDTH = 2
_FILL_ALPHA = 70


class AreaBand:
    """An area or line in the colour of a class, in the CRS of the canvas."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Show nothing yet."""
        self._canvas = canvas
        self._color = QColor("white")
        self._band: QgsRubberBand | None = QgsRubberBand(canvas)
        self._band.setWidth(_LINE_WIDTH)
        self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 160))

    def set_color(self, color: QColor) -> None:
        """Draw in a colour, see-through inside."""
        self._color = QColor(color)
        if self._band is not None:
            self._band.setStrokeColor(self._color)
            fill = QColor(color)
            fill.setAlpha(_FILL_ALPHA)
            self._band.setFillColor(fill)

    def show(self, shape: QgsGeometry) -> None:
        """Draw a shape in place of the last one."""
        if self._band is not None:
            self._band.setToGeometry(shape, self._canvas.mapSettings().destinationCrs())
            # A new geometry resets the colours.
            self.set_color(self._color)

    def clear(self) -> None:
        """Draw nothing."""
        if self._band is not None:
            self._band.reset()

    def dispose(self) -> None:
        """Leave the canvas for good."""
        scene = self._canvas.scene()
        if self._band is not None and scene is not None:
            scene.removeItem(self._band)
        self._band = None
