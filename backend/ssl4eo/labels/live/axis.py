# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear interpolation along one axis, from evenly spaced cells to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Axis", "Taps"]

# Share of a cell by which two middles may lie apart and count as one: far more than coordinates are rounded by, and
# far less than shows.
_SAME = 1e-4
# Pixels that one matrix interpolates: of 16 to 256 the fastest (262 cells to 1024 pixels, ten maps).
_PIECE = 32


@dataclass(frozen=True)
class Taps:
    """Which two cells each of N pixels lies between.

    Positions beyond the outermost middles take the outermost value, as in `features.sampling`.

    Attributes:
        first: (N,) the cell before.
        second: (N,) the cell after.
        share: (N,) float32, how much of the second.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: NDArray[np.float32]

    @classmethod
    def at(cls, positions: NDArray[np.float64], size: int) -> Taps:
        """Return them for fractional positions among `size` cells; the middle of the first is 0.5."""
        centred = np.clip(positions - 0.5, 0, size - 1)
        first = np.minimum(np.floor(centred).astype(np.intp), max(size - 2, 0))
        return cls(first, np.minimum(first + 1, size - 1), (centred - first).astype(np.float32))

    @property
    def nearest(self) -> NDArray[np.intp]:
        """(N,) the nearest cell."""
        return np.where(self.share < 0.5, self.first, self.second)

    @cached_property
    def pieces(self) -> list[tuple[slice, slice, NDArray[np.float32]]]:
        """Which pixels, the cells that they need, and the matrix (cells, pixels) that interpolates, piece by piece."""
        found = []
        for start in range(0, len(self.first), _PIECE):
            stop = min(start + _PIECE, len(self.first))
            cells, weights = self.matrix(start, stop)
            found.append((slice(start, stop), cells, np.ascontiguousarray(weights.T)))
        return found

    def cells(self, start: int, stop: int) -> slice:
        """Return which cells pixels start..stop need."""
        first, second = self.first[[start, stop - 1]], self.second[[start, stop - 1]]
        return slice(int(first.min()), int(second.max()) + 1)

    def matrix(self, start: int, stop: int) -> tuple[slice, NDArray[np.float32]]:
        """Return which cells pixels start..stop need, and the matrix (pixels, cells) that interpolates them."""
        cells, number = self.cells(start, stop), np.arange(stop - start)
        weights = np.zeros((stop - start, cells.stop - cells.start), np.float32)
        weights[number, self.first[start:stop] - cells.start] = 1 - self.share[start:stop]
        # Of a single cell both are the same.
        weights[number, self.second[start:stop] - cells.start] += self.share[start:stop]
        return cells, weights


@dataclass(frozen=True)
class Axis:
    """Evenly spaced middles of cells.

    Attributes:
        start: the first middle.
        step: from one to the next; negative where the cells run the other way.
        size: how many.
    """

    start: float
    step: float
    size: int

    def coarser(self, factor: int) -> Axis:
        """Return the axis of groups of `factor` cells."""
        return Axis(self.start + self.step * (factor - 1) / 2, self.step * factor, -(-self.size // factor))

    def part(self, first: int, size: int) -> Axis:
        """Return the axis of `size` cells from number `first` on."""
        return Axis(self.start + self.step * first, self.step, size)

    @property
    def middles(self) -> NDArray[np.float64]:
        """(size,) the middles."""
        return np.asarray(self.start + self.step * np.arange(self.size), np.float64)

    def positions(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fractional positions of pixels among the cells; the middle of the first is 0.5."""
        return (pixels - self.start) / self.step + 0.5

    def taps(self, pixels: NDArray[np.float64]) -> Taps:
        """Return which cells pixels lie between."""
        return Taps.at(self.positions(pixels), self.size)

    def nearest(self, pixels: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return in which cell pixels lie."""
        return np.clip(np.floor(self.positions(pixels)).astype(np.intp), 0, self.size - 1)

    def carries(self, coarse: Axis, pixels: NDArray[np.float64]) -> bool:
        """Say whether what is linear between the middles of `coarse` is so between the middles of this axis.

        Then it can be added up here and interpolated once: each middle of `coarse` is one of this axis, and this one
        does not end before `coarse` among the pixels.
        """
        place = (coarse.middles - self.start) / self.step
        last = self.size - 1
        within = place[(place > -0.5) & (place < last + 0.5)]
        if np.abs(within - np.rint(within)).max(initial=0) > _SAME:
            return False
        wanted = self.positions(pixels) - 0.5
        before = wanted.min() >= 0 or place.min() >= -_SAME
        after = wanted.max() <= last or place.max() <= last + _SAME
        return bool(before and after)
