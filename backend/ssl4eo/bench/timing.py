# SPDX-License-Identifier: GPL-2.0-or-later
"""Take times in turn, and tell their median and spread."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssl4eo.jobs import Progress

__all__ = ["Timing", "Told", "in_turn", "shares"]


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing, round by round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return median, least, most and all of them."""
        return {
            "median": self.median,
            "least": min(self.seconds),
            "most": max(self.seconds),
            "seconds": list(self.seconds),
        }


class Told:
    """A progress that can be told again what it was told last, so that a cancel is heard while something is timed."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._fraction, self._message = progress, 0.0, ""

    def __call__(self, fraction: float, message: str = "") -> None:
        """Pass on."""
        self._fraction, self._message = fraction, message or self._message
        self.beat()

    def beat(self) -> None:
        """Pass on what was said last."""
        self._progress(self._fraction, self._message)


def in_turn(ways: Mapping[str, Callable[[], float]], rounds: int, progress: Progress) -> dict[str, Timing]:
    """Run each way once per round, so that what else the machine does meets all alike.

    Args:
        ways: by name, what runs once and returns the seconds that it took.
        rounds: how often.
        progress: told before each; may raise Cancelled.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    total = rounds * len(ways)
    for number in range(rounds):
        for place, (name, way) in enumerate(ways.items()):
            progress((number * len(ways) + place) / total, f"Round {number + 1} of {rounds}: {name}")
            found[name].append(way())
    return {name: Timing(tuple(seconds)) for name, seconds in found.items()}


def shares(part: Timing, whole: Timing) -> dict[str, float]:
    """Return which share of `whole` `part` is: of the medians, and least and most of the rounds."""
    by_round = [a / b for a, b in zip(part.seconds, whole.seconds, strict=True)]
    return {"median": part.median / whole.median, "least": min(by_round), "most": max(by_round)}
