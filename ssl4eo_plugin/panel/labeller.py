# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sample tool's clicks, strokes and keys do to the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.sample_tool import SampleTool
from ssl4eo_plugin.panel.hover import Hover

if TYPE_CHECKING:
    from collections.abc import Callable

    from qgis.gui import QgsMapTool

    from ssl4eo_plugin.canvas.samples_store import SamplesStore
    from ssl4eo_plugin.panel.class_table import ClassTable
    from ssl4eo_plugin.panel.guidance import Guidance
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["Labeller"]


class Labeller(QObject):
    """Owns the map tool while the user labels."""

    failed = pyqtSignal(str)
    # All is well again.
    settled = pyqtSignal()
    # The tool took the map or gave it back, or its mode changed.
    changed = pyqtSignal()
    hovered = pyqtSignal(str)

    def __init__(self, state: PanelState, table: ClassTable, guidance: Guidance, parent: QObject) -> None:
        """Make the tool; `activate` gives it the map."""
        super().__init__(parent)
        self._state, self._table, self._guidance = state, table, guidance
        self.tool = tool = SampleTool(state.canvas)
        self._before: QgsMapTool | None = None
        tool.pointPlaced.connect(lambda point: self._add_here(QgsGeometry.fromPointXY(point)))
        tool.areaDrawn.connect(self._add_here)
        tool.growAsked.connect(self._grow)
        tool.removeAsked.connect(self._remove_at)
        tool.eraseAsked.connect(self._erase)
        tool.pickAsked.connect(self._pick)
        tool.classAsked.connect(self._class_key)
        tool.undoAsked.connect(lambda: self.change(lambda store: store.undo()))
        tool.redoAsked.connect(lambda: self.change(lambda store: store.redo()))
        tool.nextAsked.connect(guidance.next)
        tool.complained.connect(lambda words: self.failed.emit(words) if words else self.settled.emit())
        tool.deactivated.connect(self.changed)
        # No lambda: the canvas lives on when this one is gone.
        state.canvas.mapToolSet.connect(self._map_tool_set)
        self._hover = Hover(state, tool)
        self._hover.said.connect(self.hovered)

    def activate(self, mode: str) -> None:
        """Take the map in a mode of the tool."""
        canvas = self._state.canvas
        self.tool.set_mode(mode)
        if canvas.mapTool() is not self.tool:
            self._before = canvas.mapTool()
            canvas.setMapTool(self.tool)
        # The keys 1 to 9 go to the tool from now on.
        canvas.setFocus()
        self.changed.emit()

    def deactivate(self) -> None:
        """Give the map back to the tool that had it before."""
        canvas = self._state.canvas
        if canvas.mapTool() is self.tool:
            if self._before is not None:
                canvas.setMapTool(self._before)
            else:
                canvas.unsetMapTool(self.tool)
        self.changed.emit()

    def mode(self) -> str:
        """Return the mode of the tool, "" when it has not got the map."""
        return self.tool.mode if self._state.canvas.mapTool() is self.tool else ""

    def change(self, change: Callable[[SamplesStore], object]) -> bool:
        """Change the samples; what is wrong is told by `failed`."""
        if self._state.store is None:
            return False
        try:
            change(self._state.store)
        except CanvasError as error:
            self.failed.emit(str(error))
            return False
        self.settled.emit()
        return True

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self.deactivate()
        self._state.canvas.mapToolSet.disconnect(self._map_tool_set)
        self.tool.dispose()

    def _map_tool_set(self, *_: object) -> None:
        self.changed.emit()

    def _crs(self) -> QgsCoordinateReferenceSystem:
        return self._state.canvas.mapSettings().destinationCrs()

    def _add_here(self, geometry: QgsGeometry) -> None:
        if self._add(geometry, self._crs(), self._table.current()):
            # The user chose a place of their own.
            self._guidance.leave()

    def _add(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, name: str) -> bool:
        features = self._state.features
        if not name:
            self.failed.emit(self.tr("There is no class to give to this sample; add one first."))
        elif features is None:
            self.failed.emit(self.tr("There is no feature set in use; encode an image first."))
        elif not features.contains(geometry, crs):
            self.failed.emit(
                self.tr("This place lies outside the encoded extent; click inside it or encode a larger one.")
            )
        else:
            return self.change(lambda store: store.add(geometry, crs, name))
        return False

    def _remove_at(self, point: QgsPointXY, radius: float) -> None:
        self.change(lambda store: store.remove_at(point, self._crs(), radius))

    def _erase(self, stroke: QgsGeometry) -> None:
        self.change(lambda store: store.erase(stroke, self._crs()))

    def _grow(self, point: QgsPointXY) -> None:
        live, features, name, crs = self._state.live, self._state.features, self._table.current(), self._crs()
        if live is None or features is None:
            self.failed.emit(self.tr("Growing asks the live map; switch it on, or draw the area."))
            return
        if not features.contains(QgsGeometry.fromPointXY(point), crs):
            self._add(QgsGeometry.fromPointXY(point), crs, name)
            return
        session = self._state.session

        def grown(answer: dict[str, Any] | None) -> None:
            if session is not self._state.session:
                return
            if answer is None or not answer.get("wkt"):
                self.failed.emit(self.tr("Nothing could be grown from this place; click a point or draw the area."))
            else:
                self._add(QgsGeometry.fromWkt(answer["wkt"]), features.crs, name)

        live.grow(point, crs, grown)

    def _pick(self, point: QgsPointXY, radius: float) -> None:
        """Choose the class of the sample under the cursor, else that of the live map."""
        store, live, crs = self._state.store, self._state.live, self._crs()
        try:
            found = store.sample_at(point, crs, radius) if store is not None else None
        except CanvasError as error:
            self.failed.emit(str(error))
            return
        if found is not None and self._table.select(found[1]):
            self.settled.emit()
        elif live is not None:
            live.probe(point, crs, self._picked)
        else:
            self._picked(None)

    def _picked(self, answer: dict[str, Any] | None) -> None:
        if answer is None or answer["nodata"] or not self._table.select(answer["class"]):
            self.failed.emit(self.tr("There is no class to pick here; click a sample, or the live map."))
        else:
            self.settled.emit()

    def _class_key(self, key: int) -> None:
        name = self._table.name_of_key(key)
        if not self._table.select(name):
            return
        place = self._guidance.place()
        if place is not None and self._add(QgsGeometry.fromPointXY(place[0]), place[1], name):
            self._guidance.labelled()

    def set_color(self, color: QColor) -> None:
        """Draw in the colour of the chosen class."""
        self.tool.set_color(color)
