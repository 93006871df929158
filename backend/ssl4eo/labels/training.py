# SPDX-License-Identifier: GPL-2.0-or-later
"""From labelled places to training pixels: which pixels, their weight, their group, and their features per level."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from ssl4eo.features.store import FeatureSet, Level
    from ssl4eo.labels.samples import Samples

__all__ = ["LevelScaling", "Training", "level_scalings", "training_pixels"]

# Pixels of one polygon lie close together and tell nearly the same: beyond some hundred, more of them only cost time.
_PIXELS_PER_POLYGON = 200
# And over all polygons: a covariance of 300 dimensions is stable from far fewer.
_PIXELS = 20_000
# Pixel centres of a very large polygon that are looked at.
_CANDIDATES = 200_000
# Pixels share the values of their surroundings: means over 6 x 6 pixels, interpolated between blocks of 4 x 4, which
# reach as far as means over 8 x 8 would (the same second moment). One such square counts as one observation.
_SIDE_OF_ONE = 8
# Cells per block side, and blocks per level, that scene statistics are taken from: about 1e5 cells and more.
_BLOCK, _BLOCKS = 256, 16


@dataclass(frozen=True)
class LevelScaling:
    """Centre and gain of a level's components: x = (value - mean) * gain.

    Over the scene the total variance is about 1, of both pixel levels of a scene together and of each other level.
    """

    mean: NDArray[np.float64]
    gain: NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """Training pixels: N pixels of G samples in K classes.

    Attributes:
        names: K class names in map order.
        features: per level (N, C_level) float64, centred and scaled; 0 where a level other than level 0 has no value.
        labels: (N,) class indices 0..K-1.
        samples: (N,) which sample (0..G-1) a pixel belongs to.
        weights: (N,) a sample's pixels add up to 1, however many there are.
        observations: (G,) how many independent observations a sample stands for.
        places: (G, 2) column and row of each sample's middle.
        warnings: sentences about samples that were left out.
        base: how many levels, the first ones, are always in: the pixels of the first scene and their surroundings.
    """

    names: tuple[str, ...]
    features: tuple[NDArray[np.float64], ...]
    labels: NDArray[np.intp]
    samples: NDArray[np.intp]
    weights: NDArray[np.float64]
    observations: NDArray[np.float64]
    places: NDArray[np.float64]
    warnings: tuple[str, ...]
    base: int = 1

    @property
    def sample_labels(self) -> NDArray[np.intp]:
        """(G,) class index of each sample."""
        return np.asarray(self.labels[np.unique(self.samples, return_index=True)[1]])


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
    return scalings


def training_pixels(features: FeatureSet, samples: Samples, scalings: list[LevelScaling]) -> Training:
    """Choose the training pixels and read their features.

    A point is the pixel under it; a polygon is up to 200 of the pixel centres inside, or the pixel under a point
    inside when it is smaller than a pixel. A polygon weighs as much as a point.

    Raises:
        InputError: when no sample of two classes lies on valid pixels of the feature set.
    """
    cap = max(1, min(_PIXELS_PER_POLYGON, _PIXELS // len(samples)))
    places = [_pixels(geometry, features.grid, cap, index) for index, geometry in enumerate(samples.geometries)]
    inside = np.array([len(place) > 0 for place in places])
    if not inside.any():
        raise InputError(
            f"None of the {len(samples)} samples in {samples.path} lies inside the feature set {features.folder}; "
            "sample where the scene is encoded, or encode the part with the samples."
        )
    pixels = np.concatenate(places)
    owner = np.repeat(np.arange(len(places)), [len(place) for place in places])
    values = features.sample(*features.grid.xy(pixels[:, 0] + 0.5, pixels[:, 1] + 0.5))
    valid = np.isfinite(values[0]).all(axis=1)
    if not valid.any():
        raise InputError(
            f"All {inside.sum()} samples inside the feature set {features.folder} lie on nodata; "
            "sample where the image has values."
        )
    kept = np.unique(owner[valid])
    warnings = [*samples.warnings, *_left_out(samples, inside, kept)]
    training = _assemble(samples, kept, owner[valid], pixels[valid], [v[valid] for v in values], scalings, warnings)
    return replace(training, base=features.base)


def _assemble(
    samples: Samples,
    kept: NDArray[np.intp],
    owner: NDArray[np.intp],
    pixels: NDArray[np.intp],
    values: list[NDArray[np.float32]],
    scalings: list[LevelScaling],
    warnings: list[str],
) -> Training:
    of_sample = [samples.labels[index] for index in kept]
    names = [name for name in samples.names if name in set(of_sample)]
    if len(names) == 1:
        raise InputError(
            f"Only samples of the class {names[0]!r} lie on valid pixels of the feature set; "
            "add samples of a second class there."
        )
    number = np.searchsorted(kept, owner)
    count = np.bincount(number)
    columns = [
        np.nan_to_num((value - scaling.mean) * scaling.gain).astype(np.float64)
        for value, scaling in zip(values, scalings, strict=True)
    ]
    places = np.stack([np.bincount(number, pixels[:, axis] + 0.5) / count for axis in (0, 1)], axis=1)
    extent = np.array([_observations(pixels[number == index]) for index in range(len(kept))])
    codes = np.array([names.index(label) for label in of_sample], np.intp)
    return Training(
        tuple(names), tuple(columns), codes[number], number, 1 / count[number], extent, places, tuple(warnings)
    )


def _left_out(samples: Samples, inside: NDArray[np.bool_], kept: NDArray[np.intp]) -> list[str]:
    outside, nodata = int((~inside).sum()), int(inside.sum()) - len(kept)
    warnings = []
    if outside:
        warnings.append(f"{outside} of {len(samples)} samples lie outside the feature set and were left out.")
    if nodata:
        warnings.append(f"{nodata} of {len(samples)} samples lie on nodata and were left out.")
    present = {samples.labels[index] for index in kept}
    lost = [name for name in samples.names if name not in present]
    if lost:
        warnings.append(f"No sample is left of: {', '.join(lost)}; the map has no such class.")
    return warnings


def _observations(pixels: NDArray[np.intp]) -> float:
    """Return how many squares of 8 x 8 pixels the pixels of one sample spread over."""
    return float(len(np.unique(pixels // _SIDE_OF_ONE, axis=0)))


def _pixels(geometry: BaseGeometry, grid: Grid, cap: int, seed: int) -> NDArray[np.intp]:
    """Return up to `cap` (column, row) of pixels that stand for a geometry, those inside the grid only."""
    empty = np.empty((0, 2), np.intp)
    if not np.isfinite(geometry.bounds).all():
        return empty
    there = shapely.transform(geometry, lambda points: np.stack(grid.colrow(points[:, 0], points[:, 1]), axis=1))
    if there.geom_type in {"Point", "MultiPoint"}:
        return _clipped(shapely.get_coordinates(there), grid)[:cap]
    left, top, right, bottom = there.bounds
    corner = int(np.floor(left)), int(np.floor(top))
    box = Window(*corner, int(np.ceil(right)) - corner[0] + 1, int(np.ceil(bottom)) - corner[1] + 1)
    common = grid.window.intersect(box)
    if common is None:
        return empty
    rng = np.random.default_rng(seed)
    step = int(np.ceil(np.sqrt(common.width * common.height / _CANDIDATES)))
    rows, cols = common.slices
    col, row = np.meshgrid(np.arange(cols.start, cols.stop, step), np.arange(rows.start, rows.stop, step))
    shapely.prepare(there)
    hit = shapely.contains_xy(there, col + 0.5, row + 0.5)
    centres = np.stack([col[hit], row[hit]], axis=1)
    if len(centres) == 0:
        return _clipped(shapely.get_coordinates(there.representative_point()), grid)
    return np.asarray(centres[np.sort(rng.permutation(len(centres))[:cap])])


def _clipped(points: NDArray[np.float64], grid: Grid) -> NDArray[np.intp]:
    pixels = np.floor(points)
    inside = ((pixels >= 0) & (pixels < [grid.width, grid.height])).all(axis=1)
    return np.unique(pixels[inside].astype(np.intp), axis=0)


def _varies(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which components vary by more than the rounding of their variance."""
    return variance > 1e-18 + 1e-12 * mean**2


def _moments(level: Level) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance (C,) of a level's valid cells, from blocks spread over it."""
    cols, rows = range(0, level.grid.width, _BLOCK), range(0, level.grid.height, _BLOCK)
    blocks = [Window(col, row, _BLOCK, _BLOCK) for row in rows for col in cols]
    chosen = np.random.default_rng(0).permutation(len(blocks))[:_BLOCKS]
    count, total, square = 0, np.zeros(level.components), np.zeros(level.components)
    for index in chosen:
        cells = level.read(blocks[index]).reshape(level.components, -1).astype(np.float64)
        cells = cells[:, np.isfinite(cells[0])]
        count += cells.shape[1]
        total += cells.sum(axis=1)
        square += (cells**2).sum(axis=1)
    mean = total / max(count, 1)
    return mean, np.maximum(square / max(count, 1) - mean**2, 0)
