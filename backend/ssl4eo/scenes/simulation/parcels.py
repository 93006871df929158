# SPDX-License-Identifier: GPL-2.0-or-later
"""Parcels of the simulated landscape: districts of parallel strips, cut across at random lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ssl4eo.scenes.simulation.layout import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ParcelCells", "Parcels"]

# Metres: arable parcels of central Europe; one district is land that was once divided up together.
_DISTRICT, _WIDTH, _LENGTH = 1100.0, (60.0, 240.0), (140.0, 520.0)
# Metres by which boundaries leave the straight line, over some hundred metres.
_WANDER = 12.0
# Parcels share this many sets of random properties; two parcels with the same are too far apart to be seen together.
_PROPERTIES = 4096


@dataclass(frozen=True)
class ParcelCells:
    """Per cell: which set of properties its parcel has, and metres from its left and its near boundary."""

    properties: NDArray[np.int32]
    across: NDArray[np.float32]
    along: NDArray[np.float32]


class Parcels:
    """Divides a square into parcels; `values(k)` are random properties in [0, 1) by parcel."""

    def __init__(self, rng: np.random.Generator, size: int, pixel: float) -> None:
        """Divide a square of `size` pixels of `pixel` metres."""
        side = size * pixel
        count = max(3, round((side / _DISTRICT) ** 2))
        self._pixel = pixel
        self._wander = _WANDER * smooth_noise(rng, size, 30), _WANDER * smooth_noise(rng, size, 30)
        seeds = cKDTree(rng.uniform(0, side, (count, 2)))
        centres = (np.arange(size) + 0.5) * pixel
        grid = np.stack(np.meshgrid(centres, centres), axis=-1)
        # Borders of districts follow roads and streams: the same wandering, four times as strong.
        grid += 4 * np.stack(self._wander, axis=-1)
        self._district = seeds.query(grid.reshape(-1, 2))[1].reshape(size, size).astype(np.int32)
        self._angle = rng.uniform(0, math.pi, count).astype(np.float32)
        self._origin = rng.uniform(0, side, (2, count)).astype(np.float32)
        self._edges = _boundaries(rng, _WIDTH, 4 * side), _boundaries(rng, _LENGTH, 4 * side)
        self._shift = rng.uniform(0, _LENGTH[1], _PROPERTIES).astype(np.float32)
        self._random = rng.random((8, _PROPERTIES), np.float32)

    def values(self, k: int) -> NDArray[np.float32]:
        """Return the k-th random property of each set, to be indexed by `ParcelCells.properties`."""
        return np.asarray(self._random[k])

    def cells(self, rows: NDArray[np.int32], cols: NDArray[np.int32], x: NDArray[np.float32],
              y: NDArray[np.float32]) -> ParcelCells:  # fmt: skip
        """Say for cells at metres (`y`, `x`), in the pixels (`rows`, `cols`), which parcel they are in."""
        at = np.ix_(rows, cols)
        district = self._district[at]
        xs, ys = x[None, :] + self._wander[0][at], y[:, None] + self._wander[1][at]
        cos, sin = np.cos(self._angle)[district], np.sin(self._angle)[district]
        side = 2 * self._district.shape[0] * np.float32(self._pixel)
        u = xs * cos + ys * sin + self._origin[0][district] + side / 2
        v = ys * cos - xs * sin + self._origin[1][district] + side / 2
        strip, across = _divide(u, self._edges[0])
        v = v + self._shift[(strip * 31 + district * 7) % _PROPERTIES]
        piece, along = _divide(v, self._edges[1])
        # A mix of large primes spreads neighbours over the sets (Teschner et al. 2003, spatial hashing).
        properties = ((district * 73856093) ^ (strip * 19349663) ^ (piece * 83492791)) & 0x7FFFFFFF
        return ParcelCells((properties % _PROPERTIES).astype(np.int32), across, along)


def _boundaries(rng: np.random.Generator, size: tuple[float, float], extent: float) -> NDArray[np.float32]:
    steps = rng.uniform(*size, math.ceil(extent / size[0]) + 2)
    return np.cumsum(steps, dtype=np.float64).astype(np.float32)


def _divide(position: NDArray[np.float32], edges: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    index = np.searchsorted(edges, position).astype(np.int32).clip(1, len(edges) - 1)
    return index, (position - edges[index - 1]).astype(np.float32)
