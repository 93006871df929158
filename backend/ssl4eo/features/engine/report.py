# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell how many tiles are done and how long the rest takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl4eo.jobs import Progress

__all__ = ["Report"]

# Before, a guess at the rest would jump about.
_SECONDS_BEFORE_A_GUESS = 2.0


class Report:
    """Counts tiles; `beat` passes the count on and may raise Cancelled."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        """Begin to count.

        Args:
            progress: whom to tell.
            total: number of tiles.
            done: how many an interrupted run has left.
        """
        self._progress, self._total, self._first, self._done = progress, total, done, done
        self._started = time.monotonic()

    def tiles(self, count: int) -> None:
        """Count tiles that are done."""
        self._done += count

    def beat(self) -> None:
        """Tell how far the work is."""
        fraction = self._done / max(self._total, 1)
        self._progress(fraction, f"Encoding: {self._done} of {self._total} tiles{self._rest()}")

    def _rest(self) -> str:
        seconds = time.monotonic() - self._started
        new = self._done - self._first
        if seconds < _SECONDS_BEFORE_A_GUESS or not new:
            return ""
        left = seconds / new * (self._total - self._done)
        if left < 1:
            return ""
        return f", {left:.0f} s left" if left < 90 else f", {left / 60:.0f} min left"
