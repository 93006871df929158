# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for the backend where a test must decide when a job goes on, and how it ends."""

from __future__ import annotations

import itertools
from typing import Any


class StandIn:
    """A backend that is its own client: it lists real cards, and its jobs wait for `finish`, `refuse` or a cancel."""

    alive = True

    def __init__(self, cards: list[dict[str, Any]]) -> None:
        self.cards = {card["id"]: dict(card) for card in cards}
        self.inspected: list[tuple[str, dict[str, Any]]] = []
        self.infos: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.submitted: list[tuple[str, dict[str, Any]]] = []
        self._numbers = itertools.count(1)

    def have(self, encoder: str, state: str = "present") -> None:
        """Let the weights of an encoder be here, or no longer."""
        self.cards[encoder].update(state=state, available=state in ("present", "bundled"))

    def running(self) -> list[dict[str, Any]]:
        """The jobs that have not ended."""
        return [job for job in self.jobs.values() if job["state"] == "running"]

    def advance(self, fraction: float, message: str) -> None:
        (job,) = self.running()
        job.update(progress=fraction, message=message)

    def finish(self, result: dict[str, Any]) -> None:
        (job,) = self.running()
        job.update(state="done", result=result)

    def refuse(self, sentence: str) -> None:
        (job,) = self.running()
        job.update(state="failed", error={"message": sentence})

    # What the panel calls.

    def ensure_client(self, *_: object) -> StandIn:
        return self

    def ended(self, **_: float) -> bool:
        return False

    def models(self) -> list[dict[str, Any]]:
        return [dict(card) for card in self.cards.values()]

    def remove(self, encoder: str) -> dict[str, Any]:
        self.have(encoder, "absent")
        return {"encoder": encoder, "freed_mb": 94.2}

    def inspect(self, scene: str, **overrules: object) -> dict[str, Any]:
        self.inspected.append((scene, overrules))
        info = {**self.infos[scene], "told": overrules}
        # As in the real one, what is told is not asked for.
        return {**info, "bands": list(overrules["bands"].values()), "needs": []} if "bands" in overrules else info

    def submit(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        self.submitted.append((kind, params))
        job = {"id": str(next(self._numbers)), "state": "running", "progress": 0.0, "message": "", "result": None}
        self.jobs[job["id"]] = job
        return dict(job)

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.jobs[job_id])

    def cancel(self, job_id: str) -> dict[str, Any]:
        self.jobs[job_id]["state"] = "cancelled"
        return dict(self.jobs[job_id])
