# SPDX-License-Identifier: GPL-2.0-or-later
"""Clocks around functions of the engine, put there from outside while something is measured."""

from __future__ import annotations

import functools
import importlib
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Spent", "Timers"]


@dataclass
class Spent:
    """What calls took, without what calls inside them took that have a clock of their own.

    Attributes:
        wall: seconds, added over all threads; waiting for others counts.
        cpu: seconds that the calling threads kept a core busy; the math library's own threads do not count.
        calls: how many.
    """

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0


class Timers:
    """Adds up what functions take, by the name of the part that they belong to."""

    def __init__(self, settle: Callable[[], None], settled: str) -> None:
        """Start with nothing.

        Args:
            settle: waits for the device.
            settled: the part whose calls leave work to the device, which is theirs.
        """
        self.spent: dict[str, Spent] = {}
        self._settle, self._settled = settle, settled
        self._lock, self._local = threading.Lock(), threading.local()

    @contextmanager
    def around(self, parts: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Put clocks around functions while the block runs.

        Args:
            parts: per part the functions, as "module:name" or "module:Class.name".
        """
        before: list[tuple[Any, str, Any]] = []
        try:
            for part, names in parts.items():
                self.spent.setdefault(part, Spent())
                for name in names:
                    module, _, path = name.partition(":")
                    owner: Any = importlib.import_module(module)
                    *inner, attribute = path.split(".")
                    for step in inner:
                        owner = getattr(owner, step)
                    function = getattr(owner, attribute)
                    before.append((owner, attribute, function))
                    setattr(owner, attribute, self._timed(part, function))
            yield
        finally:
            for owner, attribute, function in reversed(before):
                setattr(owner, attribute, function)

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            # Per call under way in this thread, what the calls inside it took.
            inside = self._local.__dict__.setdefault("inside", [])
            inside.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                result = function(*args, **kwargs)
                if part == self._settled:
                    self._settle()
                return result
            finally:
                wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
                inner_wall, inner_cpu = inside.pop()
                if inside:
                    inside[-1][0] += wall
                    inside[-1][1] += cpu
                with self._lock:
                    spent = self.spent[part]
                    spent.wall += wall - inner_wall
                    spent.cpu += cpu - inner_cpu
                    spent.calls += 1

        return timed
