# SPDX-License-Identifier: GPL-2.0-or-later
"""The sessions that are open: a few, the one that was used longest ago closed for a new one."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError
from ssl4eo.labels.live.session import Session, SessionGone

if TYPE_CHECKING:
    import os

__all__ = ["Registry", "UnknownSession"]

# Open at once. Each may keep 640 MB of decoded levels.
_MOST = 4


class UnknownSession(InputError):
    """There is no open session of that id."""


class Registry:
    """Sessions by id; for threads."""

    def __init__(self, most: int = _MOST) -> None:
        """Keep at most `most` sessions open."""
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def add(self, folder: str | os.PathLike[str]) -> str:
        """Open a session on a feature set and return its id.

        Raises:
            InputError: when the folder holds no feature set.
        """
        session, name = Session.open(folder), secrets.token_hex(8)
        with self._lock:
            self._open[name] = session
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return name

    def get(self, name: str) -> Session:
        """Return an open session, whose feature set is still what it was.

        Raises:
            UnknownSession: when there is none; the backend may have been restarted.
            SessionGone: when the feature set is gone or was encoded anew; the session is closed.
        """
        with self._lock:
            session = self._open.get(name)
            if session is not None:
                self._open.move_to_end(name)
        if session is None:
            raise UnknownSession(
                f"There is no session {name}; open one on the feature set, and send its samples again."
            )
        try:
            session.check()
        except SessionGone:
            self.close(name)
            raise
        return session

    def close(self, name: str) -> None:
        """Close a session.

        Raises:
            UnknownSession: when there is none.
        """
        with self._lock:
            if self._open.pop(name, None) is None:
                raise UnknownSession(f"There is no session {name}; it was closed, or belongs to an earlier run.")
