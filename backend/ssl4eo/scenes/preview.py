# SPDX-License-Identifier: GPL-2.0-or-later
"""A thinned picture of a raster, from which percentiles, ratios and correlations are read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rasterio.errors import RasterioIOError

from ssl4eo.errors import InputError
from ssl4eo.grid import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.scenes.raster import Raster

__all__ = ["Preview", "drop_fringe", "read_detail", "read_stored"]

# Longest side of the picture: 1e4 to 1e5 pixels are enough for a percentile.
_SIDE = 256
# Above this side every 512-pixel block of a file would be decoded to thin it, 13 times 460 of them for a whole
# Sentinel-2 tile; 64 windows of 32 x 32 pixels hold as many pixels as the picture.
_LARGE, _PATCHES, _PATCH = 4096, 8, 32


class Preview:
    """Stored values by band name, NaN where a pixel says nothing."""

    def __init__(self, names: Sequence[str | None], values: NDArray[np.float64]) -> None:
        """Hold values (C, H, W) of the bands `names`; those without a name are dropped."""
        self._bands: dict[str, NDArray[np.float64]] = {name: values[i] for i, name in enumerate(names) if name}

    def __contains__(self, name: str) -> bool:
        return name in self._bands

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return one band (H, W)."""
        return self._bands[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The bands it holds."""
        return tuple(self._bands)

    def percentile(self, name: str, percent: float) -> float:
        """Return a percentile of the valid pixels of a band, NaN when there is none."""
        values = self._bands[name]
        values = values[np.isfinite(values)]
        return float(np.percentile(values, percent)) if values.size else math.nan

    def median(self, name: str) -> float:
        """Return the median of the valid pixels of a band, NaN when there is none."""
        return self.percentile(name, 50)


def read_stored(raster: Raster, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Return stored values (C, H, W) of bands `numbers` (from 1), thinned; NaN where the file says "no data".

    Of a large raster without overviews, whose every block thinning would decode, it is a mosaic of small windows.

    Raises:
        InputError: when the file cannot be read.
    """
    grid = raster.grid
    step = max(1, math.ceil(max(grid.width, grid.height) / _SIDE))
    shape = (math.ceil(grid.height / step), math.ceil(grid.width / step))
    if not numbers:
        return np.empty((0, *shape))
    if min(grid.width, grid.height) > _LARGE and not raster.has_overviews:
        return _read(raster, numbers, None)
    return _read(raster, numbers, shape)


def read_detail(raster: Raster, numbers: Sequence[int]) -> NDArray[np.float64]:
    """Return stored values (C, h, w) of bands `numbers` (from 1) at the raster's own resolution.

    Of a large raster it is a mosaic of small windows, which begin at even pixels.

    Raises:
        InputError: when the file cannot be read.
    """
    grid = raster.grid
    small = max(grid.width, grid.height) <= _SIDE or min(grid.width, grid.height) < _PATCH
    return _read(raster, numbers, (grid.height, grid.width) if small else None)


def _read(raster: Raster, numbers: Sequence[int], shape: tuple[int, int] | None) -> NDArray[np.float64]:
    """Return stored values of the whole raster thinned to a shape, or as a mosaic; NaN where there is no data."""
    try:
        values = _mosaic(raster, numbers) if shape is None else raster.read(numbers, shape=shape)
    except RasterioIOError as error:
        raise InputError(f"{raster.path} cannot be read ({error}); check the file.") from error
    values = np.asarray(values, np.float64)
    for plane, number in zip(values, numbers, strict=True):
        nodata = raster.bands[number - 1].nodata
        plane[~np.isfinite(plane)] = np.nan
        if nodata is not None:
            plane[plane == nodata] = np.nan
    return values


def _mosaic(raster: Raster, numbers: Sequence[int]) -> NDArray[np.float64]:
    # Even starts keep pixels that were repeated from coarser ones in step.
    rows, cols = (
        (np.linspace(0, side - _PATCH, _PATCHES).astype(int) // 2 * 2).tolist()
        for side in (raster.grid.height, raster.grid.width)
    )
    return np.concatenate(
        [
            np.concatenate([raster.read(numbers, Window(col, row, _PATCH, _PATCH)) for col in cols], axis=2)
            for row in rows
        ],
        axis=1,
    ).astype(np.float64)


def drop_fringe(values: NDArray[np.float64]) -> None:
    """Make pixels beside a gap NaN too, in place, in each band of (C, H, W).

    Overviews and the resolutions of JPEG 2000 mix "no data" into the pixels at its edge, which would pass for dark
    ground. Where most of the picture is such an edge it is kept.
    """
    for plane in values:
        gap = np.isnan(plane)
        near = np.pad(gap, 1)
        near = near[:-2] | near[1:-1] | near[2:]
        near = near[:, :-2] | near[:, 1:-1] | near[:, 2:]
        if (~near).sum() > (~gap).sum() / 2:
            plane[near] = np.nan
