# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the main job inside the real QGIS as a user would: scene, encode, samples by mouse, classify, screenshots.

Runs in QGIS's own Python (`qgis --code`), told by the plan that `qgis_window.start` writes. The plan's keys: `scene`,
`layer_name`, `extent` (xmin, ymin, xmax, ymax in the scene's CRS), `features` (folder), `map` (GeoTIFF to save),
`classes` (name -> colour), `samples` ([{class, x, y}] in the scene's CRS), `encoder`, `mouse` (`x11`: xdotool moves
the pointer; `qt`: events to the canvas alone), `screenshots` (folder), `notice`, `title`, `stay_open`, `limit`
(seconds) and `result` (JSON to write).
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from qgis import utils
from qgis.core import Qgis, QgsApplication, QgsCoordinateTransform, QgsPointXY, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qgis.PyQt.QtGui import QColor, QMouseEvent
from qgis.PyQt.QtWidgets import QApplication, QWidget
from qgis_script import Condition, Pause, Player, Program, Signal, Story, StoryError

# Seconds that a job of the backend may take on a slow machine.
JOB_LIMIT = 300

_running: list[Driver] = []


def start(plan_file: str) -> None:
    """Play the plan as soon as QGIS is up; called by `qgis --code`."""
    play(Driver, plan_file)


def play(kind: type[Driver], plan_file: str) -> None:
    """Let a driver of some kind play the plan."""
    driver = kind(json.loads(Path(plan_file).read_text("utf-8")))
    # Else Python would throw the driver away at the end of this call.
    _running.append(driver)
    QTimer.singleShot(0, driver.player.advance)


class Driver:
    """One run of the main job."""

    def __init__(self, plan: dict[str, Any]) -> None:
        """Prepare the run and listen for whatever goes wrong."""
        self.plan = plan
        self.iface = utils.iface
        self.canvas = self.iface.mapCanvas()
        self.dock: Any = None
        self.result: dict[str, Any] = {
            "error": None,
            "failed": [],
            "exceptions": [],
            "seconds": {},
            "qgis": Qgis.QGIS_VERSION,
        }
        self.player = Player(self.story(), self.finish)
        self._limit = QTimer()
        self._limit.setSingleShot(True)
        self._limit.timeout.connect(self._out_of_time)
        self._limit.start(int(plan["limit"] * 1000))
        show = sys.excepthook

        def note(kind: type[BaseException], value: BaseException, trace: Any) -> None:
            self.result["exceptions"].append("".join(traceback.format_exception(kind, value, trace)))
            show(kind, value, trace)

        sys.excepthook = note

    def story(self) -> Story:
        """The main job, step by step."""
        began = time.monotonic()
        plugin = yield from self._open_panel()
        self._lap("window", began)

        began = time.monotonic()
        imagery = self.dock.imagery
        self.result["info"] = yield Signal("inspect", self._open_scene, imagery.inspected, imagery.failed, 120)
        self._lap("backend_start_and_inspect", began)
        yield from self._zoom()
        yield from self._screenshot("1-imagery")

        began = time.monotonic()
        self.result["encoded"] = yield from self._encode()
        self._lap("encode", began)
        yield from self._zoom()
        yield from self._screenshot("2-features")

        began = time.monotonic()
        yield from self._click_samples()
        self._lap("samples", began)
        yield from self._screenshot("3-labels")

        began = time.monotonic()
        self.dock.show_step("map")
        classify = self.dock.map
        self.result["classified"] = yield Signal(
            "classify", classify.classify, classify.classified, classify.failed, JOB_LIMIT
        )
        self._lap("classify", began)
        if self.plan.get("map"):
            classify.save_as(self.plan["map"])
        yield from self._refresh()
        yield from self._screenshot("4-map")
        self.result["layers"] = [layer.name() for layer in QgsProject.instance().mapLayers().values()]
        self.result["backend_pid"] = plugin.backend.pid
        self.result["backend_peak_mb"] = _peak_memory_mb(plugin.backend.pid)

    def _open_panel(self) -> Story:
        window = self.iface.mainWindow()
        yield Condition("QGIS shows its window", window.isVisible)
        plugin = yield Condition("the plugin is loaded", lambda: utils.plugins.get("ssl4eo_plugin"))
        # Before anything else changes the project, because that is when QGIS writes its title bar.
        QgsProject.instance().setTitle(self.plan["title"])
        window.showMaximized()
        plugin.action.trigger()
        self.dock = plugin.dock
        self.dock.failed.connect(self.result["failed"].append)
        return plugin

    def finish(self, error: Exception | None) -> None:
        """Write the result, then close QGIS unless it is to stay open."""
        self._limit.stop()
        if error is not None:
            self.result["error"] = f"{type(error).__name__}: {error}" + _where(error)
            self.result["windows"] = _visible_windows()
        result = Path(self.plan["result"])
        partial = result.with_suffix(".part")
        partial.write_text(json.dumps(self.result, indent=2, default=str), "utf-8")
        partial.replace(result)
        if not self.plan["stay_open"]:
            # Else QGIS would ask whether to save the project.
            QgsProject.instance().setDirty(False)
            self.iface.actionExit().trigger()

    def _open_scene(self) -> None:
        layer = self.dock.imagery.open_file(self.plan["scene"])
        if layer is not None:
            layer.setName(self.plan["layer_name"])

    def _encode(self) -> Story:
        features = self.dock.features
        self.dock.show_step("features")
        if features.encoder_id() is None or not features.encoder_id():
            yield Signal("models", lambda: None, features.modelsLoaded, features.failed, 120)
        features.set_encoder(self.plan["encoder"])
        features.set_extent("drawn", QgsRectangle(*self.plan["extent"]))
        features.set_output(self.plan["features"])
        return (yield Signal("encode", features.encode, features.encoded, features.failed, JOB_LIMIT))

    def _click_samples(self) -> Story:
        labels = self.dock.labels
        self.dock.show_step("labels")
        names = {name: labels.add_class(name, QColor(color)) for name, color in self.plan["classes"].items()}
        self.result["clicks"] = []
        for sample in self.plan["samples"]:
            labels.select_class(names[sample["class"]])
            labels.activate_tool("point")
            pixel = self._pixel(sample["x"], sample["y"])
            before = sum(labels.counts().values())
            yield from self._click(pixel)
            yield Condition(f"a sample at {pixel}", lambda before=before: sum(labels.counts().values()) == before + 1)
            self.result["clicks"].append({**sample, "screen": [pixel.x(), pixel.y()]})
        labels.deactivate_tool()
        self.result["counts"] = labels.counts()
        self.result["samples_file"] = str(labels.store.path)

    def _pixel(self, x: float, y: float) -> QPoint:
        """Where a point of the scene is on the canvas, in its pixels."""
        scene = self.dock.imagery.layer().crs()
        settings = self.canvas.mapSettings()
        point = QgsCoordinateTransform(scene, settings.destinationCrs(), QgsProject.instance()).transform(
            QgsPointXY(x, y)
        )
        place = self.canvas.getCoordinateTransform().transform(point)
        pixel = QPoint(round(place.x()), round(place.y()))
        if not self.canvas.viewport().rect().contains(pixel):
            raise StoryError(f"the sample at {x}, {y} is outside the canvas")
        return pixel

    def _click(self, pixel: QPoint) -> Story:
        target = self.canvas.viewport()
        place = target.mapToGlobal(pixel)
        if self.plan["mouse"] == "x11":
            yield Program("xdotool", "mousemove", "--sync", str(place.x()), str(place.y()))
            yield Program("xdotool", "click", "1")
            return
        # The user's own pointer stays where it is.
        button = Qt.MouseButton.LeftButton
        for kind, held in (
            (QEvent.Type.MouseButtonPress, button),
            (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
        ):
            event = QMouseEvent(kind, QPointF(pixel), QPointF(place), button, held, Qt.KeyboardModifier.NoModifier)
            QApplication.postEvent(target, event)
        yield Pause(0.1)

    def _zoom(self) -> Story:
        scene = self.dock.imagery.layer().crs()
        transform = QgsCoordinateTransform(scene, self.canvas.mapSettings().destinationCrs(), QgsProject.instance())
        extent = transform.transformBoundingBox(QgsRectangle(*self.plan["extent"]))
        extent.scale(1.04)
        self.canvas.setExtent(extent)
        yield from self._refresh()

    def _refresh(self) -> Story:
        yield Pause(0.2)
        yield Signal("draw the map", self.canvas.refreshAllLayers, self.canvas.mapCanvasRefreshed)
        yield Condition("the map is drawn", lambda: not self.canvas.isDrawing())

    def _screenshot(self, name: str) -> Story:
        self._say_notice()
        path = str(Path(self.plan["screenshots"]) / f"{name}.png")
        yield Pause(0.3)
        if self.plan["mouse"] == "x11":
            yield Program("import", "-window", "root", path)
        else:
            # The window alone: the rest of the user's screen is nobody's business.
            self.iface.mainWindow().grab().save(path)

    def _say_notice(self) -> None:
        if self.plan.get("notice"):
            # In place of what QGIS says of finished tasks.
            self.iface.messageBar().clearWidgets()
            self.iface.messageBar().pushMessage("SSL4EO demo", self.plan["notice"], Qgis.MessageLevel.Info, 0)

    def _lap(self, name: str, began: float) -> None:
        self.result["seconds"][name] = round(time.monotonic() - began, 2)

    def _out_of_time(self) -> None:
        self.finish(StoryError(f"not done after {self.plan['limit']} s"))


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "".join(f"\n  {frame.name}, line {frame.lineno}: {frame.line}" for frame in frames)


def _visible_windows() -> list[str]:
    """What stands open on the screen: a dialog that nobody closes is a common reason for a run that hangs."""
    windows: list[QWidget] = QgsApplication.topLevelWidgets()
    return [f"{type(window).__name__}: {window.windowTitle()}" for window in windows if window.isVisible()]


def _peak_memory_mb(pid: int | None) -> float | None:
    """The largest resident memory that a process has had, in MB; None where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.exists():
        return None
    line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)
