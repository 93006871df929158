# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify a whole scene: rows of blocks are decoded once, while the tiles of those before are worked on."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ssl4eo.errors import InputError
from ssl4eo.features.levelfile import BLOCK
from ssl4eo.features.memory import held_memory
from ssl4eo.features.sampling import support
from ssl4eo.grid import Window
from ssl4eo.labels.mapping.tile import Folded, TilePlan, classify_tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level

__all__ = ["classify_strips"]

# Columns of a tile: logits of ten classes over 32 rows then stay in the cache. With many classes fewer, so that the
# logits of a tile's cells stay below 20 MB.
_COLUMNS, _FEWER_COLUMNS, _MANY_CLASSES = 512, 128, 64
# Bands that one thread decodes at a time, so that the many bands of a level keep all threads busy.
_BANDS = 8

Strip = tuple[Window, "NDArray[np.uint8]", "NDArray[np.uint8] | None"]
_Tile = tuple["NDArray[np.uint8]", "NDArray[np.uint8] | None"]


def classify_strips(
    features: FeatureSet, plan: TilePlan, *, confidence: bool = False, threads: int | None = None
) -> Iterator[Strip]:
    """Yield windows of the full width from top to bottom, with class codes (H, W) and confidence (H, W) in percent.

    The bytes of three strips are in memory at a time: of a scene of 10980 pixels across with four levels of 64
    components 0.5 GB.

    Args:
        features: the feature set.
        plan: of `plan_tiles`.
        confidence: whether to yield the probability of the class, 255 where level 0 is nodata; else None.
        threads: how many work; None takes all processors.

    Raises:
        InputError: when a level cannot be read.
    """
    grid = features.grid
    strips = [grid.clip(Window(0, row, grid.width, BLOCK)) for row in range(0, grid.height, BLOCK)]
    columns = _COLUMNS if len(plan.bias) <= _MANY_CLASSES else _FEWER_COLUMNS
    with (
        held_memory(),
        ThreadPoolExecutor(threads or os.cpu_count() or 1, "classify") as pool,
        threadpool_limits(limits=1, user_api="blas"),
    ):
        rows = _Rows(plan, pool)
        working: deque[tuple[Window, list[Future[_Tile]]]] = deque()
        try:
            rows.fetch(strips[0])
            for strip, following in zip(strips, [*strips[1:], None], strict=True):
                rows.wait(strip)
                if following is not None:
                    # Asked for before the tiles of this strip, so that it is there when they are done.
                    rows.fetch(following)
                tiles = (Window(col, strip.row, columns, strip.height) for col in range(0, grid.width, columns))
                done = [
                    pool.submit(classify_tile, plan, grid.clip(tile), rows.read, confidence=confidence)
                    for tile in tiles
                ]
                working.append((strip, done))
                if len(working) > 1:
                    yield _joined(*working.popleft())
                    rows.forget_before(strip)
            yield _joined(*working.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _joined(strip: Window, done: list[Future[_Tile]]) -> Strip:
    results = [future.result() for future in done]
    sure = [confidence for _, confidence in results if confidence is not None]
    codes = np.concatenate([codes for codes, _ in results], axis=1)
    return strip, codes, np.concatenate(sure, axis=1) if sure else None


class _Rows:
    """The bytes of the levels, by rows of blocks, each decoded once."""

    def __init__(self, plan: TilePlan, pool: ThreadPoolExecutor) -> None:
        self._parts, self._pool = plan.parts, pool
        self._blocks: dict[tuple[int, int], tuple[NDArray[np.uint8], list[Future[None]]]] = {}

    def fetch(self, strip: Window) -> None:
        """Have what a strip needs decoded."""
        for part in self._parts:
            level = part.level
            for block in self._needed(part, strip):
                if (level.index, block) in self._blocks:
                    continue
                height = min(BLOCK, level.grid.height - block * BLOCK)
                stored = np.empty((level.components, height, level.grid.width), np.uint8)
                bands = [slice(at, at + _BANDS) for at in range(0, level.components, _BANDS)]
                jobs = [self._pool.submit(_decode, level, block * BLOCK, stored, band) for band in bands]
                self._blocks[level.index, block] = stored, jobs

    def wait(self, strip: Window) -> None:
        """Wait until all that a strip needs is there."""
        for part in self._parts:
            for block in self._needed(part, strip):
                for job in self._blocks[part.level.index, block][1]:
                    job.result()

    def forget_before(self, strip: Window) -> None:
        """Drop what neither a strip nor those below it need."""
        first = {part.level.index: self._needed(part, strip).start for part in self._parts}
        self._blocks = {key: value for key, value in self._blocks.items() if key[1] >= first[key[0]]}

    def read(self, level: Level, row: int, row_stop: int, col: int, col_stop: int) -> NDArray[np.uint8]:
        """Return bytes (C, h, w) of rows that were fetched."""
        pieces = []
        for block in range(row // BLOCK, (row_stop - 1) // BLOCK + 1):
            stored, _ = self._blocks[level.index, block]
            start = max(row - block * BLOCK, 0)
            pieces.append(stored[:, start : row_stop - block * BLOCK, col:col_stop])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    @staticmethod
    def _needed(part: Folded, strip: Window) -> range:
        """Return the numbers of the rows of blocks of a level that a strip needs."""
        _, rows = part.positions(Window(0, strip.row, 1, strip.height))
        first, stop = support(rows, part.level.grid.height)
        return range(first // BLOCK, (stop - 1) // BLOCK + 1)


def _decode(level: Level, row: int, stored: NDArray[np.uint8], bands: slice) -> None:
    numbers = list(range(bands.start + 1, min(bands.stop, level.components) + 1))
    try:
        with rasterio.open(level.path) as dataset:
            window = RasterioWindow(0, row, stored.shape[2], stored.shape[1])
            dataset.read(numbers, window=window, out=stored[bands])
    except RasterioIOError as error:
        raise InputError(f"{level.path} cannot be read ({error}); encode the scene again.") from error
