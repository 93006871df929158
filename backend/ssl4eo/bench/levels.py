# SPDX-License-Identifier: GPL-2.0-or-later
"""Feature sets that no encoder made, of the size that one makes: for measuring what comes after encoding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from ssl4eo.features.levelfile import BLOCK, LevelFile
from ssl4eo.features.projection import Quantiser
from ssl4eo.features.store import ITEM
from ssl4eo.features.tiling import LevelGrid, block_grid, level_grid
from ssl4eo.grid import Grid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["LAYOUTS", "write_levels"]

_SIDE = 1536
_COMPONENTS = 64
# What 13 bands make: with one index, and means and deviations of bands of 10 and 20 m.
_PIXELS, _SURROUNDINGS, _STRIDE_AROUND = 14, 26, 4
# Per encoder, strides of its levels and where its first cell is centred.
LAYOUTS = {"ResNet": ((4, 8, 16, 32), 0.5), "ViT": ((16, 16, 16, 16), 8.0)}
# Pixels along a side of the patches that have one cover.
_PATCH = 48


def write_levels(folder: Path, layout: str) -> Path:
    """Write a feature set of 1536 x 1536 pixels with the levels of one of `LAYOUTS`.

    It shows patches of ten covers, which deep levels tell apart better than pixels: a head uses them all.
    """
    folder.mkdir(parents=True)
    strides, centre = LAYOUTS[layout]
    grid = Grid(CRS.from_epsg(32633), Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_800_000.0), _SIDE, _SIDE)
    rng = np.random.default_rng(0)
    side = -(-_SIDE // _PATCH)
    covers = rng.integers(0, 10, (side, side))
    plan: list[tuple[str, LevelGrid, int, float]] = [
        ("pixels", LevelGrid(1, grid.window, grid), _PIXELS, 40.0),
        ("surroundings", block_grid(grid, grid.window, _STRIDE_AROUND), _SURROUNDINGS, 30.0),
        *(("features", level_grid(grid, grid.window, stride, centre), _COMPONENTS, 8.0) for stride in strides),
    ]
    entries = []
    for index, (kind, cells, components, noise) in enumerate(plan):
        name = f"level_{index}.tif"
        _write(folder / name, cells, components, covers, noise, rng)
        encoder = layout if kind == "features" else None
        about = {"level": index, "kind": kind, "scene": 0, "encoder": encoder, "stride": cells.stride}
        entries.append({**about, "file": name, "components": components})
    properties = {"ssl4eo:levels": entries, "ssl4eo:encoder": {"id": layout}}
    (folder / ITEM).write_text(json.dumps({"type": "Feature", "properties": properties}), encoding="utf-8")
    return folder


def _write(
    path: Path, cells: LevelGrid, components: int, covers: NDArray[np.intp], noise: float, rng: np.random.Generator
) -> None:
    colours = rng.normal(0, 20, (10, components)).astype(np.float32)
    rows, cols = (
        np.minimum(np.arange(size) * cells.stride // _PATCH, len(covers) - 1)
        for size in (cells.grid.height, cells.grid.width)
    )
    quantiser = Quantiser(np.full(components, 0.01, np.float32), np.full(components, -1.28, np.float32))
    with LevelFile(path, cells, [f"c{number}" for number in range(components)], quantiser) as file:
        for start in range(0, len(rows), BLOCK):
            there = colours[covers[np.ix_(rows[start : start + BLOCK], cols)]].transpose(2, 0, 1)
            values = 128 + there + noise * rng.standard_normal(there.shape, np.float32)
            file.write(start, 0, np.clip(values, 1, 255).astype(np.uint8))
        file.finish()
