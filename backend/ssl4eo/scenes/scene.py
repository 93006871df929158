# SPDX-License-Identifier: GPL-2.0-or-later
"""Read windows of a scene as reflectance with a validity mask."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes.inspect import inspect_dataset, open_raster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from ssl4eo.scenes.info import SceneInfo

__all__ = ["Scene", "open_scene"]

# Cirrus reflectance is truly zero in places, so DN 0 in B10 is not a sign of missing data.
_NEVER_NODATA = "B10"


class Scene:
    """An open scene; made by `open_scene`. Not for use from several threads at once."""

    def __init__(self, dataset: DatasetReader, info: SceneInfo) -> None:
        self.info = info
        self.grid = Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)
        self._dataset = dataset

    def read(self, window: Window, bands: Sequence[str | None]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window; where it sticks out of the image, pixels are mirrored and not valid.

        Args:
            window: in pixels of the scene.
            bands: canonical names that the scene holds; None gives a band of zeros.

        Returns:
            Reflectance (C, H, W), 0 where invalid, and validity (H, W).

        Raises:
            InputError: when the window misses the image or the file cannot be read any more.
        """
        inside = self.grid.clip(window)
        # A band may stand in for a missing one (plan_bands), so each file band is read once and used where asked.
        names = list(dict.fromkeys(band for band in bands if band is not None))
        numbers = [self.info.bands.index(name) + 1 for name in names]
        try:
            digital = self._dataset.read(
                numbers, window=RasterioWindow(inside.col, inside.row, inside.width, inside.height)
            )
        except RasterioIOError as error:
            raise InputError(f"{self.info.path} cannot be read any more ({error}); check the file.") from error
        valid = self._validity(digital, names)
        reflectance = (digital.astype(np.float32) + self.info.offset) / np.float32(self.info.quantification)
        reflectance = np.where(valid, np.nan_to_num(reflectance), 0).astype(np.float32)
        stack = np.zeros((len(bands), *valid.shape), np.float32)
        for i, band in enumerate(bands):
            if band is not None:
                stack[i] = reflectance[names.index(band)]
        return _pad(stack, valid, inside, window)

    def _validity(self, digital: NDArray[np.generic], names: list[str]) -> NDArray[np.bool_]:
        telling = [i for i, name in enumerate(names) if name != _NEVER_NODATA] or list(range(len(names)))
        values = digital[telling]
        valid = np.isfinite(values).all(axis=0)
        if self.info.nodata is not None:
            valid &= (values != self.info.nodata).all(axis=0)
        return np.asarray(valid)


def _pad(
    stack: NDArray[np.float32], valid: NDArray[np.bool_], inside: Window, window: Window
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rows = (inside.row - window.row, window.row_stop - inside.row_stop)
    cols = (inside.col - window.col, window.col_stop - inside.col_stop)
    if rows == cols == (0, 0):
        return stack, valid
    # Mirroring continues texture across the border; zeros would make an edge that the network sees.
    return np.pad(stack, ((0, 0), rows, cols), mode="symmetric"), np.pad(valid, (rows, cols))


@contextmanager
def open_scene(
    path: str | os.PathLike[str],
    *,
    bands: Mapping[int, str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> Iterator[Scene]:
    """Open a raster as a scene; see `inspect` for the arguments.

    Raises:
        InputError: when the file cannot be read or something of it must be said first (unnamed bands, no CRS).
    """
    with open_raster(path) as dataset:
        info = inspect_dataset(dataset, os.fspath(path), bands=bands, scale=scale, offset=offset)
        info.require_ready()
        yield Scene(dataset, info)
