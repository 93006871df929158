# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a transformer's tokens are: its stored tables, fitted to the size of the input.

The tables of a file are always used and never made anew: those of MoCo-v3 and MAE are transposes of each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from ssl4eo.encoders.backbone import Backbone

__all__ = ["InputSize", "resize_bias", "resize_positions", "sincos_writer"]

# DINO adds it to the number of patches before it divides, against rounding, and hands the quotient to the interpolation
# (zhu-xlab/SSL4EO-S12@2156913c, transfer_classification/models/dino/vision_transformer.py, interpolate_pos_encoding);
# DINOv2, which SoftCon builds on, does the same (its VisionTransformer has interpolate_offset=0.1).
_DINO_OFFSET = 0.1
_DINO_LIKE = ("dino", "softcon")
# The base of the fixed tables: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
_TEMPERATURE = 10000.0
# A scene is encoded in windows of one or two sizes.
_KEPT_SIZES = 4


class InputSize:
    """Fits a transformer to the height and width of its input, each time from the table of its file."""

    def __init__(self, network: nn.Module, shape: Backbone, method: str) -> None:
        self._network: Any = network
        self._shape = shape
        self._offset = _DINO_OFFSET if method in _DINO_LIKE else 0.0
        self._patch = shape.patch or 1
        side = shape.window // self._patch
        self._stored: Any = self._network.rel_pos_bias if shape.kind == "beit" else self._network.pos_embed
        self._made: dict[tuple[int, int], Any] = {(side, side): self._stored}
        self._side = side

    def fit(self, height: int, width: int) -> None:
        """Put the table for an input of this size, multiples of the patch, into the network."""
        grid = (height // self._patch, width // self._patch)
        if grid not in self._made:
            if len(self._made) > _KEPT_SIZES:
                self._made = {(self._side, self._side): self._stored}
            with torch.inference_mode(False), torch.no_grad():
                self._made[grid] = self._fitted(grid)
        if self._shape.kind == "beit":
            self._network.rel_pos_bias = self._made[grid]
        else:
            self._network.pos_embed = self._made[grid]
        self._network.patch_embed.set_input_size(img_size=(height, width))

    def _fitted(self, grid: tuple[int, int]) -> Any:
        if self._shape.kind != "beit":
            return nn.Parameter(resize_positions(self._stored, grid, self._offset), requires_grad=False)
        from timm.models.beit import RelativePositionBias

        stored = self._stored.relative_position_bias_table
        module = RelativePositionBias(grid, stored.shape[1])
        table = resize_bias(stored, (self._side, self._side), grid)
        module.relative_position_bias_table = nn.Parameter(table, requires_grad=False)
        return module.to(stored.device)


def resize_positions(table: Tensor, grid: tuple[int, int], offset: float = 0.0) -> Tensor:
    """Interpolate the position table of a ViT to another grid of patches.

    Bicubic, align_corners=False, without antialiasing, as SSL4EO-S12@2156913c does for MAE and MoCo-v3
    (transfer_classification/models/mae/util/pos_embed.py:75-96). timm's own resampling antialiases, with another cubic
    kernel: at 256 instead of 224 pixels its table differs by 1.3 % of the deviation of MAE's (10 % at most).

    Args:
        table: (1, 1 + n, D), the class token first, n patches of a square.
        grid: rows and columns of patches.
        offset: what DINO adds to rows and columns (0.1); 0 for the others.

    Returns:
        (1, 1 + rows * columns, D).
    """
    side, width = math.isqrt(table.shape[1] - 1), table.shape[2]
    if grid == (side, side):
        return table.detach()
    square = table[:, 1:].detach().float().cpu().reshape(1, side, side, width).permute(0, 3, 1, 2)
    scale = [(cells + offset) / side for cells in grid] if offset else None
    size = None if offset else grid
    resized = nn.functional.interpolate(square, size=size, scale_factor=scale, mode="bicubic", align_corners=False)
    patches = resized.permute(0, 2, 3, 1).reshape(1, grid[0] * grid[1], width)
    return torch.cat([table[:, :1].detach(), patches.to(table.device, table.dtype)], dim=1)


def resize_bias(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Interpolate BEiT's table of biases by relative position to another grid of patches.

    As SSL4EO-S12@2156913c does for data2vec (transfer_classification/linear_BE_data2vec.py:447-507, after BEiT): the
    stored offsets are spread so that their distances grow geometrically and the farthest ones meet, and a cubic spline
    through them is read at whole offsets. Along a side that is no longer than the stored one, offsets keep their place.

    Args:
        table: ((2 * rows - 1) * (2 * columns - 1) + 3, heads); the last three rows are for the class token.
        old: rows and columns of patches that the table is for.
        new: those wanted.

    Returns:
        The table for `new`.
    """
    from scipy.interpolate import RectBivariateSpline

    rows, columns = 2 * old[0] - 1, 2 * old[1] - 1
    places = [_spread(cells - 1, wanted - 1) for cells, wanted in zip(old, new, strict=True)]
    wanted = [np.arange(1 - cells, cells, dtype=np.float64) for cells in new]
    values = table.detach().double().cpu().numpy()
    heads = [
        # What scipy says replaces its interp2d of kind "cubic", which the authors call, on a regular grid.
        RectBivariateSpline(places[0], places[1], head.reshape(rows, columns), s=0)(wanted[0], wanted[1]).ravel()
        for head in values[:-3].T
    ]
    resized = torch.from_numpy(np.stack(heads, axis=1)).to(table.device, table.dtype)
    return torch.cat([resized, table[-3:].detach()])


def _spread(stored: int, wanted: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Place the offsets -stored ... stored so that the last one comes to lie at `wanted`, if that is farther."""
    from scipy.optimize import brentq

    steps = np.arange(stored)
    # The authors look for the ratio between 1.01 and 1.5; 1.5 spreads 13 offsets over 387.
    ratio = 1.0 if wanted <= stored else float(brentq(lambda q: (q**steps).sum() - wanted, 1.0, 2.0))
    distances = np.cumsum(ratio**steps)
    return np.concatenate([-distances[::-1], [0.0], distances])


def sincos_writer(table: Tensor) -> Literal["mae", "moco"] | None:
    """Say whose fixed sine-cosine table this is, or None; to compare only.

    Both hold, for each patch, sine and cosine of one coordinate and then of the other. In MAE's the column comes first
    (numpy's meshgrid, models/mae/util/pos_embed.py:22-67), in MoCo-v3's the row (torch's, models/moco_v3/vits.py:48-71;
    both in SSL4EO-S12@2156913c, pretrain_ssl).

    Args:
        table: (1, 1 + n, D), the class token first.
    """
    if table.ndim != 3 or table.shape[2] % 4:
        return None
    side, quarter = math.isqrt(table.shape[1] - 1), table.shape[2] // 4
    if side * side + 1 != table.shape[1]:
        return None
    angle = torch.arange(side)[:, None] * _TEMPERATURE ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    wave = torch.cat([angle.sin(), angle.cos()], dim=1)
    by_row = wave[:, None].expand(side, side, -1)
    by_column = wave[None].expand(side, side, -1)
    found = table[0, 1:].double().reshape(side, side, -1)
    if torch.allclose(found, torch.cat([by_column, by_row], dim=2), atol=1e-3):
        return "mae"
    return "moco" if torch.allclose(found, torch.cat([by_row, by_column], dim=2), atol=1e-3) else None
