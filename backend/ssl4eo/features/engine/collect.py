# SPDX-License-Identifier: GPL-2.0-or-later
"""Gather what batches became into the bytes of whole units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.features.engine.blend import Blend
from ssl4eo.features.engine.cells import bytes_of
from ssl4eo.features.tiling import cells_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from ssl4eo.features.engine.forward import Batch
    from ssl4eo.features.run import Run
    from ssl4eo.features.tiling import Unit
    from ssl4eo.grid import Window

__all__ = ["Collector", "Made"]


@dataclass(frozen=True)
class Made:
    """What a batch became.

    Attributes:
        batch: without its pixels.
        levels: per tile and level of the network, bytes (K, h, w) of a ResNet, or steps that are not rounded yet, a
            tensor (K, h, w), of a transformer; before it is `rounded`, features (C, h, w) or steps.
        valid: per tile and level (h, w).
        shares: per tile, how much of what the network saw is valid.
        projected: whether the levels are no features any more.
        rounded: whether they are what the collector takes.
    """

    batch: Batch
    levels: list[list[Any]]
    valid: list[list[NDArray[np.bool_]]]
    shares: list[float]
    projected: bool = False
    rounded: bool = False


class Collector:
    """Takes batches in order and gives the bytes of each unit when its last batch is in."""

    def __init__(self, run: Run, regions: Sequence[Sequence[tuple[int, Window | None]]], device: torch.device) -> None:
        """Start with nothing.

        Args:
            run: the run.
            regions: per unit and level the components and the cells.
            device: where windows are blended.
        """
        self._run, self._regions, self._device = run, regions, device
        self._shallow = run.count - len(run.deep)
        self._unit: Unit | None = None
        self._levels: list[NDArray[np.uint8] | None] = []
        self._blend: Blend | None = None
        self._empty = True

    def add(self, made: Made) -> list[NDArray[np.uint8] | None] | None:
        """Take a batch; return the levels of its unit (K, h, w) if that is complete, all None when it is nodata."""
        piece = made.batch.piece
        if self._unit is not piece.unit:
            self._begin(piece.unit)
        for tile, levels, valid, share in zip(made.batch.tiles, made.levels, made.valid, made.shares, strict=True):
            self._empty = False
            if self._blend is None:
                area = tile.keep
                for number, level in enumerate(levels):
                    self._put_cells(number, area, level)
            else:
                self._blend.add((tile.keep.col - piece.unit.own.col) // self._stride, levels, valid[0], share)
        if not made.batch.last:
            return None
        for number, (cells, level, known) in enumerate(piece.levels):
            self._empty = self._empty and not known.any()
            self._put(number, cells, level)
        if not piece.last:
            return None
        if self._blend is not None:
            self._put_blended(piece.unit, self._blend)
        return [None] * len(self._levels) if self._empty else self._levels

    @property
    def _stride(self) -> int:
        return self._run.deep[0].stride

    def _begin(self, unit: Unit) -> None:
        self._unit, self._empty = unit, True
        self._levels = [
            None if cells is None else np.zeros((count, cells.height, cells.width), np.uint8)
            for count, cells in self._regions[unit.number]
        ]
        if self._run.card.shape.patch is None or self._blend is not None:
            return
        cells = unit.tiles[0].keep.width // self._stride
        counts = [count for count, _ in self._regions[unit.number][self._shallow :]]
        width = unit.own.width // self._stride
        self._blend = Blend(cells, width, counts, self._device, overlap=self._run.mode.overlap)

    def _put_blended(self, unit: Unit, blend: Blend) -> None:
        steps, valid = blend.take(unit.own.height // self._stride)
        # The row before may have left valid cells where this one has no tile.
        self._empty = self._empty and not valid.any()
        for number, level in enumerate(steps):
            self._put_cells(number, unit.own, bytes_of(level, valid))

    def _put_cells(self, number: int, area: Window, values: NDArray[np.uint8]) -> None:
        """Put the cells of an area into a level of the network, numbered from its first."""
        cells = cells_of(area, self._run.deep[number].stride)
        if cells is not None:
            self._put(self._shallow + number, cells, values)

    def _put(self, number: int, cells: Window, values: NDArray[Any]) -> None:
        region, target = self._regions[self._unit.number][number][1] if self._unit else None, self._levels[number]
        common = None if region is None else region.intersect(cells)
        if target is None or region is None or common is None:
            return
        rows, cols = common.shift(-region.col, -region.row).slices
        source_rows, source_cols = common.shift(-cells.col, -cells.row).slices
        target[:, rows, cols] = values[:, source_rows, source_cols]
