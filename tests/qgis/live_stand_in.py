# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for the session behind the live map where a test decides what it answers."""

from __future__ import annotations


class LiveStandIn:
    """Answers probe, grow and suggestions at once with what the test sets, and keeps what was asked."""

    def __init__(self, live_map, monkeypatch) -> None:
        self.live_map = live_map
        self.asked: list[tuple] = []
        self.answers: dict[str, object] = {"probe": None, "grow": None, "suggestions": None}
        monkeypatch.setattr(live_map, "_new_worker", lambda: self)
        monkeypatch.setattr(live_map, "probe", lambda point, crs, told: self._answer("probe", told, point, crs))
        monkeypatch.setattr(live_map, "grow", lambda point, crs, told: self._answer("grow", told, point, crs))
        monkeypatch.setattr(live_map, "suggestions", lambda told: self._answer("suggestions", told))

    def fit(self, **answer) -> None:
        """Let the answer to the samples come."""
        self.live_map.answer = {"ready": True, "message": "", "classes": [], **answer}
        self.live_map.fitted.emit(self.live_map.answer)

    def put(self, samples) -> None:
        """Take samples and say nothing."""

    def view(self, request) -> None:
        """Take a request and say nothing."""

    def close(self) -> None:
        """End."""

    def _answer(self, kind, told, *values) -> None:
        self.asked.append((kind, *values))
        told(self.answers[kind])
