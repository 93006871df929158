# SPDX-License-Identifier: GPL-2.0-or-later
"""Run an encoder over tiles of the scene's fixed grid, and place the cells that come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.encoders.backbone import Backbone
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.scenes.info import BandPlan
    from ssl4eo.scenes.scene import Scene

__all__ = ["TILE", "LevelGrid", "encode_tile", "level_grid", "tile_side", "without_earlier"]

# Side of a ResNet's tile in pixels; origins are multiples of it in the scene, so a sub-area and a re-run see the same
# input.
TILE = 512
# Windows of a transformer along each side of its tile: 4 x 128 pixels for patch 16, 4 x 112 for patch 14.
_WINDOWS = 4
# A cell counts as valid when at least half of the pixels it stands for are.
_VALID_SHARE = 0.5


@dataclass(frozen=True)
class LevelGrid:
    """The cells of one level: `window` in cells counted from the scene's corner, and their place on the ground."""

    stride: int
    window: Window
    grid: Grid


def tile_side(shape: Backbone) -> int:
    """Return the side of an encoder's tiles in pixels, a multiple of its strides.

    A transformer reads windows of the side of its pre-training images, so that its positions mean what they did
    there; of each it keeps what lies within the halo.
    """
    return TILE if shape.patch is None else _WINDOWS * (shape.window - 2 * shape.halo)


def level_grid(scene: Grid, window: Window, stride: int, cell_centre: float) -> LevelGrid:
    """Return the cells that bilinear interpolation needs at every pixel centre of `window`.

    Cell i is centred on pixel position stride * i + cell_centre. There are none before the scene's first cell.
    """
    needed = _cells(window, stride, cell_centre)
    col, row = max(needed.col, 0), max(needed.row, 0)
    cells = Window(col, row, needed.col_stop - col, needed.row_stop - row)
    shift = cell_centre - stride / 2
    origin = Affine.translation(col * stride + shift, row * stride + shift)
    transform = scene.transform @ origin @ Affine.scale(stride)
    return LevelGrid(stride, cells, Grid(scene.crs, transform, cells.width, cells.height))


def without_earlier(cells: Window, tile: Window, first: Window, stride: int) -> Window:
    """Return the part of a tile's cells that may be written over those of the tiles to its left and above.

    A transformer's cells reach one beyond the tile on every side, where they have less context than the neighbour's.
    Tiles are written row by row from `first` on, so what reaches right and down is replaced by its owner later.
    """
    col = cells.col if tile.col == first.col else tile.col // stride
    row = cells.row if tile.row == first.row else tile.row // stride
    return Window(col, row, cells.col_stop - col, cells.row_stop - row)


def encode_tile(
    scene: Scene, encoder: Encoder, plan: BandPlan, tile: Window, extent: Window | None = None
) -> list[tuple[Window, NDArray[np.float32]]] | None:
    """Encode one tile.

    Args:
        scene: the open scene.
        encoder: the encoder.
        plan: where each band of the encoder comes from.
        tile: a tile of the fixed grid of `tile_side`.
        extent: what is wanted, in pixels; a transformer leaves windows beyond it out.

    Returns:
        Per level the window in cells from the scene's corner (those that interpolation needs up to the tile's edge)
        and features (C, h, w) float32, NaN where missing; None when no wanted pixel is valid.

    Raises:
        InputError: when the encoder makes no numbers of valid pixels.
    """
    import torch

    halo = encoder.backbone.halo
    around = tile.grow(halo)
    stored, valid = scene.read(around, plan.sources)
    pixels = plan.apply(stored)
    inside = valid[halo:-halo, halo:-halo]
    if not inside.any():
        return None
    wanted = None if encoder.backbone.patch is None else _windows_with(inside, tile, extent)
    if wanted is not None and not wanted.any():
        return None
    known = _mirrored(valid, scene.grid, around)
    x = encoder.normalise(torch.from_numpy(_fill(pixels, known)))
    if wanted is None:
        maps = [(stride, features[0].cpu().numpy()) for stride, features in encoder.pyramid(x[None])]
    else:
        from ssl4eo.features.windows import encode_windows

        maps = encode_windows(encoder, x, wanted)
    levels = []
    for stride, features in maps:
        _require_numbers(encoder, features)
        cells = _cells(tile, stride, encoder.backbone.cell_centre)
        rows, cols = cells.shift(-around.col // stride, -around.row // stride).slices
        cut = features[:, rows, cols].copy()
        cut[:, _share(known, stride, encoder.backbone.cell_centre)[rows, cols] < _VALID_SHARE] = np.nan
        levels.append((cells, cut))
    return levels


def _require_numbers(encoder: Encoder, features: NDArray[np.float32]) -> None:
    """Refuse an encoder that makes features (C, h, w) without a single whole cell, though all its input is numbers."""
    if not np.isfinite(features).all(axis=0).any():
        raise InputError(
            f"{encoder.card.id} makes no numbers of valid pixels, so that its weights must be damaged; "
            f"run `ssl4eo weights verify {encoder.card.id}`, or download or import them again."
        )


def _cells(window: Window, stride: int, cell_centre: float) -> Window:
    """Return the cells, counted from the scene's corner, on both sides of every pixel centre of `window`."""

    def first(start: int) -> int:
        return int(np.floor((start + 0.5 - cell_centre) / stride))

    def stop(end: int) -> int:
        return int(np.ceil((end - 0.5 - cell_centre) / stride)) + 1

    col, row = first(window.col), first(window.row)
    return Window(col, row, stop(window.col_stop) - col, stop(window.row_stop) - row)


def _windows_with(valid: NDArray[np.bool_], tile: Window, extent: Window | None) -> NDArray[np.bool_]:
    """Return (_WINDOWS, _WINDOWS) which windows keep a valid pixel and touch the extent."""
    side = tile.width // _WINDOWS
    wanted = valid.reshape(_WINDOWS, side, _WINDOWS, side).any(axis=(1, 3))
    common = tile if extent is None else tile.intersect(extent)
    touched = np.zeros_like(wanted)
    if common is not None:
        rows, cols = common.shift(-tile.col, -tile.row).slices
        touched[rows.start // side : -(-rows.stop // side), cols.start // side : -(-cols.stop // side)] = True
    return np.asarray(wanted & touched)


def _fill(pixels: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give missing pixels the mean of the others: the network sees no edge of zeros."""
    if known.all():
        return pixels
    mean = pixels[:, known].mean(axis=1)
    return np.where(known, pixels, mean[:, None, None]).astype(np.float32)


def _mirrored(valid: NDArray[np.bool_], scene: Grid, around: Window) -> NDArray[np.bool_]:
    """Continue validity beyond the image's border as the pixels are continued, so border cells stay valid."""
    inside = scene.window.intersect(around)
    if inside is None or inside == around:
        return valid
    rows, cols = inside.shift(-around.col, -around.row).slices
    pad = ((rows.start, valid.shape[0] - rows.stop), (cols.start, valid.shape[1] - cols.stop))
    return np.pad(valid[rows, cols], pad, mode="symmetric")


def _share(valid: NDArray[np.bool_], stride: int, cell_centre: float) -> NDArray[np.float32]:
    """Return the share of valid pixels in the stride x stride square around each cell's centre."""
    before = int(stride / 2 - cell_centre + 0.5)
    padded = np.pad(valid.astype(np.float32), ((before, 0), (before, 0)), mode="edge")
    height, width = valid.shape[0] // stride, valid.shape[1] // stride
    blocks = padded[: height * stride, : width * stride].reshape(height, stride, width, stride)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)
