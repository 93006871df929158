# SPDX-License-Identifier: GPL-2.0-or-later
"""Put together the windows of a transformer that overlap: each counts most in its middle, and as much as it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ssl4eo.features.engine.cells import taper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Blend"]


class Blend:
    """Sums over a row of windows; the part that the next row overlaps stays for it.

    Projection and quantisation are linear and the weights of a cell add up to 1, so that blending what they give is
    blending features.
    """

    def __init__(
        self, cells: int, width: int, components: Sequence[int], device: torch.device, *, overlap: bool
    ) -> None:
        """Start with nothing.

        Args:
            cells: per side of a window.
            width: of the row, in cells.
            components: per level.
            device: where the sums are kept.
            overlap: whether windows overlap by half.
        """
        line = taper(cells) if overlap else np.ones(cells, np.float32)
        self._taper = torch.from_numpy(line[:, None] * line).to(device)
        self._sums = [torch.zeros((count, cells, width), device=device) for count in components]
        self._weight = torch.zeros((cells, width), device=device)
        self._valid = np.zeros((cells, width), np.bool_)

    def add(self, col: int, levels: Sequence[Tensor], valid: NDArray[np.bool_], share: float) -> None:
        """Add a window.

        Args:
            col: its first cell.
            levels: what its cells hold, (K, n, n) per level.
            valid: (n, n) which cells are no nodata.
            share: of its pixels, how many are valid: filled ones tell nothing of the place.
        """
        cols = slice(col, col + valid.shape[1])
        weight = self._taper * share
        for total, level in zip(self._sums, levels, strict=True):
            total[:, :, cols].addcmul_(level, weight)
        self._weight[:, cols] += weight
        self._valid[:, cols] |= valid

    def take(self, rows: int) -> tuple[list[Tensor], NDArray[np.bool_]]:
        """Return the first rows, (K, rows, width) per level and (rows, width) valid, and move the others up."""
        weight = self._weight[:rows].clamp(min=1e-12)
        done = [total[:, :rows] / weight for total in self._sums]
        valid = self._valid[:rows] & (self._weight[:rows] > 0).cpu().numpy()
        for total in (*self._sums, self._weight):
            left = total[..., rows:, :].clone()
            total.zero_()
            total[..., : left.shape[-2], :] = left
        left_valid = self._valid[rows:].copy()
        self._valid[:] = False
        self._valid[: len(left_valid)] = left_valid
        return done, valid
