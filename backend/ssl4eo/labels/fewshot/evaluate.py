# SPDX-License-Identifier: GPL-2.0-or-later
"""How good maps from a few samples are on a labelled scene: our head beside plain ones, over spatially blocked draws.

- A draw splits the blocks of the scene in halves so that each class has blocks in both. So many pixels of each class
  are taken from the one half, from as many different blocks as there are, and learnt from; the other half is asked.
- The pixels that can be drawn are fixed: up to 1200 of each class and up to 600 more that lie within 2 pixels of
  another class. Each asked pixel counts as many times as there are labelled pixels of its kind, so that scores are
  those of all labelled pixels of the half.
- Every head sees the same draws. Intervals are 2.5 % and 97.5 % of 2000 bootstrap means over the draws: they say how
  sure the mean over draws is, not how another scene would score.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.features.store import FeatureSet
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.labels.fewshot.reference import border_distance, read_reference
from ssl4eo.labels.fewshot.rivals import BASE, RIVALS, Task
from ssl4eo.labels.training import level_scalings

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

__all__ = ["SHOTS", "evaluate_fewshot"]

SHOTS = (1, 2, 5, 10, 20)
# Pixels from another class up to which a pixel counts as near a border.
_NEAR = 2
# Pixels drawn of each class, away from borders and near them.
_PER_CLASS, _PER_CLASS_NEAR = 1200, 600
# Blocks a class must lie in: two of them to learn from and two to be asked.
_FEWEST_BLOCKS = 4
_RESAMPLES = 2000

_METRICS = ("balanced_accuracy", "miou", "near_borders")


@dataclass(frozen=True)
class _Pool:
    """Pixels that can be drawn.

    Attributes:
        names: K class names.
        features: per level (N, C), scaled.
        labels: (N,) class indices.
        units: (N,) the block each is split with.
        places: (N, 2) column and row.
        near: (N,) whether another class is at most 2 pixels away.
        weights: (N,) how many labelled pixels each stands for.
        metric: of `LevelScaling`, on the pixel levels.
    """

    names: tuple[str, ...]
    features: list[NDArray[np.float64]]
    labels: NDArray[np.intp]
    units: NDArray[np.intp]
    places: NDArray[np.float64]
    near: NDArray[np.bool_]
    weights: NDArray[np.float64]
    metric: NDArray[np.float64] | None


def evaluate_fewshot(
    features: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    class_field: str = "class",
    ignore: Collection[str] = (),
    background: str | None = None,
    shots: Sequence[int] = SHOTS,
    draws: int = 50,
    block: int = 32,
    seed: int = 0,
    heads: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Score few-shot maps of a labelled scene.

    Args:
        features: a folder that `encode` wrote.
        labels: polygons with a class, or a raster of class numbers.
        class_field: the field of polygons with the class.
        ignore: classes that are left out.
        background: the class of what is outside all polygons.
        shots: samples per class.
        draws: random splits and samples per number of shots.
        block: side of the squares that are split, in pixels.
        seed: of the pixels and draws.
        heads: some of the heads only, by name.
        progress: told how far the work is.

    Returns:
        classes with the labelled pixels of each, and `scores`: per head and number of shots the balanced accuracy, the
        mean intersection over union and the accuracy near borders (None where no two classes touch), each with mean,
        low and high, and `against_base`: the same of the differences to our head on the pixel levels alone.

    Raises:
        InputError: for labels or numbers that cannot be used.
    """
    started = time.perf_counter()
    names = list(RIVALS) if heads is None else list(heads)
    unknown = sorted(set(names) - set(RIVALS))
    if unknown:
        raise InputError(f"There is no head {unknown[0]!r} to compare; choose among: {', '.join(RIVALS)}.")
    if draws < 2 or min(shots, default=0) < 1 or block < 1 or seed < 0:
        raise InputError(
            f"{draws} draws of {list(shots)} samples from blocks of {block} pixels make no score; "
            "give at least 2 draws, 1 sample and 1 pixel."
        )
    source = FeatureSet.open(features)
    progress(0.0, "Reading labels and features")
    pool, warnings = _read_pool(source, labels, block, seed, class_field, ignore, background)
    strides = [level.stride for level in source.levels]
    found: dict[tuple[str, int], list[list[float]]] = {}
    for number, count in enumerate(shots):
        for draw in range(draws):
            progress((number + draw / draws) / len(shots), f"{count} samples per class, draw {draw + 1} of {draws}")
            learn, ask = _draw(pool, count, np.random.default_rng((seed, count, draw)))
            task = _task(pool, learn, ask, source.base, strides)
            for name in names:
                found.setdefault((name, count), []).append(_scores(pool, ask, RIVALS[name](task)))
    return {
        "features": str(source.folder),
        "encoders": source.encoders,
        "labels": str(labels),
        "classes": {
            name: round(float(pool.weights[pool.labels == code].sum())) for code, name in enumerate(pool.names)
        },
        "blocks": len(np.unique(pool.units)),
        "block": block,
        "draws": draws,
        "seed": seed,
        "scores": _summary({key: np.array(values) for key, values in found.items()}, names, shots),
        "warnings": warnings,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _read_pool(
    source: FeatureSet,
    labels: str | os.PathLike[str],
    block: int,
    seed: int,
    class_field: str,
    ignore: Collection[str],
    background: str | None,
) -> tuple[_Pool, list[str]]:
    reference = read_reference(
        labels, source.grid, block, class_field=class_field, ignore=ignore, background=background
    )
    names, codes, units = reference.names, reference.codes, reference.units
    blocks = [len(np.unique(units[codes == code])) for code in range(len(names))]
    kept = [code for code in range(len(names)) if blocks[code] >= _FEWEST_BLOCKS]
    warnings = [
        f"{name} lies in {blocks[code]} blocks and was left out: at least {_FEWEST_BLOCKS} are needed."
        for code, name in enumerate(names)
        if code not in kept
    ]
    if len(kept) < 2:
        raise InputError(
            f"{labels} has {len(kept)} classes in {_FEWEST_BLOCKS} or more blocks of {block} pixels; "
            "give a smaller block or more labels."
        )
    near = border_distance(codes) <= _NEAR
    rng, chosen, weights = np.random.default_rng(seed), [], []
    for code in kept:
        for kind, most in ((~near, _PER_CLASS), (near, _PER_CLASS_NEAR)):
            pixels = np.flatnonzero((codes == code) & kind)
            drawn = pixels[rng.permutation(len(pixels))[:most]]
            chosen.append(drawn)
            weights.append(np.full(len(drawn), len(pixels) / max(len(drawn), 1)))
    index = np.concatenate(chosen)
    rows, cols = np.unravel_index(index, codes.shape)
    places = np.stack([cols, rows], axis=1) + 0.5
    values = source.sample(*source.grid.xy(places[:, 0], places[:, 1]))
    valid = np.isfinite(values[0]).all(axis=1)
    scalings = level_scalings(source)
    scaled: list[NDArray[np.float64]] = [
        np.nan_to_num((value - scaling.mean) * scaling.gain)[valid]
        for value, scaling in zip(values, scalings, strict=True)
    ]
    label = np.searchsorted(kept, codes.ravel()[index][valid])
    pool = _Pool(
        tuple(names[code] for code in kept),
        scaled,
        label,
        units.ravel()[index][valid].astype(np.intp),
        np.asarray(places[valid], np.float64),
        near.ravel()[index][valid],
        np.asarray(np.concatenate(weights)[valid], np.float64),
        scalings[0].metric,
    )
    return pool, warnings


def _draw(pool: _Pool, shots: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels to learn from, `shots` of each class, and those to ask."""
    classes = range(len(pool.names))
    of_class = [np.unique(pool.units[pool.labels == code]) for code in classes]
    # 1 to learn from, 0 to ask; the rarest class is dealt first, so that it has blocks on both sides.
    side: dict[int, int] = {}
    for code in sorted(classes, key=lambda code: len(of_class[code])):
        dealt = [side[unit] for unit in of_class[code] if unit in side]
        free = rng.permutation([unit for unit in of_class[code] if unit not in side])
        wanted = len(of_class[code]) // 2 - sum(dealt)
        for position, unit in enumerate(free):
            side[int(unit)] = int(position < min(max(wanted, 1 - sum(dealt)), len(free)))
    learning = np.array([side[unit] == 1 for unit in pool.units])
    learn: list[int] = []
    for code in classes:
        mine = rng.permutation(np.flatnonzero((pool.labels == code) & learning))
        # One pixel of each block in turn, so that the samples are spread.
        _, block = np.unique(pool.units[mine], return_inverse=True)
        order = rng.permutation(block.max(initial=0) + 1)[block]
        turn = _turns(block)
        learn.extend(mine[np.lexsort((order, turn))][:shots].tolist())
    return np.array(learn, np.intp), np.flatnonzero(~learning)


def _turns(block: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return (n,) how many earlier entries have the same value."""
    order = np.argsort(block, kind="stable")
    counts = np.bincount(block)
    turn = np.empty(len(block), np.intp)
    turn[order] = np.arange(len(block)) - np.repeat(np.cumsum(counts) - counts, counts)
    return turn


def _task(pool: _Pool, learn: NDArray[np.intp], ask: NDArray[np.intp], base: int, strides: list[int]) -> Task:
    return Task(
        pool.names,
        [values[learn] for values in pool.features],
        pool.labels[learn],
        pool.places[learn],
        [values[ask] for values in pool.features],
        base,
        strides,
        pool.metric,
    )


def _scores(pool: _Pool, ask: NDArray[np.intp], found: NDArray[np.intp]) -> list[float]:
    """Return balanced accuracy, mean intersection over union and accuracy near borders of asked pixels."""
    labels, weights, classes = pool.labels[ask], pool.weights[ask], len(pool.names)
    confusion = np.bincount(labels * classes + found, weights, minlength=classes**2).reshape(classes, classes)
    right, of_class = np.diag(confusion), confusion.sum(axis=1)
    present = of_class > 0
    union = of_class + confusion.sum(axis=0) - right
    near = pool.near[ask]
    edge = float(weights[near] @ (found == labels)[near] / weights[near].sum()) if near.any() else np.nan
    return [float((right[present] / of_class[present]).mean()), float((right[present] / union[present]).mean()), edge]


def _summary(
    found: dict[tuple[str, int], NDArray[np.float64]], names: Sequence[str], shots: Sequence[int]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for count in shots:
        for name in names:
            values = found[name, count]
            row: dict[str, Any] = {"head": name, "shots": count}
            row.update({metric: _interval(values[:, column]) for column, metric in enumerate(_METRICS)})
            if BASE in names:
                gains = values - found[BASE, count]
                row["against_base"] = {metric: _interval(gains[:, i]) for i, metric in enumerate(_METRICS)}
            rows.append(row)
    return rows


def _interval(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Return mean and 95 % bootstrap interval over the draws; None where there is nothing to average."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    resampled = known[np.random.default_rng(0).integers(0, len(known), (_RESAMPLES, len(known)))].mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"mean": round(float(known.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
