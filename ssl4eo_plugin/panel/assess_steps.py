# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps through the points of an assessment: shows where, hides what the map says, takes the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.answer_tool import BACK, SKIP, AnswerTool, PixelFrame
from ssl4eo_plugin.canvas.errors import CanvasError

if TYPE_CHECKING:
    from qgis.gui import QgsMapTool

    from ssl4eo_plugin.canvas.assessment import Assessment
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["Stepper"]

# Pixels of the map across the canvas when a point is shown first; the user's own zoom is kept then.
_ACROSS = 60
_TELLING = (layers.LIVE, layers.MAP, layers.POLYGONS, layers.CERTAINTY)


class Stepper(QObject):
    """One point after the other; answers are in the file at once."""

    # Another point is shown, or an answer was given.
    changed = pyqtSignal()
    failed = pyqtSignal(str)
    # All points have an answer.
    completed = pyqtSignal()

    def __init__(self, state: PanelState, parent: QObject) -> None:
        """Wait for `begin`."""
        super().__init__(parent)
        self._state = state
        self._tool = AnswerTool(state.canvas)
        self._tool.answered.connect(self.key)
        self._tool.deactivated.connect(self.pause)
        self._frame = PixelFrame(state.canvas)
        self._before: QgsMapTool | None = None
        # By id: a layer may be taken out of the project meanwhile.
        self._hidden: list[str] = []
        self._zoomed = False
        self._trail: list[int] = []
        self.assessment: Assessment | None = None
        self.layer: QgsRasterLayer | None = None
        self.classes: list[str] = []
        self.index: int | None = None

    @property
    def running(self) -> bool:
        """Whether a point is being asked for."""
        return self.index is not None

    def take(self, assessment: Assessment | None, layer: QgsRasterLayer | None, classes: list[str]) -> None:
        """Use a sample of the map that `layer` shows; answers are among `classes`, chosen by the keys 1 to 9."""
        self.pause()
        if self.assessment is not None:
            self.assessment.close()
        self.assessment, self.layer, self.classes = assessment, layer, classes
        self._zoomed, self._trail = False, []

    def begin(self) -> None:
        """Show the first point without an answer."""
        if self.assessment is None or self.assessment.next_open() is None:
            return
        canvas = self._state.canvas
        self._hide_map()
        if canvas.mapTool() is not self._tool:
            self._before = canvas.mapTool()
            canvas.setMapTool(self._tool)
        self._show(self.assessment.next_open())
        canvas.setFocus()

    def pause(self) -> None:
        """Give the map back, as it was."""
        if self.index is None:
            return
        self.index = None
        self._frame.clear()
        for layer_id in self._hidden:
            node = self._state.project.layerTreeRoot().findLayer(layer_id)
            if node is not None:
                node.setItemVisibilityChecked(True)
        self._hidden = []
        canvas = self._state.canvas
        if canvas.mapTool() is self._tool:
            if self._before is not None:
                canvas.setMapTool(self._before)
            else:
                canvas.unsetMapTool(self._tool)
        self.changed.emit()

    def key(self, answer: int) -> None:
        """Do what a key asks for; see `answer_key`."""
        if answer == BACK:
            self.back()
        elif answer == SKIP:
            self.skip()
        elif answer <= len(self.classes):
            self.answer(self.classes[answer - 1])

    def answer(self, class_name: str) -> None:
        """Say what the point is and go on to the next."""
        if self.index is None:
            return
        try:
            self.assessment.answer(self.index, class_name)
        except CanvasError as error:
            self.failed.emit(str(error))
            return
        self._go_on()

    def skip(self) -> None:
        """Leave the point open and go on."""
        if self.index is not None:
            self._go_on()

    def back(self) -> None:
        """Show the last point again, to be answered anew."""
        if self.index is not None and self._trail:
            self._show(self._trail.pop())

    def last(self) -> tuple[str, str] | None:
        """Return what the last point was said to be, and what the map says there; None before the first answer."""
        if not self._trail or self.assessment is None:
            return None
        answer = self.assessment.answer_of(self._trail[-1])
        return (answer, self._class_of_map(self._trail[-1])) if answer else None

    def dispose(self) -> None:
        """Leave the canvas for good."""
        self.take(None, None, [])
        self._frame.dispose()

    def _go_on(self) -> None:
        self._trail.append(self.index)
        following = self.assessment.next_open(self.index)
        if following is None:
            self.pause()
            self.completed.emit()
        else:
            self._show(following)

    def _show(self, index: int) -> None:
        self.index = index
        place, crs = self.assessment.place(index), self.assessment.crs
        pixel = self._pixel(place)
        self._frame.show(pixel, crs)
        canvas = self._state.canvas
        around = pixel.buffered(pixel.width() * _ACROSS / 2)
        try:
            transform = QgsCoordinateTransform(crs, canvas.mapSettings().destinationCrs(), self._state.project)
            if not self._zoomed:
                canvas.setExtent(transform.transformBoundingBox(around))
                self._zoomed = True
            canvas.setCenter(transform.transform(place))
        except QgsCsException:
            self.failed.emit(self.tr("This point has no place on the map as it is shown; choose another projection."))
        canvas.refresh()
        self.changed.emit()

    def _pixel(self, place: QgsPointXY) -> QgsRectangle:
        wide, high = self.layer.rasterUnitsPerPixelX(), self.layer.rasterUnitsPerPixelY()
        extent = self.layer.extent()
        left = extent.xMinimum() + ((place.x() - extent.xMinimum()) // wide) * wide
        top = extent.yMaximum() - ((extent.yMaximum() - place.y()) // high) * high
        return QgsRectangle(left, top - high, left + wide, top)

    def _class_of_map(self, index: int) -> str:
        code, read = self.layer.dataProvider().sample(self.assessment.place(index), 1)
        entries = self.layer.renderer().classes() if hasattr(self.layer.renderer(), "classes") else []
        return next((entry.label for entry in entries if read and int(entry.value) == int(code)), "")

    def _hide_map(self) -> None:
        """Take off what would tell the answer."""
        root = self._state.project.layerTreeRoot()
        for kind in _TELLING:
            for layer in layers.find_layers(self._state.project, kind):
                node = root.findLayer(layer.id())
                if node is not None and node.itemVisibilityChecked():
                    node.setItemVisibilityChecked(False)
                    self._hidden.append(layer.id())
