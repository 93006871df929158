# SPDX-License-Identifier: GPL-2.0-or-later
"""A map of bytes on disk: a Cloud Optimized GeoTIFF, written window by window and read back before it is handed out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError, OutputError
from ssl4eo.files import atomic_file, require_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from ssl4eo.grid import Grid, Window

__all__ = ["UNSURE", "ByteWriter", "byte_map", "confidence_map", "require_tif"]

# No data in a confidence map: 0 is a percentage.
UNSURE = 255
_BLOCK = 256


@dataclass
class ByteWriter:
    """Takes a map window by window and counts its pixels per value."""

    dataset: DatasetWriter
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    def write(self, window: Window, values: NDArray[np.uint8]) -> None:
        """Write values (H, W) at a window of the map."""
        self.dataset.write(values, 1, window=RasterioWindow(window.col, window.row, window.width, window.height))
        self.counts += np.bincount(values.ravel(), minlength=256)


def require_tif(path: Path, what: str) -> None:
    """Refuse a name that is no GeoTIFF's.

    Raises:
        InputError: with the sentence about `what`, such as "The class map".
    """
    if path.suffix.lower() not in {".tif", ".tiff"}:
        raise InputError(f"{what} {path} is written as a GeoTIFF; give it a name that ends in .tif.")


@contextmanager
def byte_map(
    final: Path, out: Path, grid: Grid, nodata: int, resampling: str, describe: Callable[[DatasetWriter], None]
) -> Iterator[ByteWriter]:
    """Open a map for writing; `final` is complete when the block ends well, and the block's caller renames it to `out`.

    Args:
        final: where the file is made.
        out: its name in errors.
        grid: its place.
        nodata: the value of no data.
        resampling: of the overviews, mode for classes and average for quantities.
        describe: given the empty file, to set names and colours.

    Raises:
        OutputError: when there is no room for it, or it reads back differently.
    """
    # The scratch file is plain and whole, the final one compressed: both may lie on the disk at once.
    require_space(out.parent, 2 * grid.width * grid.height)
    scratch = final.with_suffix(".scratch.tif")
    place = {"width": grid.width, "height": grid.height, "crs": grid.crs, "transform": grid.transform}
    blocks = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "BIGTIFF": "IF_SAFER"}
    photometric = {"photometric": "palette"} if resampling == "mode" else {}
    try:
        with rasterio.open(
            scratch, "w", driver="GTiff", count=1, dtype="uint8", nodata=nodata, **place, **blocks, **photometric
        ) as dataset:
            describe(dataset)
            writer = ByteWriter(dataset)
            yield writer
        rasterio.shutil.copy(
            scratch,
            final,
            driver="COG",
            compress="DEFLATE",
            blocksize=_BLOCK,
            overview_resampling=resampling,
            num_threads="ALL_CPUS",
            BIGTIFF="IF_SAFER",
        )
        _verify(final, out, writer.counts)
    finally:
        for leftover in (scratch, scratch.with_name(scratch.name + ".aux.xml")):
            leftover.unlink(missing_ok=True)
        final.with_name(final.name + ".aux.xml").unlink(missing_ok=True)


@contextmanager
def confidence_map(path: str | Path, grid: Grid) -> Iterator[ByteWriter]:
    """Open a map of probabilities in percent for writing, 0 to 100 and 255 where there is no data; whole or not at all.

    Raises:
        InputError: when `path` is not a GeoTIFF's name or its folder does not exist.
        OutputError: when it cannot be written.
    """
    out = Path(path)
    require_tif(out, "The confidence map")

    def describe(dataset: DatasetWriter) -> None:
        dataset.set_band_description(1, "confidence in percent")

    with atomic_file(out) as final, byte_map(final, out, grid, UNSURE, "average", describe) as writer:
        yield writer


def _verify(path: Path, out: Path, counts: NDArray[np.int64]) -> None:
    """Read the map back: a full disk can go unnoticed until the last block is flushed at closing."""
    found = np.zeros(256, np.int64)
    with rasterio.open(path) as dataset:
        for _, window in dataset.block_windows(1):
            found += np.bincount(dataset.read(1, window=window).ravel(), minlength=256)
    if not np.array_equal(found, counts):
        raise OutputError(f"Cannot write {out}: what was written reads back differently; check the disk.")
