# SPDX-License-Identifier: GPL-2.0-or-later
"""Read windows of a scene as reflectance or decibels with a validity mask."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rasterio.errors import RasterioIOError

from ssl4eo.errors import InputError
from ssl4eo.scenes.cache import block_cache
from ssl4eo.scenes.inspect import inspect_raster
from ssl4eo.scenes.measure import clear_gaps, keep_valid, measure, mirror
from ssl4eo.scenes.nodata import TRULY_ZERO
from ssl4eo.scenes.sources import open_raster, reopen_raster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from ssl4eo.grid import Grid, Window
    from ssl4eo.scenes.info import SceneInfo
    from ssl4eo.scenes.overrules import Overrules
    from ssl4eo.scenes.raster import Raster

__all__ = ["Scene", "open_scene", "reopen"]


class Scene:
    """An open scene; made by `open_scene`. Each thread needs its own, made by `reopen`."""

    def __init__(self, raster: Raster, info: SceneInfo, nodata: float | None = None) -> None:
        """Hold an open raster.

        Args:
            raster: the bands.
            info: what they are.
            nodata: what the user says; of each band its file's, or else that of `info`, when None.
        """
        self.info, self.grid, self.raster, self.nodata = info, raster.grid, raster, nodata
        self._missing = [_missing(raster, number, info, nodata) for number in range(1, raster.count + 1)]

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return self.raster.files

    def read(self, window: Window, bands: Sequence[str | None]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window; where it sticks out of the image, pixels are mirrored and not valid.

        Args:
            window: in pixels of the scene.
            bands: canonical names that the scene holds; None gives a band of zeros.

        Returns:
            Reflectance of Sentinel-2 or decibels of Sentinel-1 (C, H, W), 0 where invalid, and validity (H, W).

        Raises:
            InputError: when the window misses the image or the file cannot be read any more.
        """
        inside = self.grid.clip(window)
        # A band may stand in for a missing one (plan_bands), so each file band is read once and used where asked.
        names = list(dict.fromkeys(band for band in bands if band is not None))
        values = np.empty((len(names), window.height, window.width), np.float32)
        valid = np.zeros(values.shape[1:], np.bool_)
        rows, cols = inside.shift(-window.col, -window.row).slices
        self._fill(values[:, rows, cols], valid[rows, cols], inside, names)
        if inside != window:
            mirror(values, rows, cols)
        if list(bands) == names:
            return values, valid
        stack = np.zeros((len(bands), *valid.shape), np.float32)
        for plane, band in zip(stack, bands, strict=True):
            if band is not None:
                plane[...] = values[names.index(band)]
        return stack, valid

    def _fill(self, values: NDArray[np.float32], valid: NDArray[np.bool_], inside: Window, names: list[str]) -> None:
        """Write bands (C, H, W) and validity (H, W) of a window inside the image into the arrays given."""
        numbers = [self.info.bands.index(name) + 1 for name in names]
        valid[...] = True
        try:
            for places, stored in self.raster.parts(numbers, inside):
                for place, raw in zip(places, stored, strict=True):
                    plane = values[place]
                    measure(raw, self.info, plane)
                    if names[place] != TRULY_ZERO or len(names) == 1:
                        keep_valid(valid, raw, plane, self.info, self._missing[numbers[place] - 1])
                    else:
                        np.copyto(plane, 0, where=~np.isfinite(plane))
        except RasterioIOError as error:
            raise InputError(f"{self.info.path} cannot be read any more ({error}); check the file.") from error
        clear_gaps(values, valid)


def _missing(raster: Raster, number: int, info: SceneInfo, told: float | None) -> set[float]:
    """Return the stored values of a band that say "no data"; NaN says it anyway."""
    stated = told
    if stated is None:
        # The files of a folder may each have their own.
        stated = raster.bands[number - 1].nodata
    if stated is None:
        stated = info.nodata
    return {float(value) for value in (stated, raster.fill(number)) if value is not None and not np.isnan(value)}


@contextmanager
def open_scene(
    path: str | os.PathLike[str], grid: Grid | None = None, **overrules: Unpack[Overrules]
) -> Iterator[Scene]:
    """Open a raster, a folder of bands or a SAFE product as a scene; see `inspect` for what can be overruled.

    Args:
        path: what `open_raster` opens.
        grid: the pixel grid of another scene to put this one on; its own when None.
        **overrules: what the user knows better than the file.

    Raises:
        InputError: when the file cannot be read, something of it must be said first (unnamed bands, no CRS), or it
            does not overlap `grid`.
    """
    nodata = overrules.get("nodata")
    with open_raster(path, nodata=nodata) as raster:
        # What the image is does not depend on the grid it is put on; on its own grid little of it must be read.
        with block_cache([raster], height=1):
            info = inspect_raster(raster, **overrules)
        info.require_ready()
        if grid is None and not _blends_gaps(raster, info, nodata):
            yield Scene(raster, info, nodata)
            return
    with open_raster(path, grid, nodata=nodata, unstated=info.nodata) as raster:
        yield Scene(raster, _on_grid(info, raster.grid), nodata)


@contextmanager
def reopen(scene: Scene) -> Iterator[Scene]:
    """Open a scene once more, for another thread; nothing is inspected again.

    Raises:
        InputError: when a file is no more what it was.
    """
    with reopen_raster(scene.raster) as raster:
        yield Scene(raster, scene.info, scene.nodata)


def _blends_gaps(raster: Raster, info: SceneInfo, told: float | None) -> bool:
    """Say whether bands were interpolated before it was known what value fills the gaps of their files."""
    if told is not None or info.nodata is None:
        return False
    fills = (raster.fill(number) for number, band in enumerate(raster.bands, start=1) if band.nodata is None)
    return any(fill is not None and fill != info.nodata for fill in fills)


def _on_grid(info: SceneInfo, grid: Grid) -> SceneInfo:
    return replace(
        info,
        width=grid.width,
        height=grid.height,
        crs=grid.crs.to_string() if grid.crs else None,
        resolution=grid.resolution,
        bounds=grid.bounds,
    )
