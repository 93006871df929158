# SPDX-License-Identifier: GPL-2.0-or-later
"""The routes: health, models, inspect, weights, live sessions, and jobs with progress and cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from ssl4eo import __version__
from ssl4eo.jobs import Job, JobQueue
from ssl4eo.service.kinds import InspectRequest, JobRequest
from ssl4eo.service.sessions import make_sessions_router
from ssl4eo.service.weights import make_weights_router

__all__ = ["PROTOCOL", "make_router"]

# Raised when a client of an older number could misread an answer; the plugin compares it with its own.
PROTOCOL = 1


def make_router(queue: JobQueue) -> APIRouter:
    """Return the routes over `queue`.

    They are plain functions, which FastAPI runs in its thread pool: reading a raster's header must not hold up
    the answers to others.
    """
    router = APIRouter()
    router.include_router(make_weights_router())
    router.include_router(make_sessions_router())

    @router.get("/health")
    def health() -> dict[str, Any]:
        """Say that the service is there, and which version it is."""
        return {"status": "ok", "version": __version__, "protocol": PROTOCOL}

    @router.get("/models")
    def models() -> dict[str, Any]:
        """List the encoders, and whether their weights are on this computer."""
        from ssl4eo.encoders.cards import load_cards
        from ssl4eo.encoders.weights import describe

        return {"models": [describe(card) for card in load_cards().values()]}

    @router.post("/inspect")
    def inspect_scene(request: InspectRequest) -> dict[str, Any]:
        """Say what an image holds."""
        from ssl4eo.scenes import inspect

        return inspect(request.scene, **request.overrules()).to_dict()

    @router.post("/jobs", status_code=202)
    def submit(request: JobRequest) -> dict[str, Any]:
        """Queue a job and answer at once."""
        return queue.submit(request.kind, request.run, request.lane).to_dict()

    @router.get("/jobs/{job_id}")
    def job_state(job_id: str) -> dict[str, Any]:
        """Say how far a job is."""
        return _known(queue.get(job_id), job_id).to_dict()

    @router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
    def job_events(job_id: str) -> StreamingResponse:
        """Stream a job's states as server-sent events until it has ended."""
        _known(queue.get(job_id), job_id)
        return StreamingResponse(
            _server_sent(queue, job_id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @router.delete("/jobs/{job_id}", status_code=202)
    def cancel(job_id: str) -> dict[str, Any]:
        """Ask a job to stop; it ends at its next step."""
        return _known(queue.cancel(job_id), job_id).to_dict()

    return router


def _known(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise HTTPException(404, f"There is no job {job_id}; it may belong to an earlier run of this server.")
    return job


def _server_sent(queue: JobQueue, job_id: str) -> Iterator[str]:
    for state in queue.events(job_id):
        yield f"data: {json.dumps(state)}\n\n"
