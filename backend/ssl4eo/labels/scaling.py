# SPDX-License-Identifier: GPL-2.0-or-later
"""How the features of a scene are centred and scaled before a head sees them, and how they vary from place to place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import interpolate_points
from ssl4eo.grid import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level

__all__ = ["LevelScaling", "level_scalings"]

# Cells per block side, and blocks per level, that scene statistics are taken from: about 1e5 cells and more.
_BLOCK, _BLOCKS = 256, 16
# Pairs of pixels per block, how far apart they are, and the ridge on their covariance as a share of its mean variance
# (scripts/measure_ladder.py: of 0.1, 1 and 10 the one that no scene lost by).
_PAIRS, _APART, _RIDGE = 400, 3, 1.0


@dataclass(frozen=True)
class LevelScaling:
    """Centre and gain of a level's components: x = (value - mean) * gain.

    Over the scene the total variance is about 1, of both pixel levels of a scene together and of each other level.

    Attributes:
        mean: (C,).
        gain: (C,).
        metric: on level 0 only, (B, B) for the B columns of the base side by side: x @ metric has the same total
            variance, and pixels close to each other differ in all directions alike. None where they do not differ.
    """

    mean: NDArray[np.float64]
    gain: NDArray[np.float64]
    metric: NDArray[np.float64] | None = None


def level_scalings(features: FeatureSet) -> list[LevelScaling]:
    """Return how each level is centred and scaled, from cells all over the scene.

    Pixels and surroundings mix bands, indices and deviations, so each component is divided by its own deviation, and
    by the root of how many vary in both levels of the scene together. The components of a deep level share one unit
    and are ordered by variance: they share one divisor, because giving the last ones the variance of the first ones
    amplifies noise (docs/few-shot-heads.md).
    """
    moments = [_moments(level) for level in features.levels]
    varying: Counter[int] = Counter()
    for level, (mean, variance) in zip(features.levels, moments, strict=True):
        if level.of_scene:
            varying[level.scene] += int(_varies(mean, variance).sum())
    scalings = []
    for level, (mean, variance) in zip(features.levels, moments, strict=True):
        if level.of_scene:
            varies = _varies(mean, variance)
            gain = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1) * max(varying[level.scene], 1)), 0)
        else:
            total = float(variance.sum())
            gain = np.full(len(mean), 1 / np.sqrt(total) if total > 0 else 0.0)
        scalings.append(LevelScaling(mean, gain))
    return [replace(scalings[0], metric=_metric(features, scalings)), *scalings[1:]]


def _varies(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which components vary by more than the rounding of their variance."""
    return variance > 1e-18 + 1e-12 * mean**2


def _moments(level: Level) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance (C,) of a level's valid cells, from blocks spread over it."""
    counts = np.zeros((level.components, 256), np.int64)
    for block in _chosen(level):
        stored = level.stored(block).reshape(level.components, -1)
        known = stored[:, stored[0] != NODATA]
        for number, cells in enumerate(known):
            counts[number] += np.bincount(cells, minlength=256)
    # Bytes are few: counting them is exact, and takes a tenth of the time of adding up values and their squares.
    values = np.arange(256.0) * level.scale[:, None] + level.offset[:, None]
    weights = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mean = (weights * values).sum(axis=1)
    return mean, (weights * (values - mean[:, None]) ** 2).sum(axis=1)


def _chosen(level: Level) -> Iterator[Window]:
    """Yield blocks of cells spread over a level."""
    cols, rows = range(0, level.grid.width, _BLOCK), range(0, level.grid.height, _BLOCK)
    blocks = [level.grid.clip(Window(col, row, _BLOCK, _BLOCK)) for row in rows for col in cols]
    for index in np.random.default_rng(0).permutation(len(blocks))[:_BLOCKS]:
        yield blocks[index]


def _metric(features: FeatureSet, scalings: list[LevelScaling]) -> NDArray[np.float64] | None:
    """Return what makes neighbouring pixels differ in all directions alike.

    Most neighbours are of one class, so the covariance of their differences is near that within classes, which one
    sample per class says nothing of (Green et al. 1988, doi:10.1109/36.3001, take it for the covariance of the noise).
    """
    rng, heres, apart = np.random.default_rng(0), [], []
    for block in _chosen(features.levels[0]):
        here = rng.integers(0, [block.width, block.height], (_PAIRS, 2))
        angle = rng.uniform(0, 2 * np.pi, _PAIRS)
        there = here + np.rint(_APART * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.intp)
        there = np.clip(there, 0, [block.width - 1, block.height - 1])
        first, second = (_base(features, scalings, block, pixels) for pixels in (here, there))
        both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        heres.append(first[both])
        apart.append((first - second)[both])
    scene, near = np.concatenate(heres), np.concatenate(apart)
    covariance = near.T @ near / max(2 * len(near), 1)
    varying = np.count_nonzero(np.diag(covariance))
    if not varying:
        return None
    covariance.flat[:: len(covariance) + 1] += _RIDGE * np.trace(covariance) / varying
    factor = linalg.cholesky(covariance, lower=True)
    metric = linalg.solve_triangular(factor, np.eye(len(factor)), lower=True).T
    before, after = (float(x.var(axis=0).sum()) for x in (scene, scene @ metric))
    return np.asarray(metric * np.sqrt(before / after), np.float64) if after > 0 else None


def _base(
    features: FeatureSet, scalings: list[LevelScaling], block: Window, pixels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the base's features (N, B) at pixels (N, 2) of a block, side by side, NaN where missing."""
    columns = []
    for level, scaling in zip(features.levels[: features.base], scalings, strict=False):
        if level.index == 0:
            values = level.read(block)[:, pixels[:, 1], pixels[:, 0]].T
        else:
            place = ~level.grid.transform @ features.grid.transform
            cols, rows = (start + pixels[:, axis] + 0.5 for axis, start in enumerate((block.col, block.row)))
            cells, cols, rows = level.read_around(place.a * cols + place.c, place.e * rows + place.f)
            values = interpolate_points(cells, cols, rows)
        columns.append((values - scaling.mean) * scaling.gain)
    return np.concatenate(columns, axis=1)
