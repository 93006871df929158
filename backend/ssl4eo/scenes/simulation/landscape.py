# SPDX-License-Identifier: GPL-2.0-or-later
"""The true land cover of the simulated scene, drawn on 2.5 m cells so that 10 m pixels are mixed as real ones are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage

from ssl4eo.scenes.simulation.layout import make_layout, smooth_noise
from ssl4eo.scenes.simulation.parcels import ParcelCells, Parcels
from ssl4eo.scenes.simulation.spectra import CLASSES, COVERS
from ssl4eo.scenes.simulation.town import SettlementCells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["CELLS", "LABELS", "PIXEL", "Landscape", "Strip"]

# Metres per pixel, and cells across a pixel.
PIXEL, CELLS = 10.0, 4
_STRIP = 64

_COVER = {cover.name: index for index, cover in enumerate(COVERS)}
_CLASS = {name: code for code, name in CLASSES.items()}

# What a cell can be: the cover that gives its spectrum and the class that the map gives it. A garden or a tree in a
# town belongs to the settlement, and a grass strip between fields to whatever fills most of the pixel.
LABELS: tuple[tuple[int, int], ...] = tuple(
    (_COVER[cover], _CLASS[land_class])
    for cover, land_class in (
        ("bare soil", "bare field"), ("stubble", "bare field"), ("young crop", "crop field"),
        ("full crop", "crop field"), ("meadow", "meadow"), ("dark forest", "forest"), ("bright forest", "forest"),
        ("lake", "water"), ("river", "water"), ("road", "road"),
        ("roof", "settlement"), ("hall", "settlement"), ("sealed", "settlement"), ("garden", "settlement"),
        ("bright forest", "settlement"),
    )
)  # fmt: skip
_BARE, _STUBBLE, _YOUNG, _FULL, _MEADOW, _DARK, _BRIGHT, _LAKE, _RIVER, _ROAD, *_TOWN = range(len(LABELS))

# Shares of the parcels, as in early summer: winter cereals and rape stand, maize and beet have just emerged.
_PARCELS = ((_MEADOW, 0.12), (_BARE, 0.30), (_STUBBLE, 0.42), (_YOUNG, 0.62), (_FULL, 1.01))
_FOREST_SHARE = 0.27
# Metres: a grass strip around a third of the parcels, a hedge beside a tenth, tramlines where the sprayer drives.
_GRASS_STRIP, _HEDGE, _TRAMLINES = 4.0, 8.0, 27.0


@dataclass(frozen=True)
class Strip:
    """Rows of pixels: how many of a pixel's cells have each label (L, H, W), and a random number by parcel (H, W)."""

    rows: slice
    counts: NDArray[np.uint8]
    parcel: NDArray[np.float32]


class Landscape:
    """A landscape of `size` pixels square, made in strips of rows so that memory stays small."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        """Place everything; the cells are drawn by `strips`."""
        self.size = size
        self._layout = make_layout(rng, size * PIXEL)
        self._parcels = Parcels(rng, size, PIXEL)
        self._forest = smooth_noise(rng, size, 0.16 * size) + 0.2 * smooth_noise(rng, size, 25)
        self._forest_above = float(np.quantile(self._forest, 1 - _FOREST_SHARE))
        self._stands = smooth_noise(rng, size, 60)
        self._flood = self._floodplain()
        self._rng = rng

    def strips(self) -> Iterator[Strip]:
        """Yield the strips from top to bottom."""
        for start in range(0, self.size, _STRIP):
            yield self._strip(slice(start, min(start + _STRIP, self.size)))

    def _strip(self, rows: slice) -> Strip:
        row = np.repeat(np.arange(rows.start, rows.stop, dtype=np.int32), CELLS)
        col = np.repeat(np.arange(self.size, dtype=np.int32), CELLS)
        cell = PIXEL / CELLS
        y = ((rows.start * CELLS + np.arange(len(row)) + 0.5) * cell).astype(np.float32)
        x = ((np.arange(len(col)) + 0.5) * cell).astype(np.float32)
        parcels = self._parcels.cells(row, col, x, y)
        labels = self._open_land(parcels, np.ix_(row, col))
        self._add_forest(labels, parcels, row)
        self._add_shapes(labels, rows, x, y)
        counts = _count(labels)
        middle = parcels.properties[CELLS // 2 :: CELLS, CELLS // 2 :: CELLS]
        return Strip(rows, counts, self._parcels.values(0)[middle])

    def _open_land(self, parcels: ParcelCells, pixels: tuple[NDArray[np.int32], ...]) -> NDArray[np.uint8]:
        which = self._parcels.values(1)[parcels.properties]
        # Flood plains are too wet to plough: there the shares move towards meadow.
        which = which - 0.75 * self._flood[pixels]
        labels = np.full(which.shape, _MEADOW, np.uint8)
        below = -np.inf
        for label, share in _PARCELS:
            labels[(which >= below) & (which < share)] = label
            below = share
        edge = self._parcels.values(2)[parcels.properties]
        tramline = (parcels.across % _TRAMLINES < PIXEL / CELLS) & (edge > 0.7)
        labels[tramline & (labels == _FULL)] = _YOUNG
        near = np.minimum(parcels.across, parcels.along)
        labels[(edge < 0.33) & (near < _GRASS_STRIP)] = _MEADOW
        labels[(edge > 0.9) & (parcels.across < _HEDGE)] = _BRIGHT
        return labels

    def _add_forest(self, labels: NDArray[np.uint8], parcels: ParcelCells, row: NDArray[np.int32]) -> None:
        # Woods end partly along parcels: those that were cleared, and those that were planted.
        bias = 0.5 * (self._parcels.values(3)[parcels.properties] - 0.5)
        wooded = _refine(self._forest, row) + bias > self._forest_above
        stand = _refine(self._stands, row) + 2.4 * (self._parcels.values(4)[parcels.properties] - 0.45)
        # A tenth of the crowns are of the other kind.
        dark = (stand > 0) ^ (self._rng.random(labels.shape, np.float32) < 0.1)
        labels[wooded & dark] = _DARK
        labels[wooded & ~dark] = _BRIGHT

    def _add_shapes(
        self, labels: NDArray[np.uint8], rows: slice, x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> None:
        layout = self._layout
        labels[self._mask([layout.lake], rows)] = _LAKE
        labels[self._mask([layout.river], rows)] = _RIVER
        water = (labels == _LAKE) | (labels == _RIVER)
        for settlement in layout.settlements:
            left, top, right, bottom = settlement.outline.bounds
            near = np.ix_(np.flatnonzero((y > top) & (y < bottom)), np.flatnonzero((x > left) & (x < right)))
            inside = (self._mask([settlement.outline], rows) & ~water)[near]
            if inside.any():
                town = SettlementCells(settlement).kinds(x[near[1][0]], y[near[0][:, 0]], self._rng)
                labels[near] = np.where(inside, np.asarray(_TOWN, np.uint8)[town], labels[near])
        labels[self._mask(layout.roads, rows)] = _ROAD
        labels[self._mask(layout.medians, rows)] = _MEADOW

    def _mask(self, shapes: Sequence[BaseGeometry], rows: slice) -> NDArray[np.bool_]:
        cell = PIXEL / CELLS
        height, width = (rows.stop - rows.start) * CELLS, self.size * CELLS
        transform = Affine(cell, 0, 0, 0, cell, rows.start * PIXEL)
        burnt = rasterize(shapes, (height, width), transform=transform, dtype="uint8")
        return np.asarray(burnt, bool)

    def _floodplain(self) -> NDArray[np.float32]:
        """Return 1 at the river, falling to 1/e at 250 m."""
        shape = (self.size, self.size)
        river = rasterize([self._layout.river], shape, transform=Affine.scale(PIXEL), dtype="uint8")
        distance = ndimage.distance_transform_edt(river == 0, sampling=PIXEL)
        return np.exp(-distance / 250.0).astype(np.float32)


def _count(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how many cells of each pixel have each label, (L, H, W)."""
    height, width = labels.shape[0] // CELLS, labels.shape[1] // CELLS
    pixel = np.arange(height * width).reshape(height, 1, width, 1) * len(LABELS)
    bins = (pixel + labels.reshape(height, CELLS, width, CELLS)).ravel()
    counts = np.bincount(bins, minlength=height * width * len(LABELS))
    return np.moveaxis(counts.reshape(height, width, -1), -1, 0).astype(np.uint8)


def _refine(field: NDArray[np.float32], row: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the rows of a pixel field on cells, interpolated linearly between pixel centres."""
    size = field.shape[0]
    cells = (np.arange(size * CELLS) + 0.5) / CELLS - 0.5
    low = np.floor(cells).astype(np.int32)
    share = (cells - low).astype(np.float32)
    first, second = low.clip(0, size - 1), (low + 1).clip(0, size - 1)
    here = slice(int(row[0]) * CELLS, int(row[0]) * CELLS + len(row))
    down = share[here, None]
    rows = field[first[here]] * (1 - down) + field[second[here]] * down
    return np.asarray(rows[:, first] * (1 - share) + rows[:, second] * share, np.float32)
