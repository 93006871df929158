# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster is thinned in strips, and gives the pixels that GDAL gives of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.windows import Window as RasterioWindow
from scene_files import ORIGIN
from ssl4eo.grid import Window
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shape", [(100, 130), (37, 41), (3, 2), (1, 1)])
def test_thinning_strip_by_strip_takes_the_pixels_that_gdal_takes_of_the_whole(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    values = np.arange(3 * 300 * 260, dtype=np.uint32).reshape(3, 300, 260)
    path = tmp_path / "t.tif"
    profile = {
        "driver": "GTiff",
        "width": 260,
        "height": 300,
        "count": 3,
        "dtype": "uint32",
        "crs": CRS.from_epsg(32633),
    }
    with rasterio.open(path, "w", **profile, transform=ORIGIN, tiled=True, blockxsize=32, blockysize=48) as dataset:
        dataset.write(values)
    with rasterio.open(path) as dataset, open_raster(path) as raster:
        expected = dataset.read([3, 1], out_shape=(2, *shape))
        np.testing.assert_array_equal(raster.read([3, 1], shape=shape), expected)
        part = RasterioWindow(7, 31, 201, 250)
        expected = dataset.read([2], window=part, out_shape=(1, *shape))
        np.testing.assert_array_equal(raster.read([2], Window(7, 31, 201, 250), shape=shape), expected)
