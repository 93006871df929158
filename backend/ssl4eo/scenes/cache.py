# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep as many decoded blocks of a scene as reading it window by window needs, and no more.

GDAL decodes whole blocks (tiles or strips) and keeps them in one cache of the process, of 5 % of the memory by default.
A cache that holds less than windows share decodes everything several times; a larger one only takes memory.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from ssl4eo.scenes.placed import grid_of
from ssl4eo.scenes.raster import Raster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rasterio.io import DatasetReader

    from ssl4eo.scenes.scene import Scene

__all__ = ["block_cache", "block_cache_bytes", "readers"]

# What a ResNet sees at once, with room to spare: tiles of 768 pixels with a halo of 128 on either side.
_SIDE = 1280
# Room for a whole Sentinel-2 tile in blocks of 512 x 512 pixels (13 bands, windows of 1280 rows: 644 MB) or in strips
# of 700 rows (629 MB).
# A row of windows may take less: what it shares with the next row is a third of it, and decoded twice at worst.
_LEAST, _MOST_OF_A_ROW, _MOST = 64 << 20, 128 << 20, 768 << 20
# GDAL keeps a few words about each block, and blocks of the next row come in before the last ones of this are done.
_SPARE = 1.1
# Files of a VRT that are looked into; those of one mosaic or stack are alike.
_LOOKED_INTO = 16

_lock = threading.Lock()
_wanted: list[int] = []
_before = 0


@contextmanager
def block_cache(scenes: Iterable[Scene | Raster], width: int | None = None, height: int = _SIDE) -> Iterator[None]:
    """Give GDAL's block cache the size that reading scenes one after the other needs; the old size comes back.

    The cache is one for the process: where several ask at once it holds what they need together, up to the most.

    Args:
        scenes: what is read; of several, one after the other.
        width: of the area that is read, row of windows by row of windows; that of each scene when None.
        height: of the windows.
    """
    global _before  # noqa: PLW0603
    size = max((block_cache_bytes(scene, width, height) for scene in scenes), default=_LEAST)
    with _lock:
        if not _wanted:
            _before = int(get_gdal_config("GDAL_CACHEMAX"))
        _wanted.append(size)
        _resize(min(sum(_wanted), _MOST))
    try:
        yield
    finally:
        with _lock:
            _wanted.remove(size)
            _resize(min(sum(_wanted), _MOST) if _wanted else _before)


def block_cache_bytes(scene: Scene | Raster, width: int | None = None, height: int = _SIDE) -> int:
    """Return the bytes of blocks that must be kept so that none is decoded twice, from 64 to 768 MB.

    They are those that a row of windows touches, for the next row of windows shares some; where that is too much,
    those that one window touches, for the next window beside it shares some (all, of strips).

    Args:
        scene: which is read.
        width: of the area that is read; that of the scene when None.
        height: of the windows, as wide as high.
    """
    raster = _raster(scene)
    width = width or raster.grid.width
    for across, most in ((width, _MOST_OF_A_ROW), (min(width, height), _MOST)):
        size = _SPARE * sum(_touched(dataset, across, height) for dataset in raster.datasets)
        if size <= most:
            return max(math.ceil(size), _LEAST)
    return _MOST


def readers(scene: Scene | Raster, most: int) -> int:
    """Return how many threads should read a scene, each with datasets of its own: one where blocks are wide strips.

    Each dataset decodes for itself: threads that read windows side by side would all decode the same strips.
    """
    wide = any(_block(dataset)[1] > 2 * _SIDE for dataset in _raster(scene).datasets)
    return 1 if wide else most


def _raster(scene: Scene | Raster) -> Raster:
    return scene if isinstance(scene, Raster) else scene.raster


def _resize(size: int) -> None:
    # rasterio passes this one option on to GDALSetCacheMax64, whose size holds at once and for all threads; as an
    # option of Env it would stay behind in an Env that lies within another.
    set_gdal_config("GDAL_CACHEMAX", size)


def _touched(dataset: DatasetReader | WarpedVRT, width: float, height: float) -> int:
    """Return the bytes of the blocks of all bands that `width` x `height` pixels touch at most."""
    rows, cols = (
        min(math.ceil(side / block) + 1, math.ceil(whole / block)) * block
        for side, block, whole in zip((height, width), _block(dataset), dataset.shape, strict=True)
    )
    size = int(rows * cols * sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes))
    if not isinstance(dataset, WarpedVRT):
        return size
    # Both what was warped and what it was warped from is kept. In another CRS a pixel is taken to be about as large.
    source = dataset.src_dataset
    (x, y), (own_x, own_y) = grid_of(dataset).resolution, grid_of(source).resolution
    if source.crs != dataset.crs:
        x, y = own_x, own_y
    return size + _touched(source, width * x / own_x, height * y / own_y)


def _block(dataset: DatasetReader | WarpedVRT) -> tuple[int, int]:
    """Return height and width of the largest block; of a VRT, which has none of its own, in the files it points at."""
    shapes = list(dataset.block_shapes)
    if dataset.driver == "VRT" and not isinstance(dataset, WarpedVRT):
        for file in dataset.files[1 : 1 + _LOOKED_INTO]:
            try:
                with rasterio.open(file) as source:
                    shapes.append(_block(source))
            except RasterioError:
                # Reading will say so; it may lie where nobody reads.
                continue
    heights, widths = zip(*shapes, strict=True)
    return max(heights), max(widths)
