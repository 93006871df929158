# SPDX-License-Identifier: GPL-2.0-or-later
"""The pure forward pass and the whole of encoding in turn: what a feature set costs beside the network."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from ssl4eo.bench.timing import Timing, Told, in_turn, shares
from ssl4eo.jobs import part

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo.bench.forward import Forward
    from ssl4eo.bench.subject import Subject
    from ssl4eo.jobs import Progress

__all__ = ["End", "forward_and_ratio"]

_ENGINE, _ALONE, _END = "the engine's streams", "one stream", "end to end"
# What `encode` says before it looks at the first tile.
_BEFORE = ("Opening the scene", "Loading the encoder")


class End:
    """Encodes from the file to the feature set, again and again into a new folder."""

    def __init__(self, subject: Subject, progress: Progress, **changes: Any) -> None:
        """Hold what is encoded.

        Args:
            subject: the encoder, scene and settings.
            progress: may raise Cancelled.
            changes: settings of `encode` that are other than those of the subject.
        """
        self._subject, self._progress = subject, progress
        # Looked up here: what is timed opens the scene once, as a user's encode does.
        self._options = {"window": subject.window, **changes}
        self.before_first_tile: list[float] = []
        self.result: dict[str, Any] = {}

    def __call__(self) -> float:
        """Encode once and return the seconds that it took, opening the scene and loading the encoder included."""
        out = self._subject.folder / "features"
        first: list[float] = []

        def heard(_: float, message: str = "") -> None:
            if not first and message not in _BEFORE:
                first.append(time.perf_counter())
            self._progress(0.0, "")

        start = time.perf_counter()
        self.result = self._subject.encode(out, heard, **self._options)
        seconds = time.perf_counter() - start
        self.before_first_tile.append(first[0] - start)
        shutil.rmtree(out)
        return seconds


def forward_and_ratio(
    subject: Subject, forward: Forward, pairs: int, progress: Progress, *, whole: bool
) -> dict[str, Any]:
    """Measure the forward pass, and encoding in turn with it.

    The forward pass is measured as the engine runs it, and with one stream that has all threads: the ratio is against
    the faster of the two.

    Args:
        subject: what is measured.
        forward: its tiles in memory.
        pairs: how often.
        progress: told how far the work is.
        whole: whether to encode too.

    Returns:
        `forward`, and `ratio` when `whole`.
    """
    told = Told(progress)
    told(0.0, "Warming up")
    beat = told.beat
    size = forward.best_alone(beat)
    forward.as_engine(beat, forward.streams)
    ways: dict[str, Callable[[], float]] = {
        _ENGINE: lambda: forward.as_engine(beat),
        _ALONE: lambda: forward.alone(size, beat),
    }
    end = End(subject, lambda *_: beat())
    if whole:
        ways[_END] = end
    timings = in_turn(ways, pairs, part(told, 0.05, 1.0))
    pixels = _pixels(subject)
    arrangements = [
        _speeds(timings[name], forward, pixels) | {"streams": streams, "threads": threads, "batch": batch}
        for name, streams, threads, batch in (
            (_ENGINE, forward.streams, forward.threads // forward.streams or 1, forward.batch),
            (_ALONE, 1, forward.threads, size),
        )
    ]
    names = (_ENGINE, _ALONE)
    fastest = min((0, 1), key=lambda number: timings[names[number]].median)
    found: dict[str, Any] = {"forward": {"arrangements": arrangements, "fastest": fastest}}
    if whole:
        found["ratio"] = _ratio(timings[names[fastest]], timings[_END], end, pixels)
    return found


def _pixels(subject: Subject) -> int:
    with subject.planned() as run:
        return run.extent.width * run.extent.height


def _speeds(timing: Timing, forward: Forward, pixels: int) -> dict[str, Any]:
    return {
        **timing.to_dict(),
        "images_per_second": forward.images / timing.median,
        "tiles_per_second": forward.tiles / timing.median,
        "mpx_per_second": pixels / 1e6 / timing.median,
    }


def _ratio(forward: Timing, whole: Timing, end: End, pixels: int) -> dict[str, Any]:
    return {
        **shares(forward, whole),
        "forward": forward.to_dict(),
        "end_to_end": whole.to_dict(),
        "before_first_tile": Timing(tuple(end.before_first_tile)).median,
        "tiles": end.result["windows"],
        "tiles_per_second": end.result["windows"] / whole.median,
        "mpx_per_second": pixels / 1e6 / whole.median,
    }
