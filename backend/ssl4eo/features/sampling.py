# SPDX-License-Identifier: GPL-2.0-or-later
"""Bilinear interpolation of a level at any place, with missing cells left out of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["interpolate_grid", "interpolate_points", "neighbours", "support"]


def support(positions: NDArray[np.float64], size: int) -> tuple[int, int]:
    """Return first and one-past-last cell that bilinear interpolation at `positions` reads, within 0..size.

    Args:
        positions: fractional cell positions along one axis; the centre of cell 0 is 0.5.
        size: number of cells along the axis.
    """
    first = int(np.floor(positions.min() - 0.5))
    last = int(np.floor(positions.max() - 0.5)) + 1
    return min(max(first, 0), size - 1), min(max(last, 0), size - 1) + 1


def interpolate_grid(
    values: NDArray[np.float32], cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate at the crossings of `rows` and `cols`.

    Positions beyond the outermost centres take the outermost value. Where cells are NaN, the others' weights are
    scaled up; where all four are, the result is NaN.

    Args:
        values: (C, h, w), NaN in all C where a cell is missing.
        cols: fractional positions across; the centre of the first cell is 0.5.
        rows: the same, down.

    Returns:
        (C, len(rows), len(cols)) float32.
    """
    across, down = _weights(cols, values.shape[2]), _weights(rows, values.shape[1])
    present = np.isfinite(values[0])
    if present.all():
        return _separable(values, across, down)
    total = _separable(present[None].astype(np.float32), across, down)[0]
    filled = _separable(np.where(present, values, 0).astype(np.float32), across, down)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, filled / total, np.float32(np.nan)).astype(np.float32)


def interpolate_points(
    values: NDArray[np.float32], cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate at points, as `interpolate_grid`.

    Args:
        values: (C, h, w), NaN in all C where a cell is missing.
        cols: (N,) fractional positions across; the centre of the first cell is 0.5.
        rows: (N,) the same, down.

    Returns:
        (N, C) float32.
    """
    (col, next_col, right), (row, next_row, below) = (
        neighbours(cols, values.shape[2]),
        neighbours(rows, values.shape[1]),
    )
    weighted = np.zeros((len(cols), values.shape[0]), np.float64)
    total = np.zeros(len(cols))
    for r, c, weight in (
        (row, col, (1 - below) * (1 - right)),
        (row, next_col, (1 - below) * right),
        (next_row, col, below * (1 - right)),
        (next_row, next_col, below * right),
    ):
        cell = values[:, r, c].T
        share = np.where(np.isfinite(cell[:, 0]), weight, 0)
        weighted += share[:, None] * np.nan_to_num(cell)
        total += share
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total[:, None] > 0, weighted / total[:, None], np.nan).astype(np.float32)


def neighbours(
    positions: NDArray[np.float64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the cells before and behind each fractional position (N,), and the share (N,) of the one behind.

    Args:
        positions: along one axis; the centre of cell 0 is 0.5. Those beyond the outermost centres take the outermost.
        size: number of cells along the axis.
    """
    centred = np.clip(np.asarray(positions, np.float64) - 0.5, 0, size - 1)
    first = np.minimum(np.floor(centred).astype(np.intp), max(size - 2, 0))
    return first, np.minimum(first + 1, size - 1), centred - first


def _weights(positions: NDArray[np.float64], size: int) -> sparse.csr_array:
    first, second, fraction = neighbours(positions, size)
    count = np.arange(len(first))
    return sparse.csr_array(
        (
            np.concatenate([1 - fraction, fraction]).astype(np.float32),
            (np.concatenate([count, count]), np.concatenate([first, second])),
        ),
        shape=(len(first), size),
    )


def _separable(values: NDArray[np.float32], across: sparse.csr_array, down: sparse.csr_array) -> NDArray[np.float32]:
    channels, height, width = values.shape
    # Columns first: the wide axis shrinks or grows once, on contiguous memory.
    stretched = (across @ values.reshape(-1, width).T).T.reshape(channels, height, -1)
    return np.stack([down @ channel for channel in stretched]).astype(np.float32)
