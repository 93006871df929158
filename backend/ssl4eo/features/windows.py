# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a transformer over windows of the size it was pre-trained on, and put together what each window keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder

__all__ = ["encode_windows"]

# Tokens that run at once: 20 windows of 14 x 14 patches, 16 of 16 x 16. With float32 on a CPU the largest encoder,
# ViT-H/14, then needs 0.6 GB beside its weights of 2.5 GB.
_TOKENS = 4096


def encode_windows(
    encoder: Encoder, pixels: Tensor, wanted: NDArray[np.bool_]
) -> list[tuple[int, NDArray[np.float32]]]:
    """Encode the windows of one tile.

    A window keeps its cells within the halo. One ring of the halo's cells is kept too where no other window owns
    them, so that values can be interpolated up to the edge of what was encoded.

    Args:
        encoder: a transformer.
        pixels: normalised (C, H, W) of a tile with the halo around it.
        wanted: (n, n) which windows to run, row by row.

    Returns:
        Per level the stride and features (C, H / stride, W / stride) float32, NaN where no window was run.
    """
    import torch

    shape = encoder.backbone
    keep = shape.window - 2 * shape.halo
    places = [(int(row), int(col)) for row, col in np.argwhere(wanted)]
    at_once = max(1, _TOKENS // (shape.window // (shape.patch or shape.window)) ** 2)
    parts: list[list[NDArray[np.float32]]] = [[] for _ in shape.strides]
    for start in range(0, len(places), at_once):
        batch = torch.stack([
            pixels[:, row * keep : row * keep + shape.window, col * keep : col * keep + shape.window]
            for row, col in places[start : start + at_once]
        ])  # fmt: skip
        for part, (_, features) in zip(parts, encoder.pyramid(batch), strict=True):
            part.append(features.cpu().numpy())
    return [
        (stride, _assemble(np.concatenate(part), places, pixels.shape[1] // stride, shape.halo // stride))
        for stride, part in zip(shape.strides, parts, strict=True)
    ]


def _assemble(
    blocks: NDArray[np.float32], places: list[tuple[int, int]], side: int, margin: int
) -> NDArray[np.float32]:
    """Put blocks (B, C, n, n) onto a canvas (C, side, side), first with a ring of their margin, then what they own."""
    canvas = np.full((blocks.shape[1], side, side), np.nan, np.float32)
    owned = blocks.shape[2] - 2 * margin
    for ring in (1, 0):
        inner = slice(margin - ring, margin + owned + ring)
        for block, (row, col) in zip(blocks, places, strict=True):
            top, left = row * owned + margin - ring, col * owned + margin - ring
            size = owned + 2 * ring
            canvas[:, top : top + size, left : left + size] = block[:, inner, inner]
    return canvas
