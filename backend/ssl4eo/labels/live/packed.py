# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels as bytes, ready for any window: decoded squares of cells and of their overviews, kept in memory.

Decoding is what is slow: a view of 1024 x 1024 pixels of a ResNet's features takes 97 ms to read the first time; from
memory it takes 4 ms, as does one moved by 50 pixels (two cores). An uncompressed copy to map into memory would spare
the first time, but takes 2.5 GB of disk for a Sentinel-2 tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError
from ssl4eo.features.levelfile import BLOCK
from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import interpolate_points, support
from ssl4eo.grid import Window
from ssl4eo.labels.live.memory import Memory
from ssl4eo.labels.live.threads import each

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level

__all__ = ["Packed"]

# Decoded cells: a view of 1536 x 1536 pixels of a ResNet's features touches up to 300 MB of squares.
_MOST_BYTES = 384 * 2**20


@dataclass(frozen=True)
class _Square:
    """A square of blocks of a level (`level` its number) or of an overview of it (`overview` from 0; -1 the level)."""

    level: int
    overview: int
    row: int
    col: int


class Packed:
    """The bytes of a feature set; for threads.

    No file stays open between two reads: on Windows nobody could replace the feature set then.

    Attributes:
        levels: those of the feature set.
        factors: per level how many cells, along a side, are one cell of the level itself (1) and of each overview.
    """

    def __init__(self, features: FeatureSet, most_bytes: int = _MOST_BYTES) -> None:
        """Look at the levels; `most_bytes` of decoded cells are kept.

        Raises:
            InputError: when a level cannot be read.
        """
        self.levels: list[Level] = features.levels
        self.factors: list[tuple[int, ...]] = []
        self._sizes: list[list[tuple[int, int]]] = []
        for level in self.levels:
            try:
                with rasterio.open(level.path) as dataset:
                    factors = (1, *dataset.overviews(1))
            except RasterioIOError as error:
                raise InputError(f"{level.path} cannot be read ({error}); encode the scene again.") from error
            self.factors.append(factors)
            self._sizes.append([(-(-level.grid.width // f), -(-level.grid.height // f)) for f in factors])
        self._squares: Memory[NDArray[np.uint8]] = Memory(most_bytes, lambda square: square.nbytes)

    def size(self, level: int, zoom: int) -> tuple[int, int]:
        """Return width and height in cells of a level (`zoom` 0) or of one of its overviews (from 1)."""
        return self._sizes[level][zoom]

    def read(self, level: int, zoom: int, window: Window) -> NDArray[np.uint8]:
        """Return bytes (C, h, w) of a window of cells that lies in the level.

        Raises:
            InputError: when the file cannot be read.
        """
        squares = [
            _Square(level, zoom - 1, row, col)
            for row in range(window.row // BLOCK, -(-window.row_stop // BLOCK))
            for col in range(window.col // BLOCK, -(-window.col_stop // BLOCK))
        ]
        found = {square: self._squares.find(square) for square in squares}
        absent = [square for square, values in found.items() if values is None]
        if len(absent) == 1:
            found[absent[0]] = self._decode(absent[0])
        elif absent:
            found.update(zip(absent, each(self._decode, absent), strict=True))
        if len(squares) == 1:
            values = found[squares[0]]
            assert values is not None
            return values[(slice(None), *window.shift(-squares[0].col * BLOCK, -squares[0].row * BLOCK).slices)]
        out = np.empty((self.levels[level].components, window.height, window.width), np.uint8)
        for square, values in found.items():
            assert values is not None
            place = Window(square.col * BLOCK, square.row * BLOCK, values.shape[2], values.shape[1])
            common = window.intersect(place)
            assert common is not None
            target = common.shift(-window.col, -window.row).slices
            out[(slice(None), *target)] = values[(slice(None), *common.shift(-place.col, -place.row).slices)]
        return out

    def _decode(self, square: _Square) -> NDArray[np.uint8]:
        level = self.levels[square.level]
        width, height = self._sizes[square.level][square.overview + 1]
        window = Window(square.col * BLOCK, square.row * BLOCK, BLOCK, BLOCK).intersect(Window(0, 0, width, height))
        assert window is not None
        options = {} if square.overview < 0 else {"overview_level": square.overview}
        try:
            with rasterio.open(level.path, **options) as dataset:
                values = dataset.read(window=RasterioWindow(window.col, window.row, window.width, window.height))
        except RasterioIOError as error:
            raise InputError(f"{level.path} cannot be read ({error}); encode the scene again.") from error
        return self._squares.keep(square, np.asarray(values, np.uint8))

    def sample(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        """Return what `FeatureSet.sample` does: per level values (N, C), NaN where missing or outside."""
        return [self._sample(index, np.asarray(xs, float), np.asarray(ys, float)) for index in range(len(self.levels))]

    def _sample(self, index: int, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
        level = self.levels[index]
        width, height = level.grid.width, level.grid.height
        cols, rows = level.grid.colrow(xs, ys)
        values = np.full((len(cols), level.components), np.nan, np.float32)
        inside = (cols >= 0) & (rows >= 0) & (cols <= width) & (rows <= height)
        square = np.where(inside, (rows // BLOCK) * (width // BLOCK + 1) + cols // BLOCK, -1)
        for number in np.unique(square[inside]):
            chosen = square == number
            (left, right), (top, bottom) = support(cols[chosen], width), support(rows[chosen], height)
            stored = self.read(index, 0, Window(left, top, right - left, bottom - top))
            cells = stored * level.scale[:, None, None] + level.offset[:, None, None]
            cells[:, stored[0] == NODATA] = np.nan
            values[chosen] = interpolate_points(cells.astype(np.float32), cols[chosen] - left, rows[chosen] - top)
        return values
