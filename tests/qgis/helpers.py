# SPDX-License-Identifier: GPL-2.0-or-later
"""Watches tasks and processes for the tests in QGIS."""

from __future__ import annotations

import time
from pathlib import Path

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtCore import QEventLoop, QTimer

ROOT = Path(__file__).resolve().parents[2]
# West, south, east, north in EPSG:32633: 192 x 192 pixels of the Havel scene with seven kinds of land use.
PATCH_BBOX = (332880, 5814360, 334800, 5816280)


def wait_until(condition, limit: float = 40.0) -> None:
    """Poll `condition` until it holds; the limit only bounds a failing test."""
    give_up = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Outcome:
    """Runs a QGIS task to its end and keeps what it told on the way."""

    def __init__(self, task: QgsTask) -> None:
        self.task = task
        self.ended: list[tuple[str, object]] = []
        self.advances: list[tuple[float, str]] = []
        self.threads: set[object] = set()
        self._loop = QEventLoop()
        task.succeeded.connect(lambda result: self._end("succeeded", result))
        task.failed.connect(lambda sentence: self._end("failed", sentence))
        task.cancelled.connect(lambda: self._end("cancelled", None))
        if hasattr(task, "advanced"):
            task.advanced.connect(lambda fraction, message: self.advances.append((fraction, message)))

    def run(self, limit: float = 240.0) -> Outcome:
        """Start the task and serve events until it has told how it ended."""
        QgsApplication.taskManager().addTask(self.task)
        QTimer.singleShot(int(limit * 1000), self._loop.quit)
        if not self.ended:
            self._loop.exec()
        # Were there a second ending, it would come now.
        QgsApplication.processEvents()
        return self

    def _end(self, how: str, value: object) -> None:
        self.ended.append((how, value))
        self._loop.quit()
