# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure the live map: from a changed set of samples to the view that shows it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.bench.levels import LAYOUTS, write_levels
from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, part

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from ssl4eo.labels.live import Sample, Session, Wish

__all__ = ["CLICKS", "measure_live"]

CLICKS = 100
_CLASSES, _PER_CLASS = 10, 20
# Pixels along a side of the view.
_VIEW = 1024
# Samples beside those that are in use, per class: each click takes one out and puts one of these in.
_SPARE = 10


def measure_live(features: str | PathLike[str] | None, folder: Path, clicks: int, progress: Progress) -> dict[str, Any]:
    """Click again and again, and take the times.

    Ten classes are what clustering finds in the view; of each 20 points are samples. Each click replaces one of
    the 200 by another, after which the head is learnt anew and the view of at most 1024 x 1024 pixels drawn at full
    resolution.

    Args:
        features: a feature set; None makes two, of a ResNet's and a transformer's levels, of 1536 x 1536 pixels.
        folder: for what is made.
        clicks: how many are timed.
        progress: told how far the work is; may raise Cancelled.

    Returns:
        clicks, and per feature set under `rows`: features, levels (stride and components of each), used (levels that
        take part), classes, count (of samples), width, height, open (seconds), and in milliseconds p50, p95, least and
        most of refit (the head alone), samples (reading, refit and all that is told of it), view, and both.

    Raises:
        InputError: for a feature set that cannot be used, or fewer than one click.
    """
    if clicks < 1:
        raise InputError(f"There cannot be {clicks} clicks; give a number from 1 on.")
    names = ["given"] if features is not None else list(LAYOUTS)
    rows = []
    for number, name in enumerate(names):
        stage = part(progress, number / len(names), (number + 1) / len(names))
        stage(0.0, f"Live map: making features as of a {name}")
        place = features if features is not None else write_levels(folder / f"live-{name}", name)
        rows.append({"features": name if features is None else str(features), **_row(place, clicks, stage)})
    return {"clicks": clicks, "rows": rows}


def _row(features: str | PathLike[str], clicks: int, progress: Progress) -> dict[str, Any]:
    # scikit-learn takes a second to import.
    from ssl4eo.labels.heads.selection import fit_head
    from ssl4eo.labels.live import Session

    started = time.perf_counter()
    session = Session.open(features)
    opened = time.perf_counter() - started
    grid = session.features.grid
    width, height = min(_VIEW, grid.width), min(_VIEW, grid.height)
    col, row = (grid.width - width) // 2, (grid.height - height) // 2
    (left, right), (top, bottom) = grid.xy([col, col + width], [row, row + height])
    bbox = tuple(map(float, (min(left, right), min(top, bottom), max(left, right), max(top, bottom))))
    used, spare, wish = _samples(session, (col, row, width, height))
    session.set_samples(wish)
    session.view("classes", bbox, width, height)
    times: dict[str, list[float]] = {"refit": [], "samples": [], "view": [], "both": []}
    rng = np.random.default_rng(1)
    strides = [level.stride for level in session.features.levels]
    for click in range(clicks):
        progress(click / clicks, f"Live map: click {click + 1} of {clicks}")
        new = int(rng.integers(len(spare)))
        same = [number for number, sample in enumerate(used) if sample.name == spare[new].name]
        old = int(rng.choice(same))
        used[old], spare[new] = spare[new], used[old]
        wish = replace(wish, samples=tuple(used))
        begun = time.perf_counter()
        session.set_samples(wish)
        between = time.perf_counter()
        session.view("classes", bbox, width, height)
        done = time.perf_counter()
        training = session.learnt.training
        assert training is not None
        fit_head(training, session.scalings, strides)
        refitted = time.perf_counter()
        for name, seconds in (
            ("refit", refitted - done),
            ("samples", between - begun),
            ("view", done - between),
            ("both", done - begun),
        ):
            times[name].append(1000 * seconds)
    fitted = session.learnt.fitted
    assert fitted is not None
    return {
        "levels": [{"stride": level.stride, "components": level.components} for level in session.features.levels],
        "used": [index for index, scale in enumerate(fitted.scales) if scale > 0],
        "classes": len(fitted.head.names),
        "count": len(used),
        "width": width,
        "height": height,
        "open": round(opened, 3),
        **{name: _spread(values) for name, values in times.items()},
    }


def _samples(session: Session, window: tuple[int, int, int, int]) -> tuple[list[Sample], list[Sample], Wish]:
    """Return samples in use, spare ones, and the wish with the first."""
    from sklearn.cluster import MiniBatchKMeans

    from ssl4eo.grid import Window
    from ssl4eo.labels.heads.lattice import read_lattice
    from ssl4eo.labels.live import Sample, Wish

    features, rng = session.features, np.random.default_rng(0)
    found = read_lattice(features, Window(*window), 4000, rng)
    scaled = found.scaled(session.scalings, np.ones(len(features.levels)))
    if len(scaled) < 2 * _CLASSES:
        raise InputError(f"{features.folder} has too few pixels with values in its middle; choose a larger one.")
    labels = MiniBatchKMeans(_CLASSES, n_init=3, random_state=0).fit_predict(scaled)
    used: list[Sample] = []
    spare: list[Sample] = []
    for label in range(_CLASSES):
        members: NDArray[np.intp] = rng.permutation(np.flatnonzero(labels == label))[: _PER_CLASS + _SPARE]
        for number, member in enumerate(members):
            x, y = features.grid.xy(*found.places[member])
            sample = Sample(f"p{member}", f"class {label}", f"POINT ({float(x)!r} {float(y)!r})")
            (used if number < _PER_CLASS else spare).append(sample)
    if not spare:
        spare = used[:1]
    assert features.crs is not None
    names = tuple(f"class {label}" for label in range(_CLASSES))
    return used, spare, Wish(features.crs.to_wkt(), tuple(used), names)


def _spread(values: list[float]) -> dict[str, float]:
    found = {
        "p50": np.percentile(values, 50),
        "p95": np.percentile(values, 95),
        "least": min(values),
        "most": max(values),
    }
    return {name: round(float(value), 1) for name, value in found.items()}
