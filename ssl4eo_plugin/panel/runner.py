# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the panel's questions and jobs as QGIS tasks, so that the window never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QObject

from ssl4eo_plugin.engine.tasks import CallTask, JobTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from qgis.core import QgsTask

    from ssl4eo_plugin.engine.client import Client
    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["Runner"]


class Runner(QObject):
    """Holds the tasks that run; their answers come on the GUI thread."""

    def __init__(self, backend: BackendProcess, parent: QObject | None = None) -> None:
        """Run in `backend`, which starts with the first task."""
        super().__init__(parent)
        self._backend = backend
        self._tasks: set[QgsTask] = set()

    def ask(
        self,
        call: Callable[[Client], Any],
        description: str,
        succeeded: Callable[[Any], None],
        failed: Callable[[str], None],
    ) -> CallTask:
        """Ask the backend something quick."""
        task = CallTask(self._backend, call, description)
        return self._start(task, succeeded, failed)

    def job(
        self,
        kind: str,
        params: dict[str, Any],
        description: str,
        succeeded: Callable[[dict[str, Any]], None],
        failed: Callable[[str], None],
    ) -> JobTask:
        """Start a job; connect to the task's `advanced` and `cancelled` for the rest."""
        task = JobTask(self._backend, kind, params, description)
        return self._start(task, succeeded, failed)

    def busy(self) -> bool:
        """Return whether anything runs."""
        return bool(self._tasks)

    def shutdown(self) -> None:
        """Cancel what runs and listen no longer."""
        for task in list(self._tasks):
            for signal in (task.succeeded, task.failed, task.cancelled):
                signal.disconnect()
            task.cancel()
        self._tasks.clear()

    def _start(self, task: Any, succeeded: Callable[[Any], None], failed: Callable[[str], None]) -> Any:
        task.succeeded.connect(succeeded)
        task.failed.connect(failed)
        for signal in (task.succeeded, task.failed, task.cancelled):
            signal.connect(lambda *_: self._tasks.discard(task))
        self._tasks.add(task)
        QgsApplication.taskManager().addTask(task)
        return task
