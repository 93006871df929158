# SPDX-License-Identifier: GPL-2.0-or-later
"""Talks to a session of the backend in a thread of its own: the last click wins, stale answers are dropped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QCoreApplication, QObject, pyqtSignal

from ssl4eo_plugin.engine.errors import EngineError, JobCancelled
from ssl4eo_plugin.engine.session import LiveSession, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["LiveWorker", "View"]

# Seconds that closing waits for the thread, which hears of it at once, and may then have to say goodbye to the backend.
_PATIENCE = 0.2

translate = QCoreApplication.translate


class LiveWorker(QObject):
    """Takes samples, views and questions at any rate and serves the newest of each; answers come by signal.

    One thread for the life of a session rather than a task per click: a click must not queue behind the drawing of
    the map, which uses the threads that QGIS runs tasks in.
    """

    # The backend's answer to the samples.
    fitted = pyqtSignal(dict)
    # A `View` of those samples.
    viewed = pyqtSignal(object)
    failed = pyqtSignal(str)
    _answered = pyqtSignal(object, object)

    def __init__(self, backend: BackendProcess, features: str) -> None:
        """Prepare a session on the feature set in the folder `features`; the first request starts everything."""
        # Without a parent: the thread holds it until its last signal is out.
        super().__init__()
        self._backend = backend
        self._closed = False
        self._wake = threading.Condition()
        self._samples: dict[str, Any] | None = None
        self._view: dict[str, Any] | None = None
        self._questions: dict[str, tuple[str, str, dict[str, Any] | None, Callable[[Any], None]]] = {}
        self._session = LiveSession(backend, features, lambda: self._closed)
        self._told: dict[str, Any] | None = None
        self._thread: threading.Thread | None = None
        self._answered.connect(self._deliver)

    def put(self, samples: dict[str, Any]) -> None:
        """Replace the samples; `fitted` or `failed` follows unless newer ones come first."""
        with self._wake:
            self._samples = samples
            self._start()

    def view(self, request: dict[str, Any]) -> None:
        """Ask for a window of the map of the newest samples; `viewed` follows unless something newer comes first."""
        with self._wake:
            self._view = request
            self._start()

    def ask(
        self, kind: str, method: str, path: str, body: dict[str, Any] | None, callback: Callable[[Any], None]
    ) -> None:
        """Ask something else of the session.

        Args:
            kind: A newer question of the same kind takes the place of one that has not been sent.
            method: Of the request.
            path: After `/sessions/{id}`.
            body: JSON, or None.
            callback: Called in the main thread with the answer, or with None when there is none.
        """
        with self._wake:
            replaced = self._questions.pop(kind, None)
            self._questions[kind] = (method, path, body, callback)
            self._start()
        if replaced is not None:
            replaced[-1](None)

    def close(self) -> None:
        """Stop at once, whatever is under way, and let the backend forget the session; no signal comes any more."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        self.blockSignals(True)
        self._session.interrupt()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="ssl4eo-live", daemon=True)
            self._thread.start()
        self._wake.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except JobCancelled:
                continue
            except EngineError as error:
                self._tell(self.failed, str(error))
            except Exception as error:  # noqa: BLE001 - the thread must live on, or no click would ever be answered
                sentence = translate("Engine", "The live map failed inside the plugin ({}: {}); please report this.")
                self._tell(self.failed, sentence.format(type(error).__name__, error))
        self._session.close()

    def _next(self) -> Callable[[], None] | None:
        """Wait for work: samples before views, because a view shows them, and views before questions."""
        with self._wake:
            self._wake.wait_for(
                lambda: self._closed or self._samples is not None or self._view is not None or self._questions
            )
            if self._closed:
                return None
            if self._samples is not None:
                samples, self._samples = self._samples, None
                return lambda: self._put_now(samples)
            if self._view is not None:
                request, self._view = self._view, None
                return lambda: self._view_now(request)
            question = self._questions.pop(next(iter(self._questions)))
            return lambda: self._ask_now(*question)

    def _put_now(self, samples: dict[str, Any]) -> None:
        try:
            self._session.put(samples)
        except EngineError:
            with self._wake:
                # It would fail alike and say the same again.
                self._view = None
            raise
        with self._wake:
            outdated = self._samples is not None
        if not outdated:
            self._tell_fitted()

    def _view_now(self, request: dict[str, Any]) -> None:
        if self._told is not None and not self._told["ready"]:
            return
        view = self._session.view(request)
        self._tell_fitted()
        with self._wake:
            outdated = self._samples is not None or self._view is not None
        if not outdated:
            self._tell(self.viewed, view)

    def _ask_now(self, method: str, path: str, body: dict[str, Any] | None, callback: Callable[[Any], None]) -> None:
        answer = None
        try:
            answer = self._session.ask(method, path, body)
            self._tell_fitted()
        finally:
            self._tell(self._answered, callback, answer)

    def _tell_fitted(self) -> None:
        """Tell what the backend made of the samples, unless that has been told."""
        fitted = self._session.fitted
        if fitted is not None and fitted is not self._told:
            self._told = fitted
            self._tell(self.fitted, fitted)

    def _tell(self, signal: Any, *values: object) -> None:
        if not self._closed:
            signal.emit(*values)

    def _deliver(self, callback: Callable[[Any], None], answer: object) -> None:
        if not self._closed:
            callback(answer)
