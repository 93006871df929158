# SPDX-License-Identifier: GPL-2.0-or-later
"""Wait for work in other threads so that a cancel is heard at once, and keep a bounded number of results ahead."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["in_order", "wait_for"]

# A cancel is heard within this many seconds, however long the work under way takes.
_HEARTBEAT = 0.2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def wait_for(future: Future[_Result], heartbeat: Callable[[], None]) -> _Result:
    """Return the result of a future; calls `heartbeat`, which may raise, while it is not there."""
    while True:
        heartbeat()
        try:
            return future.result(timeout=_HEARTBEAT)
        except NotYet:
            # The work itself may raise the same error.
            if future.done():
                raise


def in_order(
    pool: Executor,
    items: Iterable[_Item],
    work: Callable[[_Item], _Result],
    ahead: int,
    heartbeat: Callable[[], None],
) -> Iterator[_Result]:
    """Yield the results of `work` in the order of `items`, with at most `ahead` more under way or waiting."""
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield wait_for(pending.popleft(), heartbeat)
        while pending:
            yield wait_for(pending.popleft(), heartbeat)
    finally:
        for future in pending:
            future.cancel()
