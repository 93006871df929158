# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel grids: windows, their place on the ground, and tiles on a fixed raster of the scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio.warp import transform_bounds

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from rasterio.crs import CRS

__all__ = ["Grid", "Window", "tiles"]


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: column and row of its upper left corner, width and height."""

    col: int
    row: int
    width: int
    height: int

    @property
    def col_stop(self) -> int:
        """First column to the right of the window."""
        return self.col + self.width

    @property
    def row_stop(self) -> int:
        """First row below the window."""
        return self.row + self.height

    def intersect(self, other: Window) -> Window | None:
        """Return the common part, or None when there is none."""
        col, row = max(self.col, other.col), max(self.row, other.row)
        width = min(self.col_stop, other.col_stop) - col
        height = min(self.row_stop, other.row_stop) - row
        return Window(col, row, width, height) if width > 0 and height > 0 else None

    def grow(self, margin: int) -> Window:
        """Return the window with `margin` more pixels on each side; it may stick out of the image."""
        return Window(self.col - margin, self.row - margin, self.width + 2 * margin, self.height + 2 * margin)

    def shift(self, cols: int, rows: int) -> Window:
        """Return the window moved by whole pixels."""
        return Window(self.col + cols, self.row + rows, self.width, self.height)

    def snap(self, multiple: int) -> Window:
        """Return the smallest window around this one whose edges are multiples of `multiple`."""
        col, row = self.col // multiple * multiple, self.row // multiple * multiple
        col_stop, row_stop = (
            -(-self.col_stop // multiple) * multiple,
            -(-self.row_stop // multiple) * multiple,
        )
        return Window(col, row, col_stop - col, row_stop - row)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for indexing an array."""
        return slice(self.row, self.row_stop), slice(self.col, self.col_stop)


@dataclass(frozen=True)
class Grid:
    """A raster's place on the ground: `transform` maps (column, row) of pixel corners to `crs` coordinates."""

    crs: CRS | None
    transform: Affine
    width: int
    height: int

    @property
    def window(self) -> Window:
        """The whole raster."""
        return Window(0, 0, self.width, self.height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """xmin, ymin, xmax, ymax of the four corners in `crs`."""
        xs, ys = zip(
            *(self.transform @ corner for corner in
              ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))),
            strict=True,
        )  # fmt: skip
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def resolution(self) -> tuple[float, float]:
        """Width and height of a pixel in units of `crs`, however the grid is turned."""
        t = self.transform
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)

    def overlap(self, other: Grid) -> tuple[float, float, float, float] | None:
        """Return what the boxes around this grid and another share (xmin, ymin, xmax, ymax in the other's CRS)."""
        west, south, east, north = transform_bounds(self.crs, other.crs, *self.bounds)
        xmin, ymin, xmax, ymax = other.bounds
        common = max(west, xmin), max(south, ymin), min(east, xmax), min(north, ymax)
        return common if common[0] < common[2] and common[1] < common[3] else None

    def subgrid(self, window: Window) -> Grid:
        """Return the grid of a window of this one."""
        return Grid(self.crs, self.transform @ Affine.translation(window.col, window.row), window.width, window.height)

    def xy(self, cols: ArrayLike, rows: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return coordinates of fractional pixel positions; (0.5, 0.5) is the centre of the first pixel."""
        cols, rows, t = np.asarray(cols, float), np.asarray(rows, float), self.transform
        return t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f

    def colrow(self, xs: ArrayLike, ys: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return fractional pixel positions of coordinates, the inverse of `xy`."""
        xs, ys, t = np.asarray(xs, float), np.asarray(ys, float), ~self.transform
        return t.a * xs + t.b * ys + t.c, t.d * xs + t.e * ys + t.f

    def window_for_bbox(self, bbox: tuple[float, float, float, float]) -> Window:
        """Return the window of the pixels that `bbox` (xmin, ymin, xmax, ymax in `crs`) touches.

        Raises:
            InputError: when the box is empty or does not touch the raster.
        """
        xmin, ymin, xmax, ymax = bbox
        if not all(map(math.isfinite, bbox)) or xmin >= xmax or ymin >= ymax:
            raise InputError(
                f"The extent {_numbers(bbox)} is empty; give xmin, ymin, xmax, ymax with xmin < xmax and ymin < ymax."
            )
        cols, rows = self.colrow([xmin, xmax, xmin, xmax], [ymin, ymin, ymax, ymax])
        # A box drawn on pixel edges must not take in a neighbour because of the last bit.
        tolerance = 1e-6
        col, row = math.floor(cols.min() + tolerance), math.floor(rows.min() + tolerance)
        col_stop, row_stop = math.ceil(cols.max() - tolerance), math.ceil(rows.max() - tolerance)
        common = self.window.intersect(Window(col, row, col_stop - col, row_stop - row))
        if common is None:
            raise InputError(
                f"The extent {_numbers(bbox)} lies outside the image, which covers {_numbers(self.bounds)}; "
                "choose an extent inside the image."
            )
        return common

    def clip(self, window: Window) -> Window:
        """Return the part of `window` inside the raster.

        Raises:
            InputError: when the window is empty or wholly outside.
        """
        given = f"{window.col},{window.row},{window.width},{window.height}"
        if window.width <= 0 or window.height <= 0:
            raise InputError(f"The window {given} is empty; give a width and height of at least 1 pixel.")
        common = self.window.intersect(window)
        if common is None:
            raise InputError(
                f"The window {given} lies outside the image of {self.width} x {self.height} pixels; "
                "choose a window inside the image."
            )
        return common


def tiles(window: Window, size: int) -> Iterator[Window]:
    """Yield the tiles of the fixed grid (origins at multiples of `size`) that `window` touches, row by row."""
    around = window.snap(size)
    for row in range(around.row, around.row_stop, size):
        for col in range(around.col, around.col_stop, size):
            yield Window(col, row, size, size)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.10g}" for value in values)
