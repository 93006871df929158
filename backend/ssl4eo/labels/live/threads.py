# SPDX-License-Identifier: GPL-2.0-or-later
"""The threads that draw views, and a math library that starts none of its own beside them."""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["each", "plain_blas", "scratch"]


@cache
def _pool() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores or 1, thread_name_prefix="live")


def each(work: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    """Return `work(item)` of each item in order, done by as many threads as there are cores.

    Never call it from `work` itself: all threads would wait for one of them.
    """
    return list(_pool().map(work, items))


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.float32]] = {}


_scratch = _Scratch()


def scratch(name: str, *shape: int) -> NDArray[np.float32]:
    """Return an array of this thread that holds anything, the same memory under the same name each time.

    glibc maps a new array of this size anew, and the system fills it with zeros first.
    """
    size = math.prod(shape)
    buffer = _scratch.buffers.get(name)
    if buffer is None or buffer.size < size:
        buffer = _scratch.buffers[name] = np.empty(size, np.float32)
    return buffer[:size].reshape(shape)


class _Plain:
    """Counts who needs a math library of one thread, and puts it back when none does any more.

    The limit is one of the process: two threads that set and reset it by themselves could leave it in place.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limiter: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limiter = _controller().limit(limits=1, user_api="blas")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limiter.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds: once.
    return ThreadpoolController()


_plain = _Plain()


@contextmanager
def plain_blas() -> Iterator[None]:
    """Let the math library work in the calling thread alone.

    Its own threads serve one caller after the other: with them a view took two to ten times as long.
    """
    _plain.enter()
    try:
        yield
    finally:
        _plain.leave()
