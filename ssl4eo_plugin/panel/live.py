# SPDX-License-Identifier: GPL-2.0-or-later
"""The live map: each change of the samples repaints it, panning and zooming only ask for another view of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
from qgis.core import QgsCoordinateTransform, QgsCsException, QgsRectangle
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.live_layer import LiveLayer, Look
from ssl4eo_plugin.canvas.view_box import ViewBox, view_box
from ssl4eo_plugin.engine.live import LiveWorker

if TYPE_CHECKING:
    from collections.abc import Callable

    from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsRasterLayer

    from ssl4eo_plugin.engine.process import BackendProcess
    from ssl4eo_plugin.engine.session import View
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["LiveMap"]

# Milliseconds without a further move of the map before a view is asked for: a turn of the wheel is several moves.
_MOVES_END = 40
# Milliseconds without a further click before the surroundings are asked for, too, so that panning finds them there.
_CLICKS_END = 350
# What is asked for beyond the canvas on each side, as a share of it.
_MARGIN = 0.25
# Heads that the live map can show at any zoom: linear in the features.
_LIVE_HEADS = ("auto", "lda", "logistic")
_SUGGESTIONS = 5
_CERTAIN = 255


class LiveMap(QObject):
    """Feeds the backend with samples and the canvas with what they make; everything returns at once."""

    # The backend's answer to the samples: `ready`, `message`, `head`, `reason`, `indication`, `disagreeing` ...
    fitted = pyqtSignal(dict)
    # The layer shows another map now: `revision`, `layer`, `width`, `height`.
    repainted = pyqtSignal(dict)
    failed = pyqtSignal(str)
    # It was switched on or off, began to wait or ended to.
    changed = pyqtSignal()

    def __init__(self, state: PanelState, backend: BackendProcess) -> None:
        """Listen to the samples and the canvas; nothing starts before there are classes of a feature set."""
        super().__init__(state)
        self._state, self._backend, self._choices = state, backend, state.choices
        self._layer = LiveLayer(state.project, state.canvas, self)
        self._layer.removed.connect(self._layer_removed)
        self._worker: LiveWorker | None = None
        self._basis: tuple[object, object] | None = None
        self._sent: dict[str, Any] | None = None
        self._asked: ViewBox | None = None
        self._class = ""
        self._similar_shown = False
        self._ended = False
        # The newest answer to the samples, and the newest sentence about what went wrong, "" when all is well.
        self.answer: dict[str, Any] | None = None
        self.trouble = ""
        self._moves = self._timer(_MOVES_END, self._canvas_moved)
        self._clicks = self._timer(_CLICKS_END, self._clicks_ended)
        state.featuresChanged.connect(self._update)
        state.samplesChanged.connect(self._update)
        state.canvas.extentsChanged.connect(self._moves.start)
        state.canvas.destinationCrsChanged.connect(self._moves.start)
        self._choices.changed.connect(self._choices_changed)

    @property
    def on(self) -> bool:
        """Whether the user wants it and there is a feature set to show it of."""
        return self._choices["live"] and self._state.features is not None and not self._ended

    @property
    def waiting(self) -> bool:
        """Whether samples were sent and nothing has come back."""
        return self._worker is not None and self.answer is None and not self.trouble

    @property
    def layer(self) -> QgsRasterLayer | None:
        """The layer in the project, None while there is none."""
        return self._layer.layer

    def set_on(self, on: bool) -> None:
        """Switch it on or off; the project remembers."""
        self._choices.choose(live=on)

    def set_class(self, name: str) -> None:
        """Choose the class whose likeness is shown where likeness is shown."""
        if name != self._class:
            self._class = name
            if self._choices["layer"] == "similarity":
                self._ask(_MARGIN)

    def probe(
        self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, callback: Callable[[dict[str, Any] | None], None]
    ) -> None:
        """Ask what the map says at a point: `class`, `confidence`, `probabilities`; None when nothing does."""
        self._ask_at("probe", point, crs, callback)

    def grow(
        self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, callback: Callable[[dict[str, Any] | None], None]
    ) -> None:
        """Ask for the patch of like pixels around a point: `wkt` in the scene's CRS; None when there is none."""
        self._ask_at("grow", point, crs, callback)

    def suggestions(self, callback: Callable[[dict[str, Any] | None], None], count: int = _SUGGESTIONS) -> None:
        """Ask where in the canvas the next label helps most: `suggestions`, the best first; None when nowhere."""
        box = self._box(0.0)
        if self._worker is None or box is None:
            callback(None)
            return
        corners = zip(("xmin", "ymin", "xmax", "ymax"), _corners(box.extent))
        query = urlencode({"count": count, **dict(corners)})
        self._worker.ask("suggestions", "GET", f"/suggestions?{query}", None, callback)

    def dispose(self) -> None:
        """Stop at once and take the layer out of the project."""
        self._ended = True
        self._stop()
        self._layer.dispose()
        for signal in (self._state.canvas.extentsChanged, self._state.canvas.destinationCrsChanged):
            signal.disconnect(self._moves.start)

    def _timer(self, milliseconds: int, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    def _update(self) -> None:
        """Follow the samples, the classes and the feature set in use, whichever changed."""
        features, store = self._state.features, self._state.store
        basis = (self._state.session, features.path) if self.on and store is not None else None
        if basis != self._basis:
            self._stop()
            self._basis = basis
        if basis is None:
            return
        samples = {
            "crs": store.crs.authid() or store.crs.toWkt(),
            "samples": store.samples_json(),
            "classes": list(store.classes()),
            "head": self._choices["head"] if self._choices["head"] in _LIVE_HEADS else "auto",
            "balance": self._choices["balance"],
        }
        if samples == self._sent:
            # Another colour, or a class that is hidden now.
            self._layer.dress(self._look())
            return
        self._sent = samples
        if self._worker is None:
            self._worker = self._new_worker()
        self._worker.put(samples)
        # The canvas alone first: its margin would double the time until the click is answered.
        self._ask(0.0)
        self._clicks.start()
        self.changed.emit()

    def _new_worker(self) -> LiveWorker:
        worker = LiveWorker(self._backend, str(self._state.features.path))
        # An answer that was on its way when its worker was closed is not for the next one.
        for signal, slot in (
            (worker.fitted, self._fitted), (worker.viewed, self._viewed), (worker.failed, self._failed)
        ):  # fmt: skip
            signal.connect(lambda value, slot=slot: slot(value) if worker is self._worker else None)
        return worker

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        self._sent = self._asked = self.answer = self._basis = None
        self.trouble = ""
        self._moves.stop()
        self._clicks.stop()
        if worker is not None:
            worker.close()
        self._layer.take_out()
        self.changed.emit()

    def _ask(self, margin: float) -> None:
        similar = self._choices["layer"] == "similarity"
        box = self._box(margin)
        if self._worker is None or box is None or (similar and not self._class):
            self._asked = None
            return
        self._asked = box
        request = {
            "layer": self._choices["layer"],
            "bbox": _corners(box.extent),
            "width": box.width,
            "height": box.height,
            "none_beyond": self._choices["none_beyond"],
        }
        self._worker.view({**request, "class": self._class} if similar else request)

    def _box(self, margin: float) -> ViewBox | None:
        features = self._state.features
        if features is None:
            return None
        pixel = features.extent.width() / features.width
        return view_box(self._state.canvas.mapSettings(), features.crs, features.extent, pixel, margin)

    def _canvas_moved(self) -> None:
        box = self._box(0.0)
        if self._worker is not None and box is not None and not (self._asked is not None and self._asked.serves(box)):
            self._ask(_MARGIN)

    def _clicks_ended(self) -> None:
        box = self._box(_MARGIN)
        if box is not None and not (self._asked is not None and self._asked.serves(box)):
            self._ask(_MARGIN)

    def _fitted(self, answer: dict[str, Any]) -> None:
        self.answer, self.trouble = answer, ""
        if not answer["ready"]:
            self._asked = None
            self._layer.clear()
        self.fitted.emit(answer)
        self.changed.emit()

    def _viewed(self, view: View) -> None:
        if "similarity" in view.planes:
            likeness = view.planes["similarity"]
            planes = [likeness, np.full_like(likeness, _CERTAIN)]
        else:
            planes = [view.planes["class"], view.planes["confidence"]]
        self._similar_shown = "similarity" in view.planes
        features, extent = self._state.features, QgsRectangle(*view.bbox)
        look, opacity = self._look(), self._choices["opacity"]
        try:
            self._layer.show(planes, extent, features.crs, features.name, look, opacity)
        except CanvasError as error:
            self._failed(str(error))
            return
        if self.trouble:
            self.trouble = ""
            self.changed.emit()
        layer = "similarity" if look.similar_to else "classes"
        shown = {"revision": view.revision, "layer": layer, "width": view.width, "height": view.height}
        self.repainted.emit(shown)

    def _look(self) -> Look:
        """Return how to draw what is shown, which may still be what was chosen before."""
        store = self._state.store
        colors = store.classes() if store is not None else {}
        names = self.answer["classes"] if self.answer is not None else []
        return Look(
            tuple((code, name, colors[name].name()) for code, name in enumerate(names, start=1) if name in colors),
            frozenset(store.hidden() if store is not None else ()),
            self._choices["none_beyond"] is not None,
            self._choices["fade"],
            self._class if self._similar_shown else "",
        )

    def _failed(self, sentence: str) -> None:
        self.trouble = sentence
        self._asked = None
        self.failed.emit(sentence)
        self.changed.emit()

    def _choices_changed(self, names: set[str]) -> None:
        if names & {"live", "head", "balance"}:
            self._update()
        if names & {"layer", "none_beyond"}:
            self._ask(_MARGIN)
        if "fade" in names:
            self._layer.dress(self._look())
        if "opacity" in names:
            self._layer.set_opacity(self._choices["opacity"])
        self.changed.emit()

    def _layer_removed(self) -> None:
        # Of a project that is being closed all layers go, which is no wish of the user.
        session = self._state.session
        QTimer.singleShot(0, lambda: self.set_on(False) if session is self._state.session and not self._ended else None)

    def _ask_at(
        self,
        kind: str,
        point: QgsPointXY,
        crs: QgsCoordinateReferenceSystem,
        callback: Callable[[dict[str, Any] | None], None],
    ) -> None:
        features = self._state.features
        if self._worker is None or features is None:
            callback(None)
            return
        try:
            place = QgsCoordinateTransform(crs, features.crs, self._state.project).transform(point)
        except QgsCsException:
            callback(None)
            return
        self._worker.ask(kind, "POST", f"/{kind}", {"x": place.x(), "y": place.y()}, callback)


def _corners(extent: QgsRectangle) -> list[float]:
    return [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
