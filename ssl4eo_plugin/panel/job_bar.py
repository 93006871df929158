# SPDX-License-Identifier: GPL-2.0-or-later
"""The start button of a page, which turns into a progress bar with Cancel while its job runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qgis.PyQt.QtCore import QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

if TYPE_CHECKING:
    from qgis.PyQt.QtGui import QIcon

    from ssl4eo_plugin.engine.tasks import JobTask

__all__ = ["JobBar"]

# Steps of the bar: enough to move smoothly over a panel's width.
_STEPS = 1000
_MINUTE = 60


class JobBar(QWidget):
    """Shows either a button, or how far a job is, what it does, for how long, and Cancel."""

    started = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Show nothing before a job runs; `set_action` names a button to start one."""
        super().__init__(parent)
        self._task: JobTask | None = None
        self._since = 0.0
        self.button = QPushButton(self)
        self.button.setDefault(True)
        self.button.clicked.connect(self.started)
        self.bar = QProgressBar(self)
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.cancel_button = QPushButton(self.tr("Cancel"), self)
        self.cancel_button.clicked.connect(self.cancel)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button, 0, 0, 1, 2)
        layout.addWidget(self.bar, 1, 0)
        layout.addWidget(self.cancel_button, 1, 1)
        layout.addWidget(self.message, 2, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._write)
        self._doing = ""
        self._show()

    def set_action(self, text: str, icon: QIcon) -> None:
        """Name the button."""
        self.button.setText(text)
        self.button.setIcon(icon)
        self._show()

    def running(self) -> bool:
        """Return whether a job is followed."""
        return self._task is not None

    def follow(self, task: JobTask) -> None:
        """Show the progress of a job until it ends."""
        self._task = task
        self._since = time.monotonic()
        self._advance(0.0, "")
        task.advanced.connect(self._advance)
        for ended in (task.succeeded, task.failed, task.cancelled):
            # The slot that a job's end calls first may have started the next job already.
            ended.connect(lambda *_: self._end(task))
        self._clock.start()
        self._show()

    def cancel(self) -> None:
        """Ask the job to stop; it ends when the backend has stopped working on it."""
        if self._task is not None:
            self._doing = self.tr("Cancelling")
            self.cancel_button.setEnabled(False)
            self._write()
            self._task.cancel()

    def _advance(self, fraction: float, message: str) -> None:
        self.bar.setValue(round(fraction * _STEPS))
        if self.cancel_button.isEnabled() or not self._doing:
            self._doing = message or self.tr("Waiting for the backend")
        self._write()

    def _write(self) -> None:
        passed = int(time.monotonic() - self._since)
        clock = f"{passed // _MINUTE}:{passed % _MINUTE:02d}"
        self.message.setText(f"{self._doing} ({clock})")

    def _end(self, task: JobTask) -> None:
        if task is not self._task:
            return
        self._task = None
        self._doing = ""
        self._clock.stop()
        self._show()

    def _show(self) -> None:
        running = self._task is not None
        named = bool(self.button.text())
        self.button.setVisible(named and not running)
        self.setVisible(named or running)
        for widget in (self.bar, self.cancel_button, self.message):
            widget.setVisible(running)
        self.cancel_button.setEnabled(running)
