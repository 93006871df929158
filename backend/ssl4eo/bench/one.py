# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure one encoder: all that is asked for, in an order in which nothing is in the way of what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssl4eo.bench.subject import MOST
from ssl4eo.jobs import Progress, part

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ssl4eo.bench.subject import Subject

__all__ = ["WHAT", "measure_one"]

WHAT = ("forward", "ratio", "parts", "memory", "scaling", "baseline", "live")
# What is measured at once, and about how long it takes in relation to the others.
_LENGTHS = {
    ("memory", "scaling"): 12.0,
    ("forward", "ratio"): 5.0,
    ("parts",): 1.0,
    ("baseline",): 6.0,
}


def measure_one(
    subject: Subject, what: Collection[str], pairs: int, sizes: Sequence[float], progress: Progress
) -> dict[str, Any]:
    """Return what is asked for of one subject, and how it was run."""
    wanted = [names for names in _LENGTHS if set(names) & set(what)]
    total, start = sum(_LENGTHS[names] for names in wanted), 0.0
    reports: dict[str, Progress] = {}
    for names in wanted:
        stop = start + _LENGTHS[names] / total
        reports[names[0]] = _named(part(progress, start, stop), subject.card.id)
        start = stop
    found = _described(subject)
    # Processes of their own first: little of the memory is taken then.
    if "memory" in reports:
        found.update(_by_size(subject, what, sizes, reports["memory"]))
    if "forward" in reports or "parts" in reports:
        found.update(_tile_by_tile(subject, what, pairs, reports))
    if "baseline" in reports:
        from ssl4eo.bench.baseline import against_plain_loop

        has_tiles = subject.card.shape.patch is not None
        found["baseline"] = against_plain_loop(subject, MOST, pairs, reports["baseline"]) if has_tiles else None
    return found


def _named(progress: Progress, encoder: str) -> Progress:
    def report(fraction: float, message: str = "") -> None:
        progress(fraction, f"{encoder}: {message}")

    return report


def _described(subject: Subject) -> dict[str, Any]:
    from ssl4eo.encoders.device import choose_device, choose_precision, device_reason, precision_reason

    device = choose_device(subject.device)
    with subject.planned() as run:
        extent, tiles = run.extent, run.tiles
    return {
        "encoder": subject.card.id,
        "mode": subject.mode,
        "device": str(device),
        "device_reason": device_reason(subject.device),
        "precision": choose_precision(subject.precision, device)[0],
        "precision_reason": precision_reason(subject.precision, device),
        "width": extent.width,
        "height": extent.height,
        "tiles": tiles,
    }


def _by_size(
    subject: Subject, what: Collection[str], sizes: Sequence[float], progress: Progress
) -> dict[str, dict[str, Any]]:
    from ssl4eo.bench.sizes import flatness, rows_by_size

    rows = rows_by_size(subject, sizes, progress)
    found: dict[str, dict[str, Any]] = {}
    if "memory" in what:
        peaks = [{name: row[name] for name in ("mpx", "side", "peak_memory_mb")} for row in rows]
        found["memory"] = {"rows": peaks, "most_mb": max(row["peak_memory_mb"] for row in rows)}
    if "scaling" in what:
        found["scaling"] = {"rows": rows, "flatness": flatness(rows)}
    return found


def _tile_by_tile(
    subject: Subject, what: Collection[str], pairs: int, reports: dict[str, Progress]
) -> dict[str, dict[str, Any]]:
    """Measure what needs the encoder in this process."""
    from ssl4eo.bench.forward import Forward
    from ssl4eo.bench.pairs import forward_and_ratio
    from ssl4eo.bench.parts import parts_of
    from ssl4eo.encoders.encoder import load_encoder

    found: dict[str, dict[str, Any]] = {}
    encoder = load_encoder(subject.card.id, subject.device, subject.precision)
    if "forward" in reports:
        report = reports["forward"]
        with subject.planned() as run:
            forward = Forward(run, encoder, part(report, 0.0, 0.05))
        whole = "ratio" in what
        found.update(forward_and_ratio(subject, forward, pairs, part(report, 0.05, 1.0), whole=whole))
        # Its tiles take memory that the rest needs.
        del forward
    if "parts" in reports:
        found["parts"] = parts_of(subject, encoder, reports["parts"])
    return found
