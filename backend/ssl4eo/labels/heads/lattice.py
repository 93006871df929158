# SPDX-License-Identifier: GPL-2.0-or-later
"""A few thousand cells that stand for an extent: spread over it, read from overviews where it is large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError
from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import neighbours, support

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level
    from ssl4eo.grid import Window
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.training import LevelScaling

__all__ = ["Lattice", "read_lattice"]

# Cells of a level that are read at most: 30 MB of 64 components, 0.1 s to decode.
_MOST = 700 * 700
# What an overview makes of the next finer one (features.levelfile).
_FACTOR = 4


@dataclass(frozen=True)
class Lattice:
    """N valid places of an extent.

    Attributes:
        places: (N, 2) column and row in pixels of level 0, the middles of what was read.
        values: per level (N, C) as stored, NaN where a level other than level 0 has no value.
        step: pixels along a side over which level 0 was averaged; 1 at full resolution.
    """

    places: NDArray[np.float64]
    values: tuple[NDArray[np.float32], ...]
    step: int

    def scaled(self, scalings: list[LevelScaling], scales: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (N, D) centred, scaled features of the levels whose scale is above 0, side by side."""
        used = [
            np.nan_to_num((value - scaling.mean) * (scaling.gain * scale))
            for value, scaling, scale in zip(self.values, scalings, scales, strict=True)
            if scale > 0
        ]
        return np.concatenate(used, axis=1).astype(np.float32)

    def logits(self, head: LinearHead) -> NDArray[np.float64]:
        """Return what a head says (N, K)."""
        total = np.tile(head.bias.astype(np.float64), (len(self.places), 1))
        for value, weights, shift in zip(self.values, head.weights, head.shifts, strict=True):
            if weights is not None:
                total += np.nan_to_num(value @ weights.T + shift)
        return total


def read_lattice(features: FeatureSet, window: Window, count: int, rng: np.random.Generator) -> Lattice:
    """Read about `count` places of a window of level 0, one at random in each square of a regular division.

    Raises:
        InputError: when a level cannot be read.
    """
    step = _step(window.width, window.height)
    across = max(1, min(window.width // step, round(np.sqrt(count * window.width / window.height))))
    down = max(1, min(window.height // step, count // across))
    cols, rows = np.meshgrid(np.arange(across), np.arange(down))
    jitter = rng.random((2, down, across))
    col = window.col + ((cols + jitter[0]) * window.width / across) // step * step + step / 2
    row = window.row + ((rows + jitter[1]) * window.height / down) // step * step + step / 2
    places = np.stack([col.ravel(), row.ravel()], axis=1)
    places = np.minimum(places, [window.col_stop - 0.5, window.row_stop - 0.5])
    xs, ys = features.grid.xy(places[:, 0], places[:, 1])
    values = [_values(level, *level.grid.colrow(xs, ys)) for level in features.levels]
    valid = np.isfinite(values[0][:, 0])
    return Lattice(places[valid], tuple(value[valid] for value in values), step)


def _step(width: int, height: int) -> int:
    step = 1
    while width * height > _MOST * step**2:
        step *= _FACTOR
    return step


def _values(level: Level, cols: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return bilinear values (N, C) at fractional cells, from an overview where many cells lie between the places."""
    (col, col_stop), (row, row_stop) = support(cols, level.grid.width), support(rows, level.grid.height)
    width, height = col_stop - col, row_stop - row
    step = _step(width, height)
    shape = (level.components, -(-height // step), -(-width // step))
    try:
        with rasterio.open(level.path) as dataset:
            stored = dataset.read(window=RasterioWindow(col, row, width, height), out_shape=shape)
    except RasterioIOError as error:
        raise InputError(f"{level.path} cannot be read ({error}); encode the scene again.") from error
    # Bytes, and only those that are asked for, become numbers: the others are many times more.
    left, right, east = neighbours((cols - col) * shape[2] / width, shape[2])
    above, below, south = neighbours((rows - row) * shape[1] / height, shape[1])
    total, weight = np.zeros((len(cols), level.components), np.float32), np.zeros(len(cols), np.float32)
    for r, c, share in (
        (above, left, (1 - south) * (1 - east)),
        (above, right, (1 - south) * east),
        (below, left, south * (1 - east)),
        (below, right, south * east),
    ):
        steps = stored[:, r, c].T
        known = np.where(steps[:, 0] != NODATA, share, 0).astype(np.float32)
        total += steps * known[:, None]
        weight += known
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(weight[:, None] > 0, total / weight[:, None], np.nan)
    return np.asarray(mean * level.scale + level.offset, np.float32)
