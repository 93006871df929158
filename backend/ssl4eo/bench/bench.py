# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure encoders and the live map on this machine."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.bench.checks import check
from ssl4eo.bench.live import CLICKS, measure_live
from ssl4eo.bench.one import WHAT, measure_one
from ssl4eo.bench.subject import MOST, Subject, ready_scene
from ssl4eo.bench.weights import weights_for
from ssl4eo.encoders.cards import DEFAULT_ENCODER, get_card
from ssl4eo.encoders.modes import STANDARD
from ssl4eo.jobs import Progress, no_progress, part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


__all__ = ["DEFAULT_WHAT", "PAIRS", "SIZES", "WHAT", "bench"]

DEFAULT_WHAT = ("ratio",)
PAIRS = 5
SIZES = (1.0, 4.0, 16.0, 121.0)
LIVE = "live"
# The shares of the progress that the live map takes, and of the rest that making the scene takes.
_LIVE_SHARE, _SCENE_SHARE = 0.1, 0.1


def bench(
    encoder: str | Sequence[str] = DEFAULT_ENCODER,
    *,
    what: Sequence[str] = DEFAULT_WHAT,
    scene: str | PathLike[str] | None = None,
    device: str = "auto",
    precisions: Sequence[str] = ("auto",),
    mode: str = STANDARD,
    pairs: int = PAIRS,
    sizes: Sequence[float] = SIZES,
    random_weights: bool = False,
    features: str | PathLike[str] | None = None,
    clicks: int = CLICKS,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure encoders on this machine; what is made on the way is removed.

    Args:
        encoder: id of a model card, or several.
        what: of "forward" (the network alone), "ratio" (that and encoding from file to feature set, in turn), "parts"
            (where the time goes), "memory" and "scaling" (by size of the scene), "baseline" (against the plain loop),
            "live" (the live map, which needs no encoder).
        scene: a raster, a folder of band files or a SAFE product that opens without questions; a simulated one of
            2048 x 2048 pixels when None.
        device: auto, cpu, cuda, cuda:N or mps.
        precisions: of auto, fp32, bf16, fp16; each is measured.
        mode: fast or standard.
        pairs: rounds of what is measured in turn.
        sizes: of the scenes for memory and scaling, in megapixels of 1024 x 1024; at most those of a Sentinel-2 tile.
        random_weights: whether encoders whose weights are not here are measured with random ones.
        features: a feature set for the live map; made-up ones when None.
        clicks: how many are timed on it.
        progress: told how far the work is; may raise Cancelled.

    Returns:
        machine, scene, what, pairs, seconds, `live` (see `measure_live`) if asked for, and `runs`: per encoder and
        precision encoder, weights ("own" or "random"), mode, device, device_reason, precision, precision_reason, width,
        height and tiles of what pairs are run over, and what was asked for under its name; baseline is None for an
        encoder without fast mode.

    Raises:
        InputError: for something that cannot be measured, or a scene or encoder that cannot be used.
        OutputError: when the temporary folder cannot hold what is made.
    """
    started = time.perf_counter()
    names = [encoder] if isinstance(encoder, str) else list(dict.fromkeys(encoder))
    cards = [get_card(name) for name in names]
    check(cards, what, scene, device, precisions, mode, pairs, sizes)
    from ssl4eo.bench.machine import describe_machine

    # Now: what is measured loads the machine itself.
    machine = describe_machine()
    runs: list[dict[str, Any]] = []
    live: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssl4eo-bench-")))
        share = 0.0
        if LIVE in what:
            share = _LIVE_SHARE if set(what) != {LIVE} else 1.0
            live = {LIVE: measure_live(features, folder, clicks, part(progress, 0.0, share))}
        if set(what) != {LIVE}:
            progress_of_runs = part(progress, share, 1.0)
            for card in cards:
                with weights_for(card, folder / "weights", random=random_weights):
                    continue
            first = part(progress_of_runs, 0.0, _SCENE_SHARE)
            path = ready_scene(None if scene is None else str(scene), folder, MOST, first)
            subjects = [Subject(card, path, mode, device, one, folder) for card in cards for one in precisions]
            rest = part(progress_of_runs, _SCENE_SHARE, 1.0)
            runs = _runs(subjects, what, pairs, sizes, rest, random_weights=random_weights)
        progress(1.0, "Done")
    return {
        "machine": machine,
        "scene": "simulated" if scene is None else str(scene),
        "what": [name for name in WHAT if name in what],
        "pairs": pairs,
        "runs": runs,
        **live,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _runs(
    subjects: Sequence[Subject],
    what: Sequence[str],
    pairs: int,
    sizes: Sequence[float],
    progress: Progress,
    *,
    random_weights: bool,
) -> list[dict[str, Any]]:
    for subject in subjects:
        with subject.planned():
            continue
    runs = []
    for number, subject in enumerate(subjects):
        stage = part(progress, number / len(subjects), (number + 1) / len(subjects))
        with weights_for(subject.card, subject.folder / "weights", random=random_weights) as whose:
            runs.append({"weights": whose, **measure_one(subject, what, pairs, sizes, stage)})
    return runs
