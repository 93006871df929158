# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled places as a client sends them: each is read once, and remembered while samples come and go."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.errors import ShapelyError

from ssl4eo.errors import InputError
from ssl4eo.labels.samples import POINTS, POLYGONS, in_crs
from ssl4eo.labels.training import MOST_PIXELS, Training, observations_of, pixels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from ssl4eo.grid import Grid
    from ssl4eo.labels.live.packed import Packed
    from ssl4eo.labels.training import LevelScaling

__all__ = ["Place", "Places", "Sample", "assemble"]

# Places that are remembered though no sample lies there any more: what undo brings back.
_SPARE = 1000


@dataclass(frozen=True)
class Sample:
    """A place with a class, as a client sends it: `wkt` in the CRS that goes with it."""

    id: str
    name: str
    wkt: str


@dataclass(frozen=True)
class Place:
    """What was read of one geometry.

    Attributes:
        pixels: (n, 2) column and row of those with a value.
        features: (n, D) centred and scaled, levels side by side; 0 where a level other than level 0 has no value.
        middle: (2,) column and row of their middle.
        observations: how many independent ones they are.
        fault: why there are none, a sentence; "" when there are some.
        repaired: whether an outline crossed itself.
    """

    pixels: NDArray[np.intp]
    features: NDArray[np.float64]
    middle: NDArray[np.float64]
    observations: float
    fault: str = ""
    repaired: bool = False


class Places:
    """Reads places of one feature set; one thread at a time."""

    def __init__(self, packed: Packed, grid: Grid, scalings: Sequence[LevelScaling]) -> None:
        """Read from `packed`, whose level 0 has this grid; features are centred and scaled by `scalings`."""
        self._packed = packed
        self._grid = grid
        self._scalings = scalings
        self._known: OrderedDict[tuple[str, str], Place] = OrderedDict()

    def read(self, crs: str, samples: Iterable[Sample]) -> list[Place]:
        """Return the place of each sample; those that were not there before are read.

        Raises:
            InputError: when `crs` is no coordinate reference system, or a level cannot be read.
        """
        source = _crs(crs)
        keys = [(crs, sample.wkt) for sample in samples]
        for key in keys:
            place = self._known.pop(key, None)
            self._known[key] = self._read(source, key[1]) if place is None else place
        found = [self._known[key] for key in keys]
        while len(self._known) > len(keys) + _SPARE:
            self._known.popitem(last=False)
        return found

    def _read(self, crs: CRS, wkt: str) -> Place:
        try:
            given = shapely.force_2d(shapely.from_wkt(wkt))
        except ShapelyError:
            return _without("Its geometry cannot be read as WKT.")
        if given.is_empty:
            return _without("It has no geometry.")
        if given.geom_type not in POINTS | POLYGONS:
            return _without(f"It is a {given.geom_type}; samples are points or polygons.")
        assert self._grid.crs is not None
        return self._features(*in_crs(given, crs, self._grid.crs))

    def _features(self, geometry: BaseGeometry, mended: bool) -> Place:
        pixels = pixels_of(geometry, self._grid)
        if not len(pixels):
            return _without("It lies outside the feature set.")
        values = self._packed.sample(*self._grid.xy(pixels[:, 0] + 0.5, pixels[:, 1] + 0.5))
        valid = np.isfinite(values[0]).all(axis=1)
        if not valid.any():
            return _without("It lies on nodata.")
        scaled = [
            (value[valid] - scaling.mean) * scaling.gain for value, scaling in zip(values, self._scalings, strict=True)
        ]
        pixels = pixels[valid]
        features = np.nan_to_num(np.concatenate(scaled, axis=1)).astype(np.float64)
        return Place(pixels, features, pixels.mean(axis=0) + 0.5, observations_of(pixels), repaired=mended)


def _without(fault: str) -> Place:
    return Place(np.empty((0, 2), np.intp), np.empty((0, 0)), np.empty(2), 0.0, fault)


def _crs(text: str) -> CRS:
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise InputError(
            f"{text[:60]!r} is no coordinate reference system; send EPSG:code or its WKT with the samples."
        ) from error
    return crs


def assemble(
    places: Sequence[Place], labels: Sequence[str], names: Sequence[str], widths: Sequence[int], base: int
) -> Training:
    """Put places together to what heads learn from, as `training_pixels` does from a file.

    A polygon has up to 200 pixels, and fewer where all would be too many.

    Args:
        places: with pixels, at least one.
        labels: their class names.
        names: classes in the order of the map; those without places are left out.
        widths: number of components of each level.
        base: how many levels are always in.
    """
    most = max(1, MOST_PIXELS // len(places))
    chosen = [_thinned(place.features, most) for place in places]
    counts = np.array([len(rows) for rows in chosen])
    there = set(labels)
    present = [name for name in names if name in there]
    code = {name: number for number, name in enumerate(present)}
    number = np.repeat(np.arange(len(places)), counts)
    return Training(
        tuple(present),
        tuple(np.split(np.concatenate(chosen), np.cumsum(widths)[:-1], axis=1)),
        np.array([code[label] for label in labels], np.intp)[number],
        number,
        1 / counts[number],
        np.array([place.observations for place in places]),
        np.array([place.middle for place in places]),
        (),
        base,
    )


def _thinned(features: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    if len(features) <= most:
        return features
    # Evenly spaced, and the same ones each time.
    return np.asarray(features[np.linspace(0, len(features) - 1, most).round().astype(int)])
