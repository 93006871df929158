# SPDX-License-Identifier: GPL-2.0-or-later
"""Put a file's pixels on another pixel grid, so that they do not depend on the window that is read."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid
from ssl4eo.scenes.place import need_of_crs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

__all__ = ["grid_of", "placed_on", "same_grid"]

# Two grids are one when their corners lie within a thousandth of a pixel: less than a float32 coordinate resolves.
_SAME = 1e-3
# In source pixels; rasterio 1.4 fails on 0, which GDAL takes for "no approximation".
_EXACT = 1e-6
# Between CRSs a pixel of like size comes out a little smaller or larger: that is no reason to average.
_INTERPOLATED = 0.7


@contextmanager
def placed_on(dataset: DatasetReader, grid: Grid, hole: float) -> Iterator[DatasetReader | WarpedVRT]:
    """Put an open file on a grid, by bilinear interpolation between pixel centres; as it is where it lies there.

    Args:
        dataset: the file.
        grid: where its pixels shall lie.
        hole: the value that must not be interpolated with, and that stands for what lies outside the file.

    Raises:
        InputError: when it lies elsewhere, or nowhere.
    """
    if same_grid(grid_of(dataset), grid):
        yield dataset
        return
    if dataset.crs is None or grid.crs is None:
        raise InputError(need_of_crs(dataset.name, has_gcps=bool(dataset.gcps[0])))
    try:
        warped = _warped(dataset, grid, hole)
    except (RasterioError, CPLE_BaseError) as error:
        raise InputError(
            f"The coordinate reference system of {dataset.name} cannot be converted into that of the image that it "
            "belongs to; bring both into one."
        ) from error
    with warped:
        yield warped


def _warped(dataset: DatasetReader, grid: Grid, hole: float) -> WarpedVRT:
    common = grid_of(dataset).overlap(grid)
    if common is None:
        area = ", ".join(f"{value:.10g}" for value in grid.bounds)
        raise InputError(
            f"{dataset.name} does not overlap the area that it belongs to ({area} in {grid.crs}); use files of one "
            "place."
        )
    # An exact transformation, fixed scales and bands masked one by one make a pixel's value independent of the window
    # that it is read in and of the other bands.
    return WarpedVRT(
        dataset,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling.bilinear,
        src_nodata=hole,
        nodata=hole,
        tolerance=_EXACT,
        UNIFIED_SRC_NODATA="NO",
        **_scales(dataset, grid, common),
    )


def _scales(dataset: DatasetReader, grid: Grid, common: tuple[float, float, float, float]) -> dict[str, str]:
    """Return pixels of `grid` per pixel of the file along both axes, which GDAL else estimates window by window.

    They are those in the middle of what both have in `common`. Below 1 GDAL averages over as many pixels as one of the
    grid covers; from nearly 1 upward it interpolates.
    """
    (col,), (row,) = grid.colrow([(common[0] + common[2]) / 2], [(common[1] + common[3]) / 2])
    xs, ys = transform(grid.crs, dataset.crs, *grid.xy([col, col + 1, col], [row, row, row + 1]))
    cols, rows = grid_of(dataset).colrow(xs, ys)
    # How far one step of the grid goes in the file, in its pixels, whichever way the one lies to the other.
    steps = {"XSCALE": math.hypot(cols[1] - cols[0], rows[1] - rows[0]),
             "YSCALE": math.hypot(cols[2] - cols[0], rows[2] - rows[0])}  # fmt: skip
    return {axis: "1" if 1 / step > _INTERPOLATED else f"{1 / step:.6f}" for axis, step in steps.items()}


def grid_of(dataset: DatasetReader) -> Grid:
    """Return where the pixels of an open file lie."""
    return Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)


def same_grid(a: Grid, b: Grid) -> bool:
    """Say whether the pixels of two grids lie on each other."""
    if (a.crs, a.width, a.height) != (b.crs, b.width, b.height):
        return False
    corners = ((0, 0), (a.width, 0), (0, a.height))
    moved = (~b.transform @ (a.transform @ corner) for corner in corners)
    return all(math.hypot(x - col, y - row) < _SAME for (col, row), (x, y) in zip(corners, moved, strict=True))
