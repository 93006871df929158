# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the level files from the units that are done, each row of blocks as soon as it is complete."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np

from ssl4eo.features.levelfile import BLOCK, LevelFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from ssl4eo.features.engine.records import Records
    from ssl4eo.features.tiling import LevelGrid
    from ssl4eo.grid import Window

__all__ = ["Assembler"]

# Bytes that are put together at once.
_BUFFER = 64_000_000


class Assembler:
    """Writes levels from records; a context manager.

    Files are written in one order from the first row to the last, whatever interrupted the run, so that their bytes
    are always the same.
    """

    def __init__(
        self,
        records: Records,
        regions: Sequence[Sequence[tuple[int, Window | None]]],
        files: Sequence[LevelFile],
        grids: Sequence[LevelGrid],
    ) -> None:
        """Take open level files.

        Args:
            records: where the bytes are.
            regions: per unit and level the components and the cells.
            files: per level, to be written.
            grids: per level.
        """
        self._records, self._regions, self._files, self._grids = records, regions, files, grids
        self._next = [0] * len(files)
        self._stopped = False
        self._stack = ExitStack()
        for file in files:
            self._stack.enter_context(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def advance(self, done: int) -> None:
        """Write what is complete when `done` units are."""
        for level, grid in enumerate(self._grids):
            complete = self._complete(level, done)
            while self._next[level] < grid.window.height and not self._stopped:
                row = self._next[level]
                stop = min(row + BLOCK, grid.window.height)
                if stop > complete:
                    break
                self._write(level, row, stop, done)
                self._next[level] = stop

    def stop(self) -> None:
        """Let `advance`, in whatever thread, write no further row: the run is given up."""
        self._stopped = True

    def finish(self) -> None:
        """Close the files and make their overviews."""
        for file in self._files:
            file.finish()

    def _complete(self, level: int, done: int) -> int:
        """Return how many rows of a level no later unit touches."""
        grid = self._grids[level].window
        rows = [
            cells.row - grid.row for _, cells in (unit[level] for unit in self._regions[done:]) if cells is not None
        ]
        return min(rows, default=grid.height)

    def _write(self, level: int, row: int, stop: int, done: int) -> None:
        grid = self._grids[level].window
        touching = [
            (unit, cells)
            for unit in range(done)
            if (cells := self._regions[unit][level][1]) is not None
            and cells.row - grid.row < stop
            and cells.row_stop - grid.row > row
        ]
        components = self._regions[0][level][0]
        at_once = max(1, _BUFFER // ((stop - row) * grid.width))
        for first in range(0, components, at_once):
            count = min(at_once, components - first)
            buffer = np.zeros((count, stop - row, grid.width), np.uint8)
            for unit, cells in touching:
                found = self._records.read(unit, level, first, count)
                if found is not None:
                    _place(buffer, found, cells.shift(-grid.col, -grid.row - row))
            self._files[level].write(row, first, buffer)


def _place(buffer: NDArray[np.uint8], values: NDArray[np.uint8], cells: Window) -> None:
    """Put values (k, h, w) at `cells` of a buffer (k, H, W), as far as they lie in its rows."""
    top, stop = max(cells.row, 0), min(cells.row_stop, buffer.shape[1])
    buffer[:, top:stop, cells.col : cells.col_stop] = values[:, top - cells.row : stop - cells.row]
