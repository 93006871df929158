# SPDX-License-Identifier: GPL-2.0-or-later
"""Which part of the image to encode: all of it, what the map shows, or a rectangle drawn on the map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsRectangle
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QButtonGroup, QSizePolicy

from ssl4eo_plugin.canvas.extent_tool import ExtentOutline, ExtentTool
from ssl4eo_plugin.panel.widgets import mark_checked

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QToolButton

    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["DRAWN", "LAYER", "VIEW", "ExtentPicker"]

LAYER, VIEW, DRAWN = "layer", "view", "drawn"

# Parts of a pixel: an edge on a pixel edge must not take in a neighbour because of the last bit.
_TOLERANCE = 1e-6


class ExtentPicker(QObject):
    """The three buttons, the map tool behind the third, and the outline of what was drawn."""

    changed = pyqtSignal()

    def __init__(self, state: PanelState, buttons: dict[str, QToolButton], parent: QObject) -> None:
        """Take the buttons over; the whole layer is chosen."""
        super().__init__(parent)
        self._state = state
        self._buttons = buttons
        self._drawn: QgsRectangle | None = None
        self._visible = False
        self._outline = ExtentOutline(state.canvas)
        self._tool = ExtentTool(state.canvas, self._outline)
        self._tool.drawn.connect(self._take_drawn)
        self._tool.deactivated.connect(self._show)
        self._tool_before = None
        group = QButtonGroup(self)
        for mode, button in buttons.items():
            button.setCheckable(True)
            mark_checked(button)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _checked=False, mode=mode: self.choose(mode))
            group.addButton(button)
        buttons[LAYER].setChecked(True)
        state.canvas.extentsChanged.connect(self._view_moved)
        state.sceneChanged.connect(self._forget)

    @property
    def mode(self) -> str:
        """`layer`, `view` or `drawn`."""
        return next(mode for mode, button in self._buttons.items() if button.isChecked())

    def choose(self, mode: str, rect: QgsRectangle | None = None) -> None:
        """Choose a mode; `drawn` takes a rectangle in the scene's CRS, or starts the tool that draws one."""
        self._buttons[mode].setChecked(True)
        if mode == DRAWN and rect is not None:
            self._drawn = QgsRectangle(rect)
        elif mode == DRAWN:
            self._start_drawing()
        if mode != DRAWN or rect is not None:
            self._stop_drawing()
        self._show()
        self.changed.emit()

    def extent(self) -> QgsRectangle | None:
        """Return the extent in the scene's CRS on whole pixels, or None when it does not touch the scene."""
        scene = self._state.scene
        if scene is None:
            return None
        if self.mode == LAYER:
            return scene.bounds
        wanted = self._drawn if self.mode == DRAWN else self._view(scene.crs)
        if wanted is None or wanted.isEmpty() or not wanted.intersects(scene.bounds):
            return None
        return _snapped(wanted, scene.bounds, *scene.info["resolution"])

    def size(self) -> tuple[int, int] | None:
        """Return width and height of the extent in pixels."""
        extent = self.extent()
        if extent is None:
            return None
        across, down = self._state.scene.info["resolution"]
        return max(1, round(extent.width() / across)), max(1, round(extent.height() / down))

    def drawing(self) -> bool:
        """Return whether a rectangle is waited for."""
        return self._state.canvas.mapTool() is self._tool

    def set_visible(self, visible: bool) -> None:
        """Show the outline only while the page is on top."""
        self._visible = visible
        if not visible:
            self._stop_drawing()
        self._show()

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self._stop_drawing()
        self._state.canvas.extentsChanged.disconnect(self._view_moved)
        self._outline.dispose()

    def _start_drawing(self) -> None:
        canvas = self._state.canvas
        if canvas.mapTool() is not self._tool:
            self._tool_before = canvas.mapTool()
            canvas.setMapTool(self._tool)

    def _stop_drawing(self) -> None:
        canvas = self._state.canvas
        if canvas.mapTool() is self._tool:
            if self._tool_before is not None:
                canvas.setMapTool(self._tool_before)
            else:
                canvas.unsetMapTool(self._tool)

    def _take_drawn(self, rect: QgsRectangle) -> None:
        scene = self._state.scene
        if scene is not None:
            self._drawn = self._moved(rect, self._state.canvas.mapSettings().destinationCrs(), scene.crs)
        self._stop_drawing()
        self._show()
        self.changed.emit()

    def _view(self, crs: QgsCoordinateReferenceSystem) -> QgsRectangle | None:
        canvas = self._state.canvas
        return self._moved(canvas.extent(), canvas.mapSettings().destinationCrs(), crs)

    def _moved(
        self, rect: QgsRectangle, source: QgsCoordinateReferenceSystem, target: QgsCoordinateReferenceSystem
    ) -> QgsRectangle | None:
        try:
            return QgsCoordinateTransform(source, target, self._state.project).transformBoundingBox(rect)
        except QgsCsException:
            # A view of half the world has no place in a UTM zone.
            return None

    def _view_moved(self) -> None:
        if self.mode == VIEW and self._visible:
            self.changed.emit()

    def _forget(self) -> None:
        self._drawn = None
        if self.mode == DRAWN:
            self._buttons[LAYER].setChecked(True)
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        extent = self.extent() if self.mode == DRAWN and self._visible else None
        if extent is None:
            self._outline.hide()
        else:
            self._outline.show(extent, self._state.scene.crs)


def _snapped(wanted: QgsRectangle, bounds: QgsRectangle, across: float, down: float) -> QgsRectangle:
    """Return the pixels of a raster that a rectangle touches."""
    left, top = bounds.xMinimum(), bounds.yMaximum()
    col = math.floor((wanted.xMinimum() - left) / across + _TOLERANCE)
    col_stop = math.ceil((wanted.xMaximum() - left) / across - _TOLERANCE)
    row = math.floor((top - wanted.yMaximum()) / down + _TOLERANCE)
    row_stop = math.ceil((top - wanted.yMinimum()) / down - _TOLERANCE)
    snapped = QgsRectangle(left + col * across, top - row_stop * down, left + col_stop * across, top - row * down)
    return snapped.intersect(bounds)
