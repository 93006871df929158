# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the levels of a feature set tile by tile, then once more as compressed files with overviews."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import rasterio
import rasterio.shutil
from rasterio.windows import Window as RasterioWindow

from ssl4eo.features.projection import NODATA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from ssl4eo.features.projection import Quantiser
    from ssl4eo.features.tiling import LevelGrid
    from ssl4eo.grid import Window

__all__ = ["LevelWriter"]

# The block side that the Cloud Optimized GeoTIFF driver and most readers are tuned for.
_BLOCK = 256


class LevelWriter:
    """Collects the bytes of one level; a context manager around the uncompressed scratch file.

    Tiles arrive in any order and overlap by a row and a column, which a compressed file would answer with dead space;
    the scratch file is plain, and `finish` copies it into a Cloud Optimized GeoTIFF.
    """

    def __init__(self, path: Path, cells: LevelGrid, names: Sequence[str], quantiser: Quantiser) -> None:
        self._path = path
        self._scratch = path.with_suffix(".scratch.tif")
        self._cells = cells
        self._stack = ExitStack()
        grid = cells.grid
        self._dataset: DatasetWriter = self._stack.enter_context(
            rasterio.open(
                self._scratch,
                "w",
                driver="GTiff",
                width=grid.width,
                height=grid.height,
                count=len(names),
                dtype="uint8",
                crs=grid.crs,
                transform=grid.transform,
                nodata=NODATA,
                tiled=True,
                blockxsize=_BLOCK,
                blockysize=_BLOCK,
                interleave="band",
                BIGTIFF="IF_SAFER",
            )
        )
        self._dataset.scales = tuple(map(float, quantiser.scale))
        self._dataset.offsets = tuple(map(float, quantiser.offset))
        for number, name in enumerate(names, start=1):
            self._dataset.set_band_description(number, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._scratch.unlink(missing_ok=True)

    def write(self, cells: Window, values: NDArray[np.uint8]) -> None:
        """Write (C, h, w) bytes at a window in cells from the scene's corner; what sticks out is left away."""
        common = self._cells.window.intersect(cells)
        if common is None:
            return
        rows, cols = common.shift(-cells.col, -cells.row).slices
        here = common.shift(-self._cells.window.col, -self._cells.window.row)
        self._dataset.write(values[:, rows, cols], window=RasterioWindow(here.col, here.row, here.width, here.height))

    def finish(self) -> None:
        """Write the final file: compressed, tiled, with overviews."""
        self._stack.close()
        rasterio.shutil.copy(
            self._scratch,
            self._path,
            driver="COG",
            compress="DEFLATE",
            level=6,
            blocksize=_BLOCK,
            overview_resampling="average",
            num_threads="2",
            BIGTIFF="IF_SAFER",
        )
