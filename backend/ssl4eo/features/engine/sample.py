# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at tiles all over a scene, so that projection and quantisation fit it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssl4eo.errors import InputError
from ssl4eo.features.engine.cells import kept, require_numbers
from ssl4eo.features.engine.reader import Piece, pieces_of
from ssl4eo.features.tiling import Tile, Unit
from ssl4eo.jobs import no_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.features.engine.forward import Batch
    from ssl4eo.features.engine.work import Work
    from ssl4eo.features.run import Run
    from ssl4eo.grid import Window
    from ssl4eo.jobs import Progress

__all__ = ["Sample", "sample_scene"]

# Tiles that the sample is taken from at most: 32 windows of a ViT-S give 6272 cells for 384 channels.
_TILES = 32
# What the network made of them is kept, so that it is not made twice, up to so many bytes.
_KEPT_BYTES = 300_000_000
# Cells of a level at most, and values: 16384 cells of up to 256 channels, 2048 of 2048. Enough for 64 components, few
# enough to be fitted within half a second.
_CELLS, _VALUES = 16384, 1 << 22


@dataclass(frozen=True)
class Sample:
    """Cells (N, C) of every level, and what the network made of the tiles looked at, by what they read."""

    cells: list[NDArray[np.float32]]
    kept: dict[Window, list[Tensor]]


def sample_scene(work: Work, progress: Progress = no_progress) -> Sample:
    """Encode some of the tiles, spread over the extent.

    The same tiles are chosen in each run, so that a run that was interrupted goes on with the same projection.

    Raises:
        InputError: when no pixel is valid.
    """
    run, rng = work.run, np.random.default_rng(0)
    wanted = _count(run, work.encoder.dtype.itemsize)
    cells: list[list[NDArray[np.float32]]] = [[] for _ in run.grids]
    found: dict[Window, list[Tensor]] = {}

    def beat() -> None:
        progress(min(len(found) / wanted, 1), "Looking at the scene")

    batches = work.batches_of(work.reader.read(_places(run), (), beat))
    # Tiles may turn out to hold no cell that is valid in every level.
    while not found and (some := _with_tiles(batches, wanted)):
        for batch, made in work.streams.run(some, partial(_held, work), beat):
            for tile, levels in zip(batch.tiles, made, strict=True):
                # Some tiles hold few valid cells: the others may give twice their share.
                drawn = _draw(work, batch.piece, tile, levels, 2 / wanted, rng)
                if drawn:
                    found[tile.read] = levels
                for level, rows in zip(cells, drawn, strict=False):
                    level.append(rows)
    if not found:
        raise InputError(
            f"{run.scene.info.path} holds no valid pixel in the chosen extent (all nodata); choose another extent."
        )
    thinned = []
    while cells:
        thinned.append(_thinned(np.concatenate(cells.pop(0)), rng))
    return Sample(thinned, found)


def _count(run: Run, size: int) -> int:
    """Return how many tiles are looked at, when a feature takes `size` bytes."""
    keep = run.units[0].tiles[0].keep
    each = size * sum(
        width * (keep.width // grid.stride) * (keep.height // grid.stride)
        for width, grid in zip(run.card.shape.channels, run.deep, strict=True)
    )
    return max(1, min(_TILES, run.tiles, _KEPT_BYTES // each))


def _places(run: Run) -> Iterator[Piece]:
    """Yield all tiles as pieces of their own, so that any first few are spread over all (steps of the golden ratio)."""
    # Those beyond the extent, whose cells interpolation needs at its edge, give no pixel levels.
    tiles = [(unit, tile) for unit in run.units for tile in unit.tiles if run.extent.intersect(tile.keep)]
    count = len(tiles)
    step = max(1, round(count * 0.618))
    while np.gcd(step, count) != 1:
        step += 1
    for number in range(count):
        unit, tile = tiles[number * step % count]
        alone = Unit(unit.number, (tile,), tile.keep)
        yield from pieces_of(alone, run.extent)


def _with_tiles(batches: Iterator[Batch], count: int) -> Iterator[Batch] | None:
    """Return the next batches that hold valid pixels, up to so many; None when there is none."""
    filled = (batch for batch in batches if batch.tiles)
    first = next(filled, None)
    return None if first is None else itertools.chain([first], itertools.islice(filled, count - 1))


def _held(work: Work, batch: Batch, levels: list[Tensor]) -> tuple[Batch, list[list[Tensor]]]:
    """Return per tile of a batch the cells (C, h, w) of each level that it keeps."""

    def own(level: Tensor, tile: Tile, stride: int) -> Tensor:
        cells = kept(level, tile, stride)
        require_numbers(work.encoder, cells)
        return cells.clone() if cells.numel() < level.numel() else cells

    return batch, [
        [own(level[number], tile, grid.stride) for level, grid in zip(levels, work.run.deep, strict=True)]
        for number, tile in enumerate(batch.tiles)
    ]


def _draw(
    work: Work, piece: Piece, tile: Tile, levels: list[Tensor], share: float, rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Return valid cells (n, C) of every level of a tile, up to a share of what is wanted in all.

    Nothing when a level other than the surroundings, which a few pixels may lack, has none.
    """

    def chosen(known: NDArray[np.bool_], channels: int) -> NDArray[np.intp]:
        places = rng.permutation(np.flatnonzero(known))
        return np.sort(places[: max(1, int(share * _most(channels)))])

    drawn = [values.reshape(len(values), -1)[:, chosen(known, len(values))].T for _, values, known in piece.levels]
    for level, known in zip(levels, work.cells_known(piece, tile), strict=True):
        places = torch.from_numpy(chosen(known, len(level))).to(level.device)
        # Channels lie last in what a ResNet makes, so that whole cells are copied.
        drawn.append(level.permute(1, 2, 0).flatten(0, 1).index_select(0, places).float().cpu().numpy())
    found = [np.asarray(rows[np.isfinite(rows).all(axis=1)], np.float32) for rows in drawn]
    optional = work.run.surroundings
    whole = all(len(rows) or grid is optional for rows, grid in zip(found, work.run.grids, strict=True))
    return found if whole else []


def _most(channels: int) -> int:
    return min(_CELLS, _VALUES // channels)


def _thinned(rows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    most = _most(rows.shape[1])
    return rows if len(rows) <= most else rows[np.sort(rng.permutation(len(rows))[:most])]
