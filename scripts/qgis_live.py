# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels by clicking inside the real QGIS, and watches the live map after each click; or measures many clicks.

Runs in QGIS's own Python like `qgis_driver.py`, whose plan it shares: `scene`, `layer_name`, `extent`, `classes`,
`mouse`, `screenshots`, `title`, `notice`, `stay_open`, `limit`, `result`; and `features` is an existing feature set,
`samples` are clicked in their order, `project` (.qgz) is where the project is saved, `grid` is how many places a side
the map is read at. With `measure` (a number of clicks) and `canvas` (its side in pixels) it only clicks and takes the
time.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import qgis_driver
from osgeo import gdal
from qgis import utils
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QColor, QMouseEvent
from qgis.PyQt.QtWidgets import QApplication
from qgis_script import Condition, Pause, Program, Signal, Story, StoryError, Wait

# Seconds within which a click must be answered before the run counts as broken.
_ANSWER = 60
# Seconds between two clicks that are measured, so that each finds QGIS and the backend at rest as a hand does.
_REST = 0.6


def start(plan_file: str) -> None:
    """Play the plan as soon as QGIS is up; called by `qgis --code`."""
    qgis_driver.play(LiveDriver, plan_file)


class Answer(Wait):
    """Click, then wait until the canvas shows what the backend made of it; the value is when each came, in seconds."""

    def __init__(self, driver: LiveDriver, click: Any) -> None:
        """Set what clicks."""
        super().__init__("answer to a click", _ANSWER)
        self._driver, self._click = driver, click
        self._live, self._canvas = driver.live, driver.canvas
        self._times: dict[str, float] = {}
        self._links = (
            (self._live.fitted, self._fitted),
            (self._live.repainted, self._repainted),
            (self._canvas.renderStarting, self._drawing),
            (self._canvas.mapCanvasRefreshed, self._drawn),
        )

    def begin(self) -> None:
        """Listen, then click."""
        for told, slot in self._links:
            told.connect(slot)
        self._began = time.perf_counter()
        self._click()

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        """Listen no longer."""
        for told, slot in self._links:
            told.disconnect(slot)
        self._links = ()
        super().end(value, error)

    def _note(self, name: str) -> None:
        self._times[name] = time.perf_counter() - self._began

    def _fitted(self, answer: dict[str, Any]) -> None:
        self._note("fitted")
        if not answer["ready"]:
            self.end({**self._times, "ready": False})

    def _repainted(self, _shown: dict[str, Any]) -> None:
        if "fitted" in self._times:
            self._times.pop("drawing", None)
            self._note("repainted")

    def _drawing(self) -> None:
        if "repainted" in self._times:
            self._note("drawing")

    def _drawn(self) -> None:
        if "drawing" in self._times:
            self._note("drawn")
            self.end({**self._times, "ready": True})


class LiveDriver(qgis_driver.Driver):
    """One run of labelling by clicks."""

    def story(self) -> Story:
        """Open the image and its features, then label, or only measure."""
        plugin = yield from self._open_panel()
        self.live = self.dock.state.live_map
        imagery = self.dock.imagery
        self.result["info"] = yield Signal("inspect", self._open_scene, imagery.inspected, imagery.failed, 120)
        if self.plan.get("canvas"):
            side = self.plan["canvas"] + 2 * self.canvas.frameWidth()
            self.canvas.setFixedSize(side, side)
        self.dock.features.use(self.plan["features"])
        yield from self._zoom()
        self.dock.show_step("labels")
        labels = self.dock.labels
        for name, color in self.plan["classes"].items():
            labels.add_class(name, QColor(color))
        labels.activate_tool("point")
        yield Condition("the backend knows of the classes", lambda: self.live.answer, 120)
        size = self.canvas.mapSettings().outputSize()
        self.result["canvas"] = [size.width(), size.height()]
        if self.plan.get("measure"):
            yield from self._measure()
        else:
            yield from self._label(plugin)
        self.result["backend_pid"] = plugin.backend.pid

    def _label(self, plugin: Any) -> Story:
        clicks = self.result["clicks"] = []
        for sample in self.plan["samples"][:-2]:
            click = yield from self._click_sample(sample)
            clicks += [click]
        yield from self._refresh()
        yield from self._screenshot("1-labelled")
        full = self._map()
        yield from self._undo_and_redo(len(clicks), full)
        self.result["killed"] = plugin.backend.pid
        os.kill(plugin.backend.pid, signal.SIGKILL)
        after_kill = yield from self._click_sample(self.plan["samples"][-2])
        self.result["after_kill"] = {**after_kill, "pid": plugin.backend.pid}
        yield from self._screenshot("2-after-kill")
        yield from self._save_and_reopen()
        self.result["after_reopening"] = yield from self._click_sample(self.plan["samples"][-1])
        yield from self._likeness()
        self.result["counts"] = self.dock.labels.counts()
        self.result["samples_file"] = str(self.dock.labels.store.path)
        gdal.GetDriverByName("GTiff").CreateCopy(str(self._file("live.tif")), gdal.Open(self.live.layer.source()))

    def _click_sample(self, sample: dict[str, Any]) -> Story:
        """Click a place of a class with the mouse; return what the map says there and when it said so."""
        labels = self.dock.labels
        labels.select_class(sample["class"])
        if labels.tool_mode() != "point":
            labels.activate_tool("point")
        pixel = self._pixel(sample["x"], sample["y"])
        before = sum(labels.counts().values())
        if self.plan["mouse"] == "x11":
            place = self.canvas.viewport().mapToGlobal(pixel)
            yield Program("xdotool", "mousemove", "--sync", str(place.x()), str(place.y()))
        times = yield Answer(self, lambda: self._press(pixel))
        said = self._said(sample) if times["ready"] else None
        here = self.canvas.grab().toImage().pixelColor(pixel + QPoint(0, 12)).name()
        return {
            **sample,
            "times": times,
            "says": said,
            "color_beside": here,
            "added": sum(labels.counts().values()) - before,
        }

    def _press(self, pixel: QPoint) -> None:
        if self.plan["mouse"] == "x11":
            self._pointer = Program("xdotool", "click", "1")
            self._pointer.start(lambda _value, _error: None)
            return
        target = self.canvas.viewport()
        button, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        for kind, held in ((QEvent.Type.MouseButtonPress, button), (QEvent.Type.MouseButtonRelease, none)):
            place = QPointF(target.mapToGlobal(pixel))
            event = QMouseEvent(kind, QPointF(pixel), place, button, held, Qt.KeyboardModifier.NoModifier)
            QApplication.postEvent(target, event)

    def _undo_and_redo(self, clicks: int, full: np.ndarray) -> Story:
        """Take all clicks back by key, then do them again."""
        counts = lambda: sum(self.dock.labels.counts().values())  # noqa: E731
        self.canvas.setFocus()
        for left in reversed(range(clicks)):
            yield Program("xdotool", "key", "ctrl+z")
            yield Condition(f"{left} samples left", lambda left=left: counts() == left)
        yield Condition("an empty map", lambda: not self._map().any(), 10)
        yield from self._screenshot("3-undone")
        self.result["undone"] = counts()
        for there in range(1, clicks + 1):
            yield Program("xdotool", "key", "ctrl+shift+z")
            yield Condition(f"{there} samples again", lambda there=there: counts() == there)
        yield Condition("the map again", lambda: np.array_equal(self._map(), full), 20)
        self.result["redone"] = counts()

    def _save_and_reopen(self) -> Story:
        project = QgsProject.instance()
        before = self._map()
        if not project.write(self.plan["project"]):
            raise StoryError("the project cannot be saved")
        self.result["layers_after_saving"] = [layer.name() for layer in project.mapLayers().values()]
        project.clear()
        yield Pause(0.5)
        self.result["layers_of_no_project"] = [layer.name() for layer in project.mapLayers().values()]
        self.iface.addProject(self.plan["project"])
        yield Condition("the live map is back", lambda: self.live.layer is not None, _ANSWER)
        yield from self._refresh()
        yield Condition("the same map", lambda: np.array_equal(self._map(), before), 20)
        layers = project.mapLayers().values()
        self.result["layers_after_opening"] = {layer.name(): layer.isValid() for layer in layers}
        self.result["dirty_after_opening"] = project.isDirty()
        yield from self._screenshot("4-reopened")

    def _likeness(self) -> Story:
        """Look at the other layer and back, for the picture."""
        choices = self.dock.state.choices
        yield Signal("likeness", lambda: choices.choose(layer="similarity"), self.live.repainted)
        yield from self._refresh()
        yield from self._screenshot("5-likeness")
        yield Signal("classes", lambda: choices.choose(layer="classes"), self.live.repainted)
        yield from self._refresh()

    def _measure(self) -> Story:
        times = self.result["times"] = []
        cycle = itertools.cycle(self.plan["samples"])
        for sample in itertools.islice(cycle, self.plan["measure"] + len(self.plan["classes"])):
            said = yield from self._click_sample(sample)
            if said["times"]["ready"]:
                times.append({**said["times"], "samples": sum(self.dock.labels.counts().values())})
            yield Pause(_REST)

    def _map(self) -> np.ndarray:
        """The codes that the layer shows now, at a grid of places of the extent; (grid, grid)."""
        xmin, ymin, xmax, ymax = self.plan["extent"]
        side = self.plan["grid"]
        xs = xmin + (np.arange(side) + 0.5) / side * (xmax - xmin)
        ys = ymax - (np.arange(side) + 0.5) / side * (ymax - ymin)
        return self._codes(*np.meshgrid(xs, ys))

    def _codes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        dataset = gdal.Open(self.live.layer.source())
        left, across, _zero, top, _zero, down = dataset.GetGeoTransform()
        codes = dataset.GetRasterBand(1).ReadAsArray()
        columns = np.clip(((x - left) / across).astype(int), 0, codes.shape[1] - 1)
        rows = np.clip(((y - top) / down).astype(int), 0, codes.shape[0] - 1)
        return codes[rows, columns]

    def _said(self, sample: dict[str, Any]) -> str | None:
        """The class that the layer names at a place."""
        code = int(self._codes(np.array(sample["x"]), np.array(sample["y"])))
        names = {int(entry.value): entry.label for entry in self.live.layer.renderer().classes()}
        return names.get(code)

    def _file(self, name: str) -> Path:
        return Path(self.plan["screenshots"]) / name


assert utils.iface is not None, "runs inside QGIS"
