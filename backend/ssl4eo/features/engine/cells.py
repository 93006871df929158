# SPDX-License-Identifier: GPL-2.0-or-later
"""From the network's output to bytes: crop or blend, project, round, and mask what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssl4eo.errors import InputError
from ssl4eo.features.projection import NODATA, to_bytes
from ssl4eo.features.tiling import cells_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.projection import Projection, Quantiser
    from ssl4eo.features.tiling import Tile

__all__ = ["Steps", "bytes_of", "kept", "require_numbers", "taper", "valid_cells"]

# A cell counts as valid when at least half of the pixels it stands for are.
_VALID_SHARE = 0.5
# Values that are projected at once: more would not stay in the processor's cache, and cost memory.
_FLOATS = 1 << 20


@dataclass(frozen=True)
class Steps:
    """Projection and quantisation as one linear map: features (C, ...) to steps (K, ...) that are rounded to bytes."""

    weights: Tensor | None
    gain: Tensor
    shift: Tensor

    @classmethod
    def of(cls, projection: Projection, quantiser: Quantiser, device: torch.device) -> Steps:
        """Join both on a device."""
        scale = quantiser.scale.astype(np.float64)
        weights = projection.components / scale[:, None]
        shift = -(weights @ projection.mean.astype(np.float64)) - quantiser.offset / scale

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        return cls(None if projection.whole else tensor(weights), tensor(1 / scale)[:, None], tensor(shift)[:, None])

    def apply(self, features: Tensor) -> Tensor:
        """Return steps (K, h, w) float32 of features (C, h, w)."""
        channels, height, width = features.shape
        steps = torch.empty((len(self.gain), height * width), device=features.device)
        flat = features.permute(1, 2, 0).reshape(-1, channels)
        at_once = max(1, _FLOATS // channels)
        for start in range(0, len(flat), at_once):
            cells = flat[start : start + at_once].float().T
            if self.weights is None:
                steps[:, start : start + at_once] = cells * self.gain + self.shift
            else:
                steps[:, start : start + at_once] = torch.addmm(self.shift, self.weights, cells)
        return steps.reshape(-1, height, width)


def kept(features: Tensor, tile: Tile, stride: int) -> Tensor:
    """Return the cells (..., h, w) of a tile's output that it keeps."""
    here = cells_of(tile.keep.shift(-tile.read.col, -tile.read.row), stride)
    if here is None:
        return features[..., :0, :0]
    rows, cols = here.slices
    return features[..., rows, cols]


def valid_cells(known: NDArray[np.bool_], stride: int, cell_centre: float) -> NDArray[np.bool_]:
    """Return whether at least half of the stride x stride square around each cell's centre is known.

    Args:
        known: (H, W) of the pixels that the network saw.
        stride: pixels per cell.
        cell_centre: where the centre of the first cell lies, in pixels.
    """
    height, width = known.shape[0] // stride, known.shape[1] // stride
    if known.all():
        return np.ones((height, width), np.bool_)
    before = int(stride / 2 - cell_centre + 0.5)
    padded = np.pad(known, ((before, 0), (before, 0)), mode="edge")
    blocks = padded[: height * stride, : width * stride].reshape(height, stride, width, stride)
    return np.asarray(blocks.mean(axis=(1, 3)) >= _VALID_SHARE)


def bytes_of(steps: Tensor, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return bytes (K, h, w) of steps (K, h, w); what is not valid (h, w) becomes `NODATA`."""
    if steps.device.type == "cpu":
        # Component by component, so that each stays in the processor's cache.
        rounded = np.empty(tuple(steps.shape), np.uint8)
        for source, target in zip(steps.numpy(), rounded, strict=True):
            target[...] = to_bytes(source)
    else:
        rounded = steps.round_().nan_to_num_(1.0).clamp_(1, 255).to(torch.uint8).cpu().numpy()
    if not valid.all():
        rounded[:, ~valid] = NODATA
    return rounded


def taper(cells: int) -> NDArray[np.float32]:
    """Return (cells,) weights that rise and fall in a line, so that windows that overlap by half add up to 1."""
    half = cells // 2
    rising = (np.arange(half, dtype=np.float32) + 0.5) / half
    return np.concatenate([rising, rising[::-1]])


def require_numbers(encoder: Encoder, features: Tensor) -> None:
    """Refuse an encoder that makes features (..., C, h, w) without a whole cell, though all its input is numbers."""
    # One cell of each tile tells: what is damaged in the weights reaches every cell.
    if not torch.isfinite(features[..., 0, 0]).all() and not torch.isfinite(features).all(dim=-3).any():
        raise InputError(
            f"{encoder.card.id} makes no numbers of valid pixels, so that its weights must be damaged; "
            f"run `ssl4eo weights verify {encoder.card.id}`, or download or import them again."
        )
