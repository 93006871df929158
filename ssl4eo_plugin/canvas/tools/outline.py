# SPDX-License-Identifier: GPL-2.0-or-later
"""An area drawn corner by corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.tools.band import AreaBand

if TYPE_CHECKING:
    from qgis.gui import QgsMapCanvas
    from qgis.PyQt.QtGui import QColor

__all__ = ["Outline"]

_FEWEST_CORNERS = 3

translate = QCoreApplication.translate


class Outline:
    """The corners of an area that is begun and not yet ended, and its picture on the canvas."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        """Begin without a corner."""
        self._band = AreaBand(canvas)
        self._corners: list[QgsPointXY] = []

    @property
    def begun(self) -> bool:
        """Whether there is a corner."""
        return bool(self._corners)

    def set_color(self, color: QColor) -> None:
        """Draw in the colour of the class."""
        self._band.set_color(color)

    def add(self, corner: QgsPointXY) -> None:
        """Add a corner."""
        self._corners.append(corner)
        self._show(self._corners)

    def show_with(self, corner: QgsPointXY) -> None:
        """Draw the area as it would be with another corner."""
        if self._corners:
            self._show([*self._corners, corner])

    def take_back(self) -> None:
        """Remove the last corner."""
        self._corners.pop()
        self._show(self._corners)

    def fault(self) -> str:
        """Return why the area cannot be ended here, "" when it can."""
        area = self._area()
        if len(area.asPolygon()[0]) <= _FEWEST_CORNERS:
            return translate("SampleTool", "An area needs three corners; click on, or press Esc to drop it.")
        if not area.isGeosValid() or area.area() == 0:
            return translate(
                "SampleTool", "The outline crosses itself; Backspace takes the last corner back, Esc drops the area."
            )
        return ""

    def end(self) -> QgsGeometry:
        """Return the area and begin anew."""
        area = self._area()
        self.drop()
        return area

    def drop(self) -> None:
        """Begin anew."""
        self._corners = []
        self._band.clear()

    def dispose(self) -> None:
        """Take the drawing off the canvas for good."""
        self._band.dispose()

    def _area(self) -> QgsGeometry:
        # The second click of a double click comes as a corner at the same place.
        corners = [corner for corner, before in zip(self._corners, [None, *self._corners]) if corner != before]
        return QgsGeometry.fromPolygonXY([[*corners, corners[0]]])

    def _show(self, corners: list[QgsPointXY]) -> None:
        if len(corners) < _FEWEST_CORNERS:
            self._band.show(QgsGeometry.fromPolylineXY(corners))
        else:
            self._band.show(QgsGeometry.fromPolygonXY([corners]))
