# SPDX-License-Identifier: GPL-2.0-or-later
"""Seconds per megapixel and peak memory by the size of the scene."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from ssl4eo.bench.child import encode_in_child
from ssl4eo.bench.repeat import repeat_scene, side_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl4eo.bench.subject import Subject
    from ssl4eo.jobs import Progress

__all__ = ["FLAT_FROM", "flatness", "rows_by_size"]

# Below, loading the encoder and fitting the projection weigh on each megapixel.
FLAT_FROM = 4.0


def rows_by_size(subject: Subject, sizes: Sequence[float], progress: Progress) -> list[dict[str, Any]]:
    """Encode the scene, repeated to each size, in a process of its own.

    Returns:
        Per size `mpx` (millions of pixels), `side`, `tiles`, `seconds` (of `encode`), `seconds_per_mpx`,
        `tiles_per_second` and `peak_memory_mb`.
    """
    rows = []
    areas = [side_of(size) ** 2 for size in sizes]
    for number, size in enumerate(sizes):
        side = side_of(size)
        scene = repeat_scene(subject.scene, subject.folder / f"{side}.vrt", side)
        out = subject.folder / f"features_{side}"
        arguments = [
            str(scene), str(out), "--encoder", subject.card.id, "--mode", subject.mode,
            "--device", subject.device, "--precision", subject.precision,
        ]  # fmt: skip
        done = sum(areas[:number]) / sum(areas)
        message = f"Encoding {side} x {side} pixels in a process of its own"
        result = encode_in_child(arguments, done, message, progress)
        shutil.rmtree(out)
        mpx = side**2 / 1e6
        rows.append(
            {
                "mpx": mpx,
                "side": side,
                "tiles": result["windows"],
                "seconds": result["seconds"],
                "seconds_per_mpx": result["seconds"] / mpx,
                "tiles_per_second": result["windows"] / result["seconds"],
                "peak_memory_mb": result["peak_memory_mb"],
            }
        )
    return rows


def flatness(rows: Sequence[dict[str, Any]]) -> float | None:
    """Return most by least seconds per megapixel of the sizes from 4 on; None when there are fewer than two."""
    each = [row["seconds_per_mpx"] for row in rows if row["mpx"] >= FLAT_FROM]
    return max(each) / min(each) if len(each) > 1 else None
