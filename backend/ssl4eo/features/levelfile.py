# SPDX-License-Identifier: GPL-2.0-or-later
"""One level on disk: a tiled, compressed GeoTIFF that any GIS opens, with overviews beside it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from ssl4eo.features.projection import NODATA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from ssl4eo.features.projection import Quantiser
    from ssl4eo.features.tiling import LevelGrid

__all__ = ["BLOCK", "LevelFile", "overviews_of"]

# Of 256 and 512, the larger takes a quarter less time to compress (level 0 of the Havel scene).
BLOCK = 512
# Zstandard at its fastest with a predictor: 3.5 ms per MB and 26 % of the size, where deflate at its fastest takes 4.9
# for 27 % and at level 6 more than 20 (level 0 of the Havel scene, one core). GDAL has read it since 2.3, and every
# QGIS comes with it. Bands lie one after the other, so that a picture of three bands reads three.
_PROFILE = {
    "driver": "GTiff", "dtype": "uint8", "nodata": NODATA, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
    "compress": "ZSTD", "zstd_level": 1, "predictor": 2, "interleave": "band", "BIGTIFF": "IF_SAFER",
}  # fmt: skip
# The first overview has a quarter of the width: one of half would cost a third of the compression once more, and QGIS
# draws at half size from the level itself.
_FACTOR = 4


class LevelFile:
    """Writes a level from its first row of blocks to its last; a context manager."""

    def __init__(self, path: Path, cells: LevelGrid, names: Sequence[str], quantiser: Quantiser) -> None:
        """Create the file and its overview.

        Args:
            path: the file to make.
            cells: where its cells lie.
            names: of its components.
            quantiser: how bytes become values.
        """
        grid = cells.grid
        self._stack = ExitStack()
        self._overview_path = overviews_of(path)
        size = {"width": grid.width, "height": grid.height, "count": len(names)}
        self._dataset: DatasetWriter = self._stack.enter_context(
            rasterio.open(path, "w", **_PROFILE, **size, crs=grid.crs, transform=grid.transform)
        )
        self._dataset.scales = tuple(map(float, quantiser.scale))
        self._dataset.offsets = tuple(map(float, quantiser.offset))
        self._dataset.descriptions = tuple(names)
        smaller = {"width": -(-grid.width // _FACTOR), "height": -(-grid.height // _FACTOR), "count": len(names)}
        self._overview: DatasetWriter | None = None
        if max(grid.width, grid.height) > BLOCK:
            # GDAL takes an overview's place from its level; without one of its own rasterio would warn.
            place = {"crs": grid.crs, "transform": grid.transform @ Affine.scale(_FACTOR)}
            self._overview = self._stack.enter_context(
                rasterio.open(self._overview_path, "w", **_PROFILE, **smaller, **place)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, row: int, first: int, values: NDArray[np.uint8]) -> None:
        """Write components (k, h, width) from number `first`, from 0, on; `row` is a multiple of `BLOCK`."""
        count, height, width = values.shape
        bands = list(range(first + 1, first + count + 1))
        self._dataset.write(values, bands, window=RasterioWindow(0, row, width, height))
        if self._overview is not None:
            small = _shrunk(values)
            place = RasterioWindow(0, row // _FACTOR, small.shape[2], small.shape[1])
            self._overview.write(small, bands, window=place)

    def finish(self) -> None:
        """Close the file and make what overviews of its overview it takes to see all of it at once."""
        self._stack.close()
        if self._overview is None:
            return
        side = max(self._overview.width, self._overview.height)
        factors = [_FACTOR**n for n in range(1, 8) if side > BLOCK * _FACTOR ** (n - 1)]
        if factors:
            options = {"COMPRESS_OVERVIEW": "ZSTD", "PREDICTOR_OVERVIEW": "2", "ZSTD_LEVEL_OVERVIEW": "1",
                       "INTERLEAVE_OVERVIEW": "BAND", "GDAL_TIFF_OVR_BLOCKSIZE": str(BLOCK)}  # fmt: skip
            with rasterio.Env(**options), rasterio.open(self._overview_path, "r+") as dataset:
                dataset.build_overviews(factors, Resampling.average)


def overviews_of(path: Path) -> Path:
    """Return where GDAL looks for a file's overviews."""
    return path.with_name(f"{path.name}.ovr")


def _shrunk(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean of each _FACTOR x _FACTOR cells that are not nodata, (k, ceil(h / 4), ceil(w / 4))."""
    count, height, width = values.shape
    rows, cols = -(-height // _FACTOR), -(-width // _FACTOR)
    small = np.empty((count, rows, cols), np.uint8)
    padded = np.zeros((rows * _FACTOR, cols * _FACTOR), np.uint8)
    # All components miss the same cells.
    known = np.zeros_like(padded)
    known[:height, :width] = values[0] != NODATA
    weight = _sums(known)
    there = weight > 0
    half, weight = weight // 2, np.maximum(weight, 1)
    for source, target in zip(values, small, strict=True):
        padded[:height, :width] = source
        mean = (_sums(padded) + half) // weight
        target[...] = np.where(there, mean, NODATA)
    return small


def _sums(values: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the sums of _FACTOR x _FACTOR values (h, w); a byte 255 times 16 fits 16 bits."""
    rows = values[0::_FACTOR].astype(np.uint16)
    for i in range(1, _FACTOR):
        rows += values[i::_FACTOR]
    total = rows[:, 0::_FACTOR].copy()
    for i in range(1, _FACTOR):
        total += rows[:, i::_FACTOR]
    return total
