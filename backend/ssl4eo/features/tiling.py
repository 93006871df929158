# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pixels the network sees at once, on a grid that is fixed in the scene, and where its cells lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssl4eo.encoders.backbone import Backbone
    from ssl4eo.encoders.modes import Mode

__all__ = [
    "TILE",
    "LevelGrid",
    "PixelLevels",
    "Tile",
    "Unit",
    "block_grid",
    "cells_of",
    "encoder_grids",
    "level_grid",
    "plan_units",
]

# Side in pixels of what a ResNet keeps of one pass. With a halo of 128 on either side, 1024 gave 1.26 Mpx/s of kept
# pixels, 768 1.15 and 512 0.77 (ResNet-50, bf16, two streams); with 1024 a Sentinel-2 tile took 2.7 GB.
TILE = 768
# What is left over at the end of a row or column and not wider than this joins the tile before it.
_SLIVER = 64


@dataclass(frozen=True)
class LevelGrid:
    """The cells of one level: `window` in cells counted from the scene's corner, and their place on the ground."""

    stride: int
    window: Window
    grid: Grid


@dataclass(frozen=True)
class PixelLevels:
    """The two levels that a scene's own pixels make: what they hold and on which cells."""

    bands: tuple[str, ...]
    grids: tuple[LevelGrid, LevelGrid]


@dataclass(frozen=True)
class Tile:
    """One input of the network: it sees the pixels of `read` and its cells within `keep` count."""

    read: Window
    keep: Window


@dataclass(frozen=True)
class Unit:
    """What is finished, and can be resumed, as a whole.

    Attributes:
        number: from 0, in the order of work: row by row.
        tiles: of a ResNet one; of a transformer a row of windows.
        own: the pixels whose cells are complete after this unit and those before it.
    """

    number: int
    tiles: tuple[Tile, ...]
    own: Window


def level_grid(scene: Grid, window: Window, stride: int, cell_centre: float) -> LevelGrid:
    """Return the cells that bilinear interpolation needs at every pixel centre of `window`.

    Cell i is centred on pixel position stride * i + cell_centre. There are none before the scene's first cell.
    """

    def first(start: int) -> int:
        return max(int(np.floor((start + 0.5 - cell_centre) / stride)), 0)

    def stop(end: int) -> int:
        return int(np.ceil((end - 0.5 - cell_centre) / stride)) + 1

    col, row = first(window.col), first(window.row)
    cells = Window(col, row, stop(window.col_stop) - col, stop(window.row_stop) - row)
    shift = cell_centre - stride / 2
    origin = Affine.translation(col * stride + shift, row * stride + shift)
    transform = scene.transform @ origin @ Affine.scale(stride)
    return LevelGrid(stride, cells, Grid(scene.crs, transform, cells.width, cells.height))


def block_grid(scene: Grid, window: Window, stride: int) -> LevelGrid:
    """Return the blocks of stride x stride pixels that interpolation needs, as far as they hold pixels of the scene."""
    wanted = level_grid(scene, window, stride, stride / 2)
    col_stop, row_stop = -(-scene.width // stride), -(-scene.height // stride)
    width = min(wanted.window.col_stop, col_stop) - wanted.window.col
    height = min(wanted.window.row_stop, row_stop) - wanted.window.row
    cells = Window(wanted.window.col, wanted.window.row, width, height)
    return LevelGrid(stride, cells, Grid(scene.crs, wanted.grid.transform, width, height))


def encoder_grids(scene: Grid, extent: Window, shape: Backbone) -> list[LevelGrid]:
    """Return the cells of each level of an encoder, finest first, that an extent needs."""
    return [level_grid(scene, extent, stride, shape.cell_centre) for stride in shape.strides]


def cells_of(area: Window, stride: int, within: LevelGrid | None = None) -> Window | None:
    """Return the cells of a level whose squares begin in `area`, whose edges are multiples of the stride."""
    cells = Window(area.col // stride, area.row // stride, area.width // stride, area.height // stride)
    return cells if within is None else within.window.intersect(cells)


def plan_units(scene: Grid, grids: Sequence[LevelGrid], shape: Backbone, mode: Mode) -> list[Unit]:
    """Lay the network's inputs over all cells that are needed.

    A sub-area and a re-run see the same inputs, because these begin at fixed places of the scene.
    """
    coarsest = max(grid.stride for grid in grids)
    needed = _around(grids).snap(coarsest)
    if shape.patch is None:
        return _tiles(needed, shape.halo)
    return _windows(needed, scene, shape.window, shape.window // 2 if mode.overlap else shape.window)


def _around(grids: Sequence[LevelGrid]) -> Window:
    """Return the pixels that the cells of all levels begin in."""
    col = min(grid.window.col * grid.stride for grid in grids)
    row = min(grid.window.row * grid.stride for grid in grids)
    col_stop = max(grid.window.col_stop * grid.stride for grid in grids)
    row_stop = max(grid.window.row_stop * grid.stride for grid in grids)
    return Window(col, row, col_stop - col, row_stop - row)


def _tiles(needed: Window, halo: int) -> list[Unit]:
    units: list[Unit] = []
    for row, row_stop in _pieces(needed.row, needed.row_stop):
        for col, col_stop in _pieces(needed.col, needed.col_stop):
            keep = Window(col, row, col_stop - col, row_stop - row)
            units.append(Unit(len(units), (Tile(keep.grow(halo), keep),), keep))
    return units


def _pieces(start: int, stop: int) -> Iterator[tuple[int, int]]:
    cuts = [cut for cut in range((start // TILE + 1) * TILE, stop, TILE) if stop - cut > _SLIVER]
    yield from zip([start, *cuts], [*cuts, stop], strict=True)


def _windows(needed: Window, scene: Grid, side: int, step: int) -> list[Unit]:
    cols = _origins(needed.col, needed.col_stop, scene.width, side, step)
    rows = _origins(needed.row, needed.row_stop, scene.height, side, step)
    units = []
    for number, row in enumerate(rows):
        windows = [Window(col, row, side, side) for col in cols]
        height = step if row != rows[-1] else side
        own = Window(cols[0], row, cols[-1] + side - cols[0], height)
        units.append(Unit(number, tuple(Tile(window, window) for window in windows), own))
    return units


def _origins(start: int, stop: int, size: int, side: int, step: int) -> list[int]:
    """Return where windows begin that hold a needed pixel: none before the scene, and no more than cover it."""
    last = max(-(-(size - side) // step), 0)
    first = max((start - side) // step + 1, 0)
    return [number * step for number in range(min(first, last), min((stop - 1) // step, last) + 1)]
