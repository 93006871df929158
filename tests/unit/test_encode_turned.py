# SPDX-License-Identifier: GPL-2.0-or-later
"""A turned image gives the features of an upright one, each where its pixels lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.features import FeatureSet, encode

if TYPE_CHECKING:
    from pathlib import Path

TOLD: dict[str, Any] = {"scale": 0.0001, "offset": 0.0, "level": "L1C"}


def test_levels_of_a_turned_image_lie_on_its_pixels(tmp_path: Path) -> None:
    values = landscape(13, 150, 200)
    turn = ORIGIN @ Affine.rotation(30)
    upright = write_raster(tmp_path / "upright.tif", values)
    turned = write_raster(tmp_path / "turned.tif", values, transform=turn)
    for path in (upright, turned):
        encode(path, tmp_path / path.stem, window=(8, 16, 150, 120), **TOLD)
    files = sorted(file.name for file in (tmp_path / "upright").glob("level_*.tif"))
    assert len(files) == len(FeatureSet.open(tmp_path / "turned").levels) > 2
    for file in files:
        with rasterio.open(tmp_path / "upright" / file) as straight, rasterio.open(tmp_path / "turned" / file) as level:
            np.testing.assert_array_equal(level.read(), straight.read())
            # The same pixel of the scene lies under the same cell.
            cell = ~straight.transform @ (ORIGIN @ (50, 60))
            np.testing.assert_allclose(~level.transform @ (turn @ (50, 60)), cell, atol=1e-6)
