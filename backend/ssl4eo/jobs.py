# SPDX-License-Identifier: GPL-2.0-or-later
"""Long work that tells how far it is and can be cancelled."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ssl4eo.errors import Cancelled, Ssl4eoError

__all__ = ["Job", "JobQueue", "Lane", "Progress", "no_progress", "part"]

# Called with a fraction from 0 to 1 and what is being done; raises `Cancelled` when the user asked to stop.
Progress = Callable[[float, str], None]

# What a job keeps busy. Jobs of one lane wait for each other, those of two do not.
Lane = Literal["device", "network", "disk"]

_TERMINAL = frozenset({"done", "failed", "cancelled"})
# Enough to look up what happened in a long sitting; each finished job is a small dictionary.
_JOBS_KEPT = 200

_log = logging.getLogger(__name__)


def no_progress(fraction: float, message: str = "") -> None:
    """Report to nobody."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Return a progress that fills the stretch from `start` to `stop` of `progress`."""

    def report(fraction: float, message: str = "") -> None:
        progress(start + (stop - start) * fraction, message)

    return report


@dataclass
class Job:
    """One piece of long work; read it through `to_dict`."""

    kind: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: str = "queued"
    progress: float = 0.0
    message: str = ""
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    cancel_asked: threading.Event = field(default_factory=threading.Event, repr=False)
    revision: int = 0

    @property
    def finished(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.state in _TERMINAL

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that the service answers."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "progress": round(self.progress, 4),
            "message": self.message,
            "result": self.result,
            "error": self.error,
        }


class JobQueue:
    """Runs jobs, one at a time per lane in a worker thread, and remembers how they ended.

    One at a time, because a job fills its lane: two encodes side by side are slower than in turn. A download of an hour
    must not hold up an encode, so it has a lane of its own.
    """

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._executors = {
            lane: ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"job-{lane}") for lane in get_args(Lane)
        }

    def submit(self, kind: str, work: Callable[[Progress], dict[str, Any]], lane: Lane = "device") -> Job:
        """Queue `work`, which gets a `Progress` and returns a JSON-able dictionary, behind the others of its lane."""
        job = Job(kind)
        with self._changed:
            self._jobs[job.id] = job
            self._forget_old()
        self._executors[lane].submit(self._run, job, work)
        return job

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None when the identifier is unknown."""
        return self._jobs.get(job_id)

    def cancel(self, job_id: str) -> Job | None:
        """Ask a job to stop; a queued one ends at once, a running one at its next report."""
        job = self._jobs.get(job_id)
        if job is not None:
            with self._changed:
                job.cancel_asked.set()
                if job.state == "queued":
                    self._set(job, state="cancelled", message="Cancelled")
        return job

    def wait(self, job_id: str, timeout: float | None = None) -> Job | None:
        """Wait until the job is finished or `timeout` seconds have passed."""
        job = self._jobs.get(job_id)
        if job is not None:
            with self._changed:
                self._changed.wait_for(lambda: job.finished, timeout)
        return job

    def events(self, job_id: str, heartbeat: float = 10.0) -> Iterator[dict[str, Any]]:
        """Yield the job's state at once, after each change, and every `heartbeat` seconds, until it is finished."""
        job = self._jobs[job_id]
        seen = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: job.revision != seen, heartbeat)  # noqa: B023
                seen, state, finished = job.revision, job.to_dict(), job.finished
            yield state
            if finished:
                return

    def shutdown(self) -> None:
        """Cancel everything and wait for the running jobs to stop."""
        for job_id in list(self._jobs):
            self.cancel(job_id)
        for executor in self._executors.values():
            executor.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Progress], dict[str, Any]]) -> None:
        def report(fraction: float, message: str = "") -> None:
            if job.cancel_asked.is_set():
                raise Cancelled("Cancelled.")
            with self._changed:
                self._set(job, progress=min(max(fraction, 0.0), 1.0), message=message or job.message)

        with self._changed:
            if job.finished:
                return
            self._set(job, state="running")
        try:
            outcome: dict[str, Any] = {"state": "done", "progress": 1.0, "result": work(report)}
        except Cancelled:
            outcome = {"state": "cancelled", "message": "Cancelled"}
        except Ssl4eoError as error:
            outcome = {"state": "failed", "error": {"message": str(error), "exit_code": error.exit_code}}
        except Exception as error:  # noqa: BLE001  a worker thread must outlive any fault of one job
            _log.exception("job %s (%s) failed", job.id, job.kind)
            sentence = f"The {job.kind} job failed inside the backend ({type(error).__name__}: {error})."
            outcome = {"state": "failed", "error": {"message": sentence, "exit_code": 1}}
        with self._changed:
            self._set(job, **outcome)

    def _set(self, job: Job, **values: Any) -> None:
        for name, value in values.items():
            setattr(job, name, value)
        job.revision += 1
        self._changed.notify_all()

    def _forget_old(self) -> None:
        for job_id in [key for key, job in self._jobs.items() if job.finished][: max(0, len(self._jobs) - _JOBS_KEPT)]:
            del self._jobs[job_id]
