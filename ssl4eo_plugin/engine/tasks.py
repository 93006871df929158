# SPDX-License-Identifier: GPL-2.0-or-later
"""Work of the backend as QGIS tasks: in a worker thread, with progress, Cancel, and results by signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from qgis.core import QgsTask
from qgis.PyQt.QtCore import QCoreApplication, QThreadPool, pyqtSignal

from ssl4eo_plugin.engine.errors import EngineError, JobCancelled
from ssl4eo_plugin.engine.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo_plugin.engine.client import Client
    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["CallTask", "JobTask"]

translate = QCoreApplication.translate


class _BackendTask(QgsTask):
    """Ends with exactly one of the signals `succeeded`, `failed` or `cancelled`, emitted in the main thread.

    Hand it to `QgsApplication.taskManager().addTask`, which deletes it after that signal: forget it then.
    """

    # QGIS owns the C++ half of a task only; without its Python half nothing of it would run or be told.
    _unfinished: ClassVar[set[_BackendTask]] = set()
    # What each kind of task does in the worker thread.
    _work: Callable[[], object]

    succeeded = pyqtSignal(object)
    failed = pyqtSignal(str)
    cancelled = pyqtSignal()

    def __init__(self, backend: BackendProcess, description: str) -> None:
        super().__init__(description, QgsTask.Flag.CanCancel)
        self._backend = backend
        self._result: object = None
        self._error = ""
        self._unfinished.add(self)

    def run(self) -> bool:
        """Do the work in the worker thread; an exception here would end QGIS, so none leaves."""
        # The thread only waits for the backend. QGIS draws the map with the threads of the same pool, as many as
        # there are processors: two downloads would hold all of a small computer's.
        pool = QThreadPool.globalInstance()
        pool.releaseThread()
        try:
            self._result = self._work()
        except JobCancelled:
            return False
        except EngineError as error:
            self._error = str(error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not leave
            sentence = translate("Engine", "“{}” failed inside the plugin ({}: {}); please report this.")
            self._error = sentence.format(self.description(), type(error).__name__, error)
            return False
        finally:
            pool.reserveThread()
        return True

    def finished(self, result: bool) -> None:
        """Tell how it ended; QGIS calls this in the main thread."""
        self._unfinished.discard(self)
        if result:
            self.succeeded.emit(self._result)
        elif self._error:
            self.failed.emit(self._error)
        else:
            self.cancelled.emit()


class JobTask(_BackendTask):
    """One job of the backend, such as `encode`; `succeeded` carries its result, a dictionary."""

    # The fraction done, from 0 to 1, and what is being done.
    advanced = pyqtSignal(float, str)

    def __init__(self, backend: BackendProcess, kind: str, params: dict[str, Any], description: str = "") -> None:
        """Prepare a job.

        Args:
            backend: The backend, started on demand.
            kind: `encode` or `classify`.
            params: What the job takes.
            description: What the task list of QGIS shows.
        """
        super().__init__(backend, description or kind)
        self._kind = kind
        self._params = dict(params)

    def _work(self) -> dict[str, Any]:
        return run_job(self._backend, self._kind, self._params, advanced=self._advance, cancelled=self.isCanceled)

    def _advance(self, fraction: float, message: str) -> None:
        self.setProgress(100.0 * fraction)
        self.advanced.emit(fraction, message)


class CallTask(_BackendTask):
    """One quick question to the backend; `succeeded` carries its answer."""

    def __init__(self, backend: BackendProcess, call: Callable[[Client], Any], description: str = "") -> None:
        """Prepare a question.

        Args:
            backend: The backend, started on demand.
            call: What to ask, for example `lambda client: client.models()`; runs in the worker thread.
            description: What the task list of QGIS shows.
        """
        super().__init__(backend, description or translate("Engine", "Asking the backend"))
        self._call = call

    def _work(self) -> object:
        return self._call(self._backend.ensure_client(self.isCanceled))
