# SPDX-License-Identifier: GPL-2.0-or-later
"""Settlements of the simulated landscape: streets, houses on lots, gardens with trees, halls on sealed yards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.scenes.simulation.layout import Settlement

__all__ = ["SettlementCells"]

# Order of the kinds that `kinds` answers.
_ROOF, _HALL, _SEALED, _GARDEN, _TREE = range(5)

# Metres: blocks between streets, with houses along the long streets, one on each lot, and gardens behind them.
_BLOCK = (170.0, 85.0)
_STREET = 10.0
_LOT = 19.0
_FRONT = 12.0
# Shares of the blocks that are parks and that are commercial.
_PARKS, _HALL_BLOCKS = 0.06, 0.08


class SettlementCells:
    """Says what stands on each cell of a settlement."""

    def __init__(self, settlement: Settlement) -> None:
        """Lay out the streets along the settlement's direction."""
        self._settlement = settlement
        # The same streets in every strip of rows: what stands where comes from a hash of the place, not from a
        # stream of random numbers.
        self._salt = int(settlement.centre[0] * 10) * 2654435761 + int(settlement.centre[1] * 10)

    def kinds(self, x: NDArray[np.float32], y: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the kind of each cell at metres (`y`, `x`): roof, hall, sealed, garden or tree."""
        place = self._settlement
        dx, dy = x[None, :] - np.float32(place.centre[0]), y[:, None] - np.float32(place.centre[1])
        cos, sin = np.float32(math.cos(place.angle)), np.float32(math.sin(place.angle))
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        # 1 in the middle, 0 at the edge: houses are larger and closer there, and yards are paved.
        density = np.clip(1 - np.hypot(dx, dy) / np.float32(place.radius), 0, 1)
        block_u, in_u = np.divmod(u, _BLOCK[0])
        block_v, in_v = np.divmod(v, _BLOCK[1])
        use = self._random(block_u, block_v, 2)
        wooded = 0.1 + 0.35 * self._random(block_u, block_v, 7) * (1 - density)
        kinds = np.full(u.shape, _GARDEN, np.uint8)
        kinds[self._random(u // 7, v // 7, 1) < wooded] = _TREE
        paved = 0.08 + 0.35 * density
        kinds[(kinds == _GARDEN) & (rng.random(u.shape, np.float32) < paved)] = _SEALED
        kinds[self._houses(u, in_v, block_v, density) & (use >= _PARKS)] = _ROOF
        commercial = use > 1 - _HALL_BLOCKS
        kinds[commercial] = _SEALED
        hall = (in_u > 22) & (in_u < 22 + 30 + 80 * self._random(block_u, block_v, 3)) & (in_v > 20) & (in_v < 70)
        kinds[commercial & hall] = _HALL
        kinds[(in_u < _STREET) | (in_v < _STREET)] = _SEALED
        return kinds

    def _houses(
        self,
        u: NDArray[np.float32],
        in_v: NDArray[np.float32],
        block_v: NDArray[np.float32],
        density: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Houses face the street on either side of a block; nearer to the middle of the town they close up."""
        lot, in_lot = np.divmod(u, _LOT)
        far_side = in_v > (_BLOCK[1] + _STREET) / 2
        row = 2 * block_v + far_side
        from_street = np.where(far_side, _BLOCK[1] - in_v, in_v - _STREET)
        built = self._random(lot, row, 4) < 0.8 + 0.15 * density
        width = 9 + 4 * self._random(lot, row, 5) + 7 * density
        depth = 9 + 4 * self._random(lot, row, 6) + 9 * density
        across = np.abs(from_street - _FRONT - (1 - density) * 3)
        return np.asarray(built & (np.abs(in_lot - _LOT / 2) < width / 2) & (across < depth / 2))

    def _random(self, i: NDArray[np.float32], j: NDArray[np.float32], stream: int) -> NDArray[np.float32]:
        """Return a number in [0, 1) by place, the same whenever it is asked for."""
        a, b = i.astype(np.int64).astype(np.uint64), j.astype(np.int64).astype(np.uint64)
        key = a * np.uint64(0x9E3779B97F4A7C15) ^ b * np.uint64(0xC2B2AE3D27D4EB4F)
        key ^= np.uint64((self._salt + stream * 0x165667B19E3779F9) & 0xFFFFFFFFFFFFFFFF)
        # Finaliser of SplitMix64 (Steele, Lea, Flood 2014).
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray((key >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24))
