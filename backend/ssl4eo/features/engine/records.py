# SPDX-License-Identifier: GPL-2.0-or-later
"""The units of a run that are done, on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ssl4eo.grid import Window

__all__ = ["Records"]

# What the journal holds of a unit: nothing yet, all nodata, or bytes with their checksum.
_OPEN, _EMPTY, _FULL = 0, 1, 2
_ENTRY = np.dtype([("state", "u1"), ("crc", "<u4")])


class Records:
    """One file of bytes with a fixed place for each unit, and a journal of which are there.

    The bytes of a unit are written before its entry in the journal. Killing the process loses none of what was
    written; should the computer lose power in between, the checksum tells.
    """

    def __init__(self, folder: Path, name: str, regions: Sequence[Sequence[tuple[int, Window | None]]]) -> None:
        """Open the files, or make them.

        Args:
            folder: where they lie.
            name: of the files.
            regions: per unit and level the components and the cells.
        """
        self._regions = regions
        sizes = [sum(k * w.width * w.height for k, w in unit if w is not None) for unit in regions]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self._path, self._journal = folder / f"{name}.bin", folder / f"{name}.done"
        blank = np.zeros(len(regions), _ENTRY).tobytes()
        self._path.touch()
        # After a loss of power a file may be there without its content.
        if not self._journal.exists() or self._journal.stat().st_size != len(blank):
            self._journal.write_bytes(blank)
        self._entries = np.frombuffer(bytearray(self._journal.read_bytes()), _ENTRY)
        self.done = self._intact()

    @property
    def size(self) -> int:
        """Bytes that the file will have."""
        return int(self._starts[-1])

    def write(self, unit: int, levels: Sequence[NDArray[np.uint8] | None]) -> None:
        """Write the next unit; `levels` are (K, h, w) per level, all None when the unit is nodata."""
        parts = [np.ascontiguousarray(level) for level in levels if level is not None]
        entry = np.zeros(1, _ENTRY)
        entry["state"] = _FULL if parts else _EMPTY
        if parts:
            with self._path.open("r+b") as stream:
                stream.seek(self._starts[unit])
                crc = 0
                for part in parts:
                    stream.write(part.data)
                    crc = zlib.crc32(part.data, crc)
            entry["crc"] = crc
        with self._journal.open("r+b") as stream:
            stream.seek(unit * _ENTRY.itemsize)
            stream.write(entry.tobytes())
        self._entries[unit] = entry[0]
        self.done = unit + 1

    def read(self, unit: int, level: int, first: int, count: int) -> NDArray[np.uint8] | None:
        """Return components `first` to `first + count` (count, h, w) of a level of a unit, or None for nodata."""
        components, cells = self._regions[unit][level]
        if cells is None or self._entries[unit]["state"] != _FULL:
            return None
        before = sum(k * w.width * w.height for k, w in self._regions[unit][:level] if w is not None)
        each = cells.width * cells.height
        count = min(count, components - first)
        with self._path.open("rb") as stream:
            stream.seek(self._starts[unit] + before + first * each)
            found = np.frombuffer(stream.read(count * each), np.uint8)
        return found.reshape(count, cells.height, cells.width)

    def _intact(self) -> int:
        """Return how many units from the first on are there and whole."""
        with self._path.open("rb") as stream:
            for unit, entry in enumerate(self._entries):
                size = self._starts[unit + 1] - self._starts[unit]
                if entry["state"] == _OPEN or (
                    entry["state"] == _FULL and zlib.crc32(stream.read(size)) != entry["crc"]
                ):
                    return unit
                stream.seek(self._starts[unit + 1])
        return len(self._entries)
