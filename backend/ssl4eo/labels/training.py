# SPDX-License-Identifier: GPL-2.0-or-later
"""From labelled places to training pixels: which pixels, their weight, their group, and their features per level."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.labels.scaling import LevelScaling, level_scalings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.labels.samples import Samples

__all__ = [
    "MOST_PIXELS",
    "PIXELS_PER_POLYGON",
    "LevelScaling",
    "Training",
    "level_scalings",
    "observations_of",
    "pixels_of",
    "training_pixels",
]

# Pixels of one polygon lie close together and tell nearly the same: beyond some hundred, more of them only cost time.
PIXELS_PER_POLYGON = 200
# And over all polygons: a covariance of 300 dimensions is stable from far fewer.
MOST_PIXELS = 20_000
# Pixel centres of a very large polygon that are looked at.
_CANDIDATES = 200_000
# Pixels share the values of their surroundings: means over 6 x 6 pixels, interpolated between blocks of 4 x 4, which
# reach as far as means over 8 x 8 would (the same second moment). One such square counts as one observation.
_SIDE_OF_ONE = 8


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
        numbers: (G,) the place of each sample in the `Samples` that were given.
        left_out: the other samples: place in the `Samples`, and why.
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
    numbers: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    left_out: tuple[tuple[int, str], ...] = ()

    @property
    def sample_labels(self) -> NDArray[np.intp]:
        """(G,) class index of each sample."""
        return np.asarray(self.labels[np.unique(self.samples, return_index=True)[1]])


def training_pixels(features: FeatureSet, samples: Samples, scalings: list[LevelScaling]) -> Training:
    """Choose the training pixels and read their features.

    A point is the pixel under it; a polygon is up to 200 of the pixel centres inside, or the pixel under a point
    inside when it is smaller than a pixel. A polygon weighs as much as a point.

    Raises:
        InputError: when no sample of two classes lies on valid pixels of the feature set.
    """
    cap = max(1, min(PIXELS_PER_POLYGON, MOST_PIXELS // len(samples)))
    places = [pixels_of(geometry, features.grid, cap) for geometry in samples.geometries]
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
    reasons = [(int(index), _why(inside[index])) for index in np.setdiff1d(np.arange(len(samples)), kept)]
    return replace(training, base=features.base, numbers=kept, left_out=tuple(reasons))


def _why(inside: np.bool_) -> str:
    return "It lies on nodata." if inside else "It lies outside the feature set."


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
    extent = np.array([observations_of(pixels[number == index]) for index in range(len(kept))])
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


def observations_of(pixels: NDArray[np.intp]) -> float:
    """Return how many squares of 8 x 8 pixels the pixels of one sample spread over."""
    return float(len(np.unique(pixels // _SIDE_OF_ONE, axis=0)))


def pixels_of(geometry: BaseGeometry, grid: Grid, most: int = PIXELS_PER_POLYGON) -> NDArray[np.intp]:
    """Return up to `most` (column, row) of pixels that stand for a geometry, those inside the grid only.

    Of more, those that are taken depend on the geometry alone, not on what else is labelled.
    """
    empty = np.empty((0, 2), np.intp)
    if not np.isfinite(geometry.bounds).all():
        return empty
    there = shapely.transform(geometry, lambda points: np.stack(grid.colrow(points[:, 0], points[:, 1]), axis=1))
    if there.geom_type in {"Point", "MultiPoint"}:
        return _clipped(shapely.get_coordinates(there), grid)[:most]
    left, top, right, bottom = there.bounds
    corner = int(np.floor(left)), int(np.floor(top))
    box = Window(*corner, int(np.ceil(right)) - corner[0] + 1, int(np.ceil(bottom)) - corner[1] + 1)
    common = grid.window.intersect(box)
    if common is None:
        return empty
    rng = np.random.default_rng(zlib.crc32(shapely.to_wkb(geometry)))
    step = int(np.ceil(np.sqrt(common.width * common.height / _CANDIDATES)))
    rows, cols = common.slices
    col, row = np.meshgrid(np.arange(cols.start, cols.stop, step), np.arange(rows.start, rows.stop, step))
    shapely.prepare(there)
    hit = shapely.contains_xy(there, col + 0.5, row + 0.5)
    centres = np.stack([col[hit], row[hit]], axis=1)
    if len(centres) == 0:
        return _clipped(shapely.get_coordinates(there.representative_point()), grid)
    return np.asarray(centres[np.sort(rng.permutation(len(centres))[:most])])


def _clipped(points: NDArray[np.float64], grid: Grid) -> NDArray[np.intp]:
    pixels = np.floor(points)
    inside = ((pixels >= 0) & (pixels < [grid.width, grid.height])).all(axis=1)
    return np.unique(pixels[inside].astype(np.intp), axis=0)
