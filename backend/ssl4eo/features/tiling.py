# SPDX-License-Identifier: GPL-2.0-or-later
"""Run an encoder over tiles of the scene's fixed grid, and place the cells that come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.scenes.info import BandPlan
    from ssl4eo.scenes.scene import Scene

__all__ = ["TILE", "LevelGrid", "encode_tile", "level_grid"]

# Side of a tile in pixels; origins are multiples of it in the scene, so a sub-area and a re-run see the same input.
TILE = 512
# A cell counts as valid when at least half of the pixels it stands for are.
_VALID_SHARE = 0.5


@dataclass(frozen=True)
class LevelGrid:
    """The cells of one level: `window` in cells counted from the scene's corner, and their place on the ground."""

    stride: int
    window: Window
    grid: Grid


def level_grid(scene: Grid, window: Window, stride: int, cell_centre: float) -> LevelGrid:
    """Return the cells that bilinear interpolation needs at every pixel centre of `window`.

    Cell i is centred on pixel position stride * i + cell_centre.
    """

    def first(start: int) -> int:
        return int(np.floor((start + 0.5 - cell_centre) / stride))

    def stop(end: int) -> int:
        return int(np.ceil((end - 0.5 - cell_centre) / stride)) + 1

    col, row = max(first(window.col), 0), max(first(window.row), 0)
    cells = Window(col, row, stop(window.col_stop) - col, stop(window.row_stop) - row)
    shift = cell_centre - stride / 2
    origin = Affine.translation(col * stride + shift, row * stride + shift)
    transform = scene.transform @ origin @ Affine.scale(stride)
    return LevelGrid(stride, cells, Grid(scene.crs, transform, cells.width, cells.height))


def encode_tile(
    scene: Scene, encoder: Encoder, plan: BandPlan, tile: Window
) -> list[tuple[Window, NDArray[np.float32]]] | None:
    """Encode one tile.

    Args:
        scene: the open scene.
        encoder: the encoder.
        plan: where each band of the encoder comes from.
        tile: a tile of the fixed grid.

    Returns:
        Per level the window in cells from the scene's corner (one more column and row than the tile owns, for
        interpolation up to its edge) and features (C, h, w) float32, NaN where missing; None when no pixel is valid.
    """
    import torch

    halo = encoder.backbone.halo
    around = tile.grow(halo)
    reflectance, valid = scene.read(around, plan.sources)
    inside = valid[halo:-halo, halo:-halo]
    if not inside.any():
        return None
    pixels = torch.from_numpy(_fill(reflectance, valid))[None]
    levels = []
    for stride, features in encoder.pyramid(encoder.normalise(pixels)):
        margin, owned = halo // stride, TILE // stride + 1
        cut = features[0, :, margin : margin + owned, margin : margin + owned].cpu().numpy()
        cells = Window(tile.col // stride, tile.row // stride, owned, owned)
        share = _share(_mirrored(valid, scene.grid, around), stride, encoder.backbone.cell_centre)
        missing = share[margin : margin + owned, margin : margin + owned] < _VALID_SHARE
        cut[:, missing] = np.nan
        levels.append((cells, cut))
    return levels


def _fill(reflectance: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give missing pixels inside the image the mean of the others: the network sees no edge of zeros."""
    if valid.all():
        return reflectance
    mean = reflectance[:, valid].mean(axis=1)
    # Mirrored pixels beyond the image's border are not valid either, but they have values and keep them.
    hole = ~valid & ~reflectance.any(axis=0)
    return np.where(hole, mean[:, None, None], reflectance).astype(np.float32)


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
