# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads of weights, one after the other; they go on while no window shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin import settings

if TYPE_CHECKING:
    from ssl4eo_plugin.engine.tasks import JobTask
    from ssl4eo_plugin.panel.runner import Runner

__all__ = ["Downloads"]


class Downloads(QObject):
    """A queue of encoders. The backend downloads one at a time, so only one task waits for it."""

    # An encoder was queued, got further, or left the queue.
    changed = pyqtSignal(str)
    # The encoder and what the job returned.
    succeeded = pyqtSignal(str, dict)
    # The encoder and a sentence.
    failed = pyqtSignal(str, str)
    cancelled = pyqtSignal(str)

    def __init__(self, runner: Runner, parent: QObject | None = None) -> None:
        """Start with an empty queue."""
        super().__init__(parent)
        self._runner = runner
        self._titles: dict[str, str] = {}
        self._task: JobTask | None = None
        self._fraction, self._message = 0.0, ""
        self._cancelling = False

    def start(self, encoder_id: str, title: str) -> None:
        """Queue an encoder; one that is queued stays where it is."""
        if encoder_id in self._titles:
            return
        self._titles[encoder_id] = title
        self.changed.emit(encoder_id)
        self._next()

    def cancel(self, encoder_id: str) -> None:
        """Stop a download, or take one that waits from the queue; what is there already is kept for the next time."""
        if encoder_id not in self._titles:
            return
        if encoder_id == self.current():
            self._cancelling = True
            self.changed.emit(encoder_id)
            self._task.cancel()
            return
        self._leave(encoder_id)
        self.cancelled.emit(encoder_id)

    def queue(self) -> list[str]:
        """Return what is downloaded, first, and what waits."""
        return list(self._titles)

    def current(self) -> str | None:
        """Return what is downloaded now."""
        return next(iter(self._titles), None) if self._task is not None else None

    def progress(self, encoder_id: str) -> tuple[float, str] | None:
        """Return the fraction done and what is being done; None for what is not in the queue."""
        if encoder_id not in self._titles:
            return None
        if encoder_id != self.current():
            return 0.0, self.tr("Waiting")
        return self._fraction, self.tr("Cancelling") if self._cancelling else self._message or self.tr("Downloading")

    def _next(self) -> None:
        if self._task is not None or not self._titles:
            return
        encoder_id, title = next(iter(self._titles.items()))
        params: dict[str, Any] = {"encoder": encoder_id}
        if settings.mirror():
            params["mirror"] = settings.mirror()
        self._fraction, self._message, self._cancelling = 0.0, "", False

        def done(result: dict[str, Any]) -> None:
            self._end(encoder_id)
            self.succeeded.emit(encoder_id, result)

        def refused(sentence: str) -> None:
            self._end(encoder_id)
            self.failed.emit(encoder_id, sentence)

        def stopped() -> None:
            self._end(encoder_id)
            self.cancelled.emit(encoder_id)

        description = self.tr("Downloading {}").format(title)
        self._task = self._runner.job("weights_download", params, description, done, refused)
        self._task.cancelled.connect(stopped)
        self._task.advanced.connect(self._advance)
        self.changed.emit(encoder_id)

    def _advance(self, fraction: float, message: str) -> None:
        self._fraction, self._message = fraction, message
        if self.current() is not None:
            self.changed.emit(self.current())

    def _end(self, encoder_id: str) -> None:
        self._task = None
        self._leave(encoder_id)
        self._next()

    def _leave(self, encoder_id: str) -> None:
        self._titles.pop(encoder_id, None)
        self.changed.emit(encoder_id)
