# SPDX-License-Identifier: GPL-2.0-or-later
"""Arrays kept in memory up to a number of bytes: what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Memory"]

_Value = TypeVar("_Value")


class Memory(Generic[_Value]):
    """Keeps what was made lately; for threads.

    Two threads that miss the same thing at once both make it: that costs a little now and then, and spares waiting.
    """

    def __init__(self, most_bytes: int, size: Callable[[_Value], int]) -> None:
        """Keep at most `most_bytes`, and the newest even when it alone is larger; `size` tells bytes."""
        self._most = most_bytes
        self._size = size
        self._kept: OrderedDict[Hashable, _Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How much is kept."""
        return self._bytes

    def find(self, key: Hashable) -> _Value | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: Hashable, value: _Value) -> _Value:
        """Keep a value under a key, and return it."""
        with self._lock:
            before = self._kept.pop(key, None)
            self._bytes += self._size(value) - (0 if before is None else self._size(before))
            self._kept[key] = value
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= self._size(self._kept.popitem(last=False)[1])
        return value
