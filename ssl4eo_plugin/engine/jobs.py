# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one job in the backend from submission to its end, for panels and Processing algorithms alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine.errors import BackendUnreachable, EngineError, JobCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo_plugin.engine.client import Client
    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["run_job"]

# Seconds between two looks at a job: often enough for a smooth progress bar.
_INTERVAL = 0.25
# Looks in a row without an answer from a live backend (each waits up to 20 s) before it counts as hung.
_MISSES = 6
# Seconds a job may take to notice that it was cancelled; one window on a slow processor takes a few.
_CANCEL_LIMIT = 60.0

# Seconds between a connection that breaks and the end of the process that broke it.
_DYING = 2.0

translate = QCoreApplication.translate


def run_job(
    backend: BackendProcess,
    kind: str,
    params: dict[str, Any],
    *,
    advanced: Callable[[float, str], None] = lambda _fraction, _message: None,
    cancelled: Callable[[], bool] = lambda: False,
    remedy: str = "",
) -> dict[str, Any]:
    """Start the backend if need be, submit a job, follow it, and return its result.

    Args:
        backend: The backend to run it in.
        kind: `encode` or `classify`.
        params: What the job takes.
        advanced: Called with the fraction done (0 to 1) and what is being done, when either changed.
        cancelled: Asked several times a second whether the user wants to stop.
        remedy: What to do when the backend stopped; names the button of the panel when not given.

    Raises:
        EngineError: When the job failed, or the backend cannot start or stopped.
        JobCancelled: When it was cancelled; the backend has stopped working on it.
    """
    advanced(0.0, "" if backend.alive else translate("Engine", "Starting the backend"))
    client = backend.ensure_client(cancelled)
    try:
        job = client.submit(kind, params)
        return _follow(backend, client, job, advanced, cancelled)
    except BackendUnreachable as error:
        if not backend.ended(within=_DYING):
            raise
        raise EngineError(_stopped(backend, remedy or _press_again(kind))) from error


def _follow(
    backend: BackendProcess,
    client: Client,
    job: dict[str, Any],
    advanced: Callable[[float, str], None],
    cancelled: Callable[[], bool],
) -> dict[str, Any]:
    misses, told, cancel_until = 0, None, None
    while job["state"] in ("queued", "running"):
        if (job["progress"], job["message"]) != told:
            told = job["progress"], job["message"]
            advanced(*told)
        time.sleep(_INTERVAL)
        try:
            if cancelled() and cancel_until is None:
                cancel_until = time.monotonic() + _CANCEL_LIMIT
                client.cancel(job["id"])
            job = client.job(job["id"])
            misses = 0
        except BackendUnreachable:
            misses += 1
            if not backend.alive or misses >= _MISSES:
                raise
        if cancel_until is not None and time.monotonic() > cancel_until:
            # It does not listen; ending it is the only way to give the computer back to the user.
            backend.stop()
            raise JobCancelled(translate("Engine", "Cancelled."))
    return _outcome(job)


def _outcome(job: dict[str, Any]) -> dict[str, Any]:
    if job["state"] == "done":
        return dict(job["result"] or {})
    if job["state"] == "cancelled":
        raise JobCancelled(translate("Engine", "Cancelled."))
    error = job.get("error") or {}
    raise EngineError(error.get("message") or translate("Engine", "The job failed without a reason; try again."))


def _stopped(backend: BackendProcess, remedy: str) -> str:
    """Return the sentence for a backend that ended in the middle of a job."""
    return translate("Engine", "The backend stopped ({}); {}.").format(backend.ending(), remedy)


def _press_again(kind: str) -> str:
    remedies = {
        "encode": translate("Engine", "labels and finished tiles are kept; press Encode again to go on"),
        "classify": translate("Engine", "what was labelled is saved; press Classify again"),
        "weights_download": translate("Engine", "what was downloaded is kept; press Download again"),
    }
    return remedies.get(kind) or translate("Engine", "try again")
