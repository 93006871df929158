# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the next sample helps most: typical places at first, then those between two classes, always apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ssl4eo.errors import InputError
from ssl4eo.grid import Window
from ssl4eo.labels.heads.lattice import Lattice, read_lattice
from ssl4eo.labels.training import level_scalings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["suggest"]

# Cells that stand for the extent: distances between all of them take 50 ms at 300 components.
_CELLS = 2000
# Neighbours whose mean distance says how typical a cell is (Hacohen et al. 2022, arXiv:2202.02794, section 3.2).
_NEIGHBOURS = 20
# Below so many samples per class uncertainty misleads, and typical places teach more (the same paper, section 4.2).
_FEW = 3
# More clusters than this hold too few cells each to say what is typical.
_MOST_CLUSTERS = 100
# Pixels between a suggestion and a sample, the side of one independent observation (labels.training).
_APART = 8.0
# Pixels around a place of an overview among which the real pixel is chosen.
_REACH = 4


@dataclass(frozen=True)
class _Samples:
    """Places (G, 2) of samples, how far each reaches in pixels (G,), and their features (G, D)."""

    places: NDArray[np.float64]
    reach: NDArray[np.float64]
    x: NDArray[np.float32]


def suggest(
    features: FeatureSet,
    head: LinearHead | None = None,
    training: Training | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    count: int = 5,
    *,
    scalings: list[LevelScaling] | None = None,
    scales: Iterable[float] | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the places where a sample helps most, best first.

    Up to about 3 samples per class they are typical of what has no sample yet (TypiClust, Hacohen et al. 2022); then
    they lie between two classes in the dense part of the feature space (margin times density, Settles and Craven 2008).

    Args:
        features: the feature set.
        head: what was learnt so far, or None.
        training: the samples it was learnt from, or None for none.
        bbox: xmin, ymin, xmax, ymax in the scene's CRS; None for the whole scene.
        count: how many places.
        scalings: of the levels; found anew when None, which takes a second on a large set.
        scales: weight of each level, as in `Fitted.scales`; None weighs all deep levels together like the base.
        temperature: logits are divided by it.
        seed: of the cells and clusters.

    Returns:
        suggestions, each with x, y (scene CRS), rank from 1, reason (a sentence) and class (what the head says there,
        or None), and strategy: typical or uncertain. Fewer than `count` where there is no room for more.

    Raises:
        InputError: for a box that is empty or outside the scene, or a count below 1.
    """
    if not 1 <= count <= 100:
        raise InputError(f"{count} places cannot be suggested; ask for 1 to 100.")
    window = features.grid.window if bbox is None else features.grid.window_for_bbox(bbox)
    rng = np.random.default_rng(seed)
    lattice = read_lattice(features, window, _CELLS, rng)
    scalings = level_scalings(features) if scalings is None else scalings
    weights = _level_weights(features, scales)
    samples = _samples(training, weights)
    early = head is None or training is None or len(training.places) < _FEW * len(training.names)
    if not len(lattice.places):
        return {"suggestions": [], "strategy": "typical" if early else "uncertain"}
    x = lattice.scaled(scalings, weights)
    logits = None if head is None else lattice.logits(head) / temperature
    free = _free(lattice.places, samples)
    # A quarter of the distance at which the places would lie on a regular grid.
    apart = max(_APART, 0.25 * np.sqrt(window.width * window.height / count))
    # Matrices this small are done before more threads have begun, and much later on a busy computer.
    with threadpool_limits(limits=1):
        if early or logits is None or training is None:
            chosen = _typical(lattice, x, samples, free, apart, count, seed)
        else:
            chosen = _uncertain(lattice, x, logits, training.names, free, apart, count, seed)
    places = [_pixel(features, lattice, number) for number, _ in chosen]
    found = []
    for rank, ((number, reason), (col, row)) in enumerate(zip(chosen, places, strict=True), start=1):
        x_at, y_at = features.grid.xy(col, row)
        says = None if head is None or logits is None else head.names[int(logits[number].argmax())]
        found.append({"x": float(x_at), "y": float(y_at), "rank": rank, "reason": reason, "class": says})
    return {"suggestions": found, "strategy": "typical" if early else "uncertain"}


def _level_weights(features: FeatureSet, scales: Iterable[float] | None) -> NDArray[np.float64]:
    if scales is not None:
        return np.asarray(list(scales), float)
    deep = len(features.levels) - features.base
    return np.array([1.0 if level < features.base else deep**-0.5 for level in range(len(features.levels))])


def _samples(training: Training | None, weights: NDArray[np.float64]) -> _Samples:
    if training is None:
        return _Samples(np.empty((0, 2)), np.empty(0), np.empty((0, 0), np.float32))
    used = [values * scale for values, scale in zip(training.features, weights, strict=True) if scale > 0]
    x = np.concatenate(used, axis=1) * training.weights[:, None]
    means = np.zeros((len(training.places), x.shape[1]))
    np.add.at(means, training.samples, x)
    # A polygon of n observations is about as large as a square with root n times the side of one.
    return _Samples(training.places, _APART / 2 * np.sqrt(training.observations), means.astype(np.float32))


def _free(places: NDArray[np.float64], samples: _Samples) -> NDArray[np.bool_]:
    """Return (N,) which places are not next to a sample."""
    free = np.ones(len(places), bool)
    for place, reach in zip(samples.places, samples.reach, strict=True):
        free &= np.hypot(*(places - place).T) >= _APART + reach
    return free


def _typical(
    lattice: Lattice,
    x: NDArray[np.float32],
    samples: _Samples,
    free: NDArray[np.bool_],
    apart: float,
    count: int,
    seed: int,
) -> list[tuple[int, str]]:
    clusters, model = _clusters(x, count + len(samples.places), seed)
    size = np.bincount(clusters, minlength=model.n_clusters)
    covered = np.zeros(model.n_clusters, int)
    if len(samples.x):
        covered = np.bincount(model.predict(samples.x), minlength=model.n_clusters)
    typicality = np.zeros(len(x))
    for cluster in np.flatnonzero(size):
        members = np.flatnonzero(clusters == cluster)
        typicality[members] = _density(x[members])
    chosen: list[tuple[int, str]] = []
    # Clusters with the fewest samples first, the largest of them before all.
    for cluster in np.lexsort((-size, covered)):
        members = np.flatnonzero((clusters == cluster) & free)
        best = _first_apart(members[np.argsort(-typicality[members], kind="stable")], lattice, chosen, apart)
        if best is not None:
            share = size[cluster] / len(x)
            where = "no sample yet" if not covered[cluster] else "few samples for its size"
            chosen.append((best, f"Typical of {_percent(share)} of this area, with {where}."))
        if len(chosen) == count:
            break
    return chosen


def _uncertain(
    lattice: Lattice,
    x: NDArray[np.float32],
    logits: NDArray[np.float64],
    names: tuple[str, ...],
    free: NDArray[np.bool_],
    apart: float,
    count: int,
    seed: int,
) -> list[tuple[int, str]]:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-shares, axis=1, kind="stable")
    first, second = (np.take_along_axis(shares, order[:, i : i + 1], axis=1)[:, 0] for i in (0, 1))
    # By rank, because densities span orders of magnitude: water alone would win otherwise.
    score = _ranks(second - first) * _ranks(_density(x))
    clusters, _ = _clusters(x, 4 * count, seed)
    chosen: list[tuple[int, str]] = []
    taken: set[int] = set()
    for number in np.argsort(-score, kind="stable"):
        if not free[number] or int(clusters[number]) in taken or _first_apart([number], lattice, chosen, apart) is None:
            continue
        taken.add(int(clusters[number]))
        one, other = (names[order[number, i]] for i in (0, 1))
        sure, less = _percent(first[number]), _percent(second[number])
        chosen.append((int(number), f"Between {one} ({sure}) and {other} ({less})."))
        if len(chosen) == count:
            break
    return chosen


def _clusters(x: NDArray[np.float32], wanted: int, seed: int) -> tuple[NDArray[np.intp], MiniBatchKMeans]:
    number = max(1, min(wanted, _MOST_CLUSTERS, len(x) // _NEIGHBOURS))
    model = MiniBatchKMeans(number, n_init=1, random_state=seed, max_iter=20, batch_size=1024)
    with warnings.catch_warnings():
        # Cells that are all alike make fewer clusters than asked for, which is fine.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit_predict(x), np.intp), model


def _density(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (N,) the inverse mean distance to the nearest neighbours."""
    near = min(_NEIGHBOURS, len(x) - 1)
    if near < 1:
        return np.ones(len(x))
    square = (x**2).sum(axis=1)
    distances = np.maximum(square[:, None] + square - 2 * x @ x.T, 0)
    np.fill_diagonal(distances, np.inf)
    nearest = np.sqrt(np.partition(distances, near - 1, axis=1)[:, :near]).mean(axis=1)
    return np.asarray(1 / np.maximum(nearest, 1e-9), float)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of values that are at most as large, 0 to 1."""
    return np.asarray(np.searchsorted(np.sort(values), values, side="right") / len(values), float)


def _first_apart(
    candidates: Iterable[int], lattice: Lattice, chosen: list[tuple[int, str]], apart: float
) -> int | None:
    there = lattice.places[[number for number, _ in chosen]]
    for number in candidates:
        if not len(there) or np.hypot(*(there - lattice.places[number]).T).min() >= apart:
            return int(number)
    return None


def _pixel(features: FeatureSet, lattice: Lattice, number: int) -> tuple[float, float]:
    """Return the middle of the pixel that stands for a place: of an averaged one, the pixel most like the average."""
    col, row = lattice.places[number]
    if lattice.step == 1:
        return float(np.floor(col) + 0.5), float(np.floor(row) + 0.5)
    around = Window(int(col) - _REACH, int(row) - _REACH, 2 * _REACH + 1, 2 * _REACH + 1)
    window = features.grid.clip(around)
    level = features.levels[0]
    pixels = level.read(window).reshape(level.components, -1)
    off = ((pixels - lattice.values[0][number][:, None]) / np.maximum(level.scale[:, None], 1e-12)) ** 2
    distances = np.where(np.isfinite(pixels[0]), off.sum(axis=0), np.inf)
    at = int(distances.argmin())
    return window.col + at % window.width + 0.5, window.row + at // window.width + 0.5


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.005 else f"{share:.0%}".replace("%", " %")
