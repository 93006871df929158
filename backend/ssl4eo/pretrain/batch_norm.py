# SPDX-License-Identifier: GPL-2.0-or-later
"""Batch statistics of what the encoder will meet: large windows, not the small crops that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ssl4eo.encoders import get_card
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.errors import InputError
from ssl4eo.pretrain.datasets import CropSource

if TYPE_CHECKING:
    from ssl4eo.pretrain.datasets import Pixels

__all__ = ["recompute_batch_norm"]

# Sides of the windows, in pixels, the largest that fits first. Inference runs on windows of 640 pixels; at 128 the zero
# padding at the border, which small crops are full of, has lost most of its weight.
_SIDES = (128, 64)
# 20 x 32 windows: Wu and Johnson 2021 (arXiv:2105.07576, section 3.2) find some thousand samples ample, and a window
# holds many at every level.
_BATCHES, _BATCH = 20, 32


def recompute_batch_norm(backbone: nn.Module, pixels: Sequence[Pixels], region: int, seed: int) -> dict[str, int]:
    """Replace the running statistics of all BatchNorm layers by averages over large windows ("precise BN").

    Wu and Johnson 2021 (arXiv:2105.07576), sections 3.2 and 4: an exponential average over training lags behind the
    weights, and small crops have other statistics than large images.

    Args:
        backbone: takes normalised (B, 13, side, side).
        pixels: the scenes that it was trained on.
        region: a side that is known to fit, taken when no larger one does.
        seed: of the choice of windows.

    Returns:
        side, windows.
    """
    source = _largest(pixels, region)
    device = next(backbone.parameters()).device
    update_bn(_normalised(source, device, np.random.default_rng(seed)), backbone)
    backbone.eval()
    return {"side": source.size, "windows": _BATCHES * _BATCH}


def _largest(pixels: Sequence[Pixels], region: int) -> CropSource:
    for side in _SIDES:
        try:
            return CropSource(pixels, max(side, region))
        except InputError:
            continue
    return CropSource(pixels, region)


def _normalised(source: CropSource, device: torch.device, rng: np.random.Generator) -> Iterator[Tensor]:
    scaling = get_card(DEFAULT_ENCODER).scaling
    mean = torch.tensor(scaling.mean, device=device).view(-1, 1, 1)
    std = torch.tensor(scaling.std, device=device).view(-1, 1, 1)
    for _ in range(_BATCHES):
        yield (source.sample(_BATCH, rng).to(device) - mean) / std
