# SPDX-License-Identifier: GPL-2.0-or-later
"""What a view reads of one level: cells about as fine as its pixels, or the values at the pixels themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import support
from ssl4eo.grid import Window
from ssl4eo.labels.live.axis import Axis, Taps
from ssl4eo.labels.live.threads import each

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.grid import Grid
    from ssl4eo.labels.live.asked import Lattice
    from ssl4eo.labels.live.packed import Packed

__all__ = ["Patch", "read_patch"]

# An overview whose cells are up to twice as coarse as the pixels is taken before one that is more than twice as fine:
# interpolating between cells two to a pixel averages four of them, so that none between two pixels is passed over.
_COARSEST = 0.5
# Share of a cell by which a pixel centre may miss a cell's centre and still have its value.
_SAME = 1e-3
# Rows that are interpolated at once, so that they stay in a core's cache.
_STRIP = 64


@dataclass(frozen=True)
class Patch:
    """Bytes of one level for a view.

    Attributes:
        values: (C, h, w) bytes.
        missing: (h, w) which have no value; None when all have one.
        cols: the middles of its columns on the scene's grid, in pixels of level 0; None where columns and rows are
            those of the view's lattice.
        rows: the same, down.
    """

    values: NDArray[np.uint8]
    missing: NDArray[np.bool_] | None
    cols: Axis | None = None
    rows: Axis | None = None

    def holes(self, lattice: Lattice) -> NDArray[np.bool_] | None:
        """Return which pixels (h, w) of the lattice lie in a cell without value, or None when none does."""
        if self.missing is None or self.cols is None or self.rows is None:
            return self.missing
        found = self.missing[np.ix_(self.rows.nearest(lattice.rows), self.cols.nearest(lattice.cols))]
        return found if found.any() else None


def read_patch(packed: Packed, index: int, grid: Grid, lattice: Lattice) -> Patch:
    """Read what a view needs of level `index`.

    Args:
        packed: the levels.
        index: which of them.
        grid: that of level 0.
        lattice: where the view is computed.

    Raises:
        InputError: when the level cannot be read.
    """
    level = packed.levels[index]
    place = ~level.grid.transform @ grid.transform
    cols = Axis((0.5 - place.c) / place.a, 1 / place.a, level.grid.width)
    rows = Axis((0.5 - place.f) / place.e, 1 / place.e, level.grid.height)
    fineness = max(_step(lattice.cols) * abs(place.a), _step(lattice.rows) * abs(place.e))
    factors = packed.factors[index]
    zoom = max((z for z, f in enumerate(factors) if fineness / f >= _COARSEST), key=factors.__getitem__, default=0)
    thin = max(1, math.floor(fineness / factors[zoom]))
    cols, rows = cols.coarser(factors[zoom]), rows.coarser(factors[zoom])
    window = _around(cols.positions(lattice.cols), rows.positions(lattice.rows), (cols.size, rows.size), thin)
    values = packed.read(index, zoom, window)
    cols, rows = cols.part(window.col, window.width), rows.part(window.row, window.height)
    if thin > 1:
        values, cols, rows = _averaged(values, thin), cols.coarser(thin), rows.coarser(thin)
    across, down = cols.positions(lattice.cols), rows.positions(lattice.rows)
    if _on_cells(across, cols.size) and _on_cells(down, rows.size):
        here = values[:, _slice(down), _slice(across)]
        return Patch(here, _missing(here))
    if fineness / factors[zoom] / thin > 1 + _SAME:
        here = _resampled(values, Taps.at(across, cols.size), Taps.at(down, rows.size))
        return Patch(here, _missing(here))
    return Patch(values, _missing(values), cols, rows)


def _step(positions: NDArray[np.float64]) -> float:
    return abs(float(positions[-1] - positions[0])) / (len(positions) - 1) if len(positions) > 1 else 0.0


def _around(cols: NDArray[np.float64], rows: NDArray[np.float64], size: tuple[int, int], thin: int) -> Window:
    """Return the cells that interpolation reads, and a group more on each side: levels are added up on finer ones.

    Groups of `thin` cells are the same in every view, so that nothing flickers while the map is moved.
    """
    (left, right), (top, bottom) = support(cols, size[0]), support(rows, size[1])
    window = Window(left, top, right - left, bottom - top).grow(thin).snap(thin).intersect(Window(0, 0, *size))
    assert window is not None
    return window


def _on_cells(positions: NDArray[np.float64], size: int) -> bool:
    """Say whether positions are the middles of consecutive cells."""
    first = math.floor(positions[0])
    wanted = first + 0.5 + np.arange(len(positions))
    return first >= 0 and first + len(positions) <= size and bool(np.abs(positions - wanted).max() < _SAME)


def _slice(positions: NDArray[np.float64]) -> slice:
    first = math.floor(positions[0])
    return slice(first, first + len(positions))


def _missing(values: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    missing = values[0] == NODATA
    return missing if missing.any() else None


def _averaged(values: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return means of squares of `side` cells with a value; only levels without a coarser overview need it."""
    count, height, width = values.shape
    rows, cols = np.arange(0, height, side), np.arange(0, width, side)
    known = np.add.reduceat(np.add.reduceat((values[0] != NODATA).astype(np.int32), rows, 0), cols, 1)
    out = np.empty((count, len(rows), len(cols)), np.uint8)
    for source, target in zip(values, out, strict=True):
        total = np.add.reduceat(np.add.reduceat(source.astype(np.int32), rows, 0), cols, 1)
        # Rounding cannot make a mean of values from 1 on to 0, which is nodata.
        target[...] = (total + known // 2) // np.maximum(known, 1)
    return out


def _resampled(values: NDArray[np.uint8], across: Taps, down: Taps) -> NDArray[np.uint8]:
    """Interpolate bytes (C, h, w) to (C, H, W), rounded; cells without value are left out.

    Where the nearest cell has no value there is none.
    """
    there = values[0] != NODATA
    hole = None if there.all() else ~there[np.ix_(down.nearest, across.nearest)]
    weight = None if hole is None else np.maximum(_between(there.astype(np.uint8), across, down), np.float32(1e-6))
    out = np.empty((len(values), len(down.first), len(across.first)), np.uint8)

    def fill(number: int) -> None:
        for start in range(0, out.shape[1], _STRIP):
            rows = slice(start, start + _STRIP)
            # Cells without value hold 0 and add nothing.
            found = _between(values[number], across, down, rows)
            if weight is not None:
                found /= weight[rows]
            found += np.float32(0.5)
            out[number, rows] = found
        if hole is not None:
            out[number][hole] = NODATA

    each(fill, range(len(values)))
    return out


def _between(cells: NDArray[np.uint8], across: Taps, down: Taps, rows: slice = slice(None)) -> NDArray[np.float32]:
    """Interpolate (h, w) to some rows of (H, W)."""
    found, below = (np.take(cells, taps[rows], axis=0).astype(np.float32) for taps in (down.first, down.second))
    below -= found
    below *= down.share[rows, None]
    found += below
    left, right = (np.take(found, taps, axis=1) for taps in (across.first, across.second))
    right -= left
    right *= across.share
    left += right
    return np.asarray(left, np.float32)
