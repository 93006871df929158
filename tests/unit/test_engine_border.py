# SPDX-License-Identifier: GPL-2.0-or-later
"""What the network sees beyond the image's border: the image mirrored, no fill and no zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scene_files import landscape, write_raster
from ssl4eo.features import FeatureSet, encode

if TYPE_CHECKING:
    from pathlib import Path

SIDE, FRAME = 160, 64


def test_cells_at_the_border_are_those_of_a_mirrored_image(tmp_path: Path) -> None:
    values = landscape(height=SIDE, width=SIDE)
    framed = np.pad(values, ((0, 0), (FRAME, FRAME), (FRAME, FRAME)), mode="symmetric")
    for name, pixels in (("image", values), ("framed", framed)):
        scene = write_raster(tmp_path / f"{name}.tif", pixels, scale="0.0001", level="L1C")
        projection = None if name == "image" else tmp_path / "image_set"
        encode(scene, tmp_path / f"{name}_set", device="cpu", precision="fp32", projection=projection)
    image, wide = (FeatureSet.open(tmp_path / f"{name}_set") for name in ("image", "framed"))
    for level, other in zip(image.levels[2:4], wide.levels[2:4], strict=True):
        first, count = FRAME // level.stride, SIDE // level.stride
        cells = level.read(level.grid.window)[:, :count, :count]
        there = other.read(other.grid.window)[:, first : first + count, first : first + count]
        apart = np.sqrt(((cells - there) ** 2).sum(axis=0) / cells.var(axis=(1, 2)).sum())
        # A fill of the bands' means makes it 0.35 and more.
        assert max(apart[[0, -1]].mean(), apart[:, [0, -1]].mean()) < 0.02
