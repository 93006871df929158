# SPDX-License-Identifier: GPL-2.0-or-later
"""A session of the backend on a feature set: samples in, views out; opened anew when the backend lost it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import numpy as np
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine.errors import BackendUnreachable, EngineError, JobCancelled, RefusedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo_plugin.engine.client import Client
    from ssl4eo_plugin.engine.connection import Connection
    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["LiveSession", "View"]

# Seconds to wait for an answer: opening maps the level files, which may be read from a slow disk first.
_OPEN = 120.0
_QUICK = 20.0
# Seconds that saying goodbye may take.
_GOODBYE = 2.0
# Tries of one request: the first may find the backend gone, the second that it has no session yet.
_TRIES = 3
# Seconds in which a backend whose connection broke must have ended, and the step in which that is looked at.
_DYING, _STEP = 2.0, 0.1
# Names what the bytes of a view are.
_VIEW_HEADER = "X-Ssl4eo-View"

_Answer = TypeVar("_Answer")

translate = QCoreApplication.translate


@dataclass(frozen=True)
class View:
    """A window of the map: `planes` are `(height, width)` arrays by name, north up, over `bbox` in the scene's CRS."""

    bbox: tuple[float, float, float, float]
    width: int
    height: int
    revision: int
    planes: dict[str, np.ndarray]


class LiveSession:
    """Asks from one thread; a request that finds the backend or the session gone brings both back and is repeated."""

    def __init__(self, backend: BackendProcess, features: str, cancelled: Callable[[], bool]) -> None:
        """Prepare, without asking anything.

        Args:
            backend: Started on demand.
            features: The folder of the feature set.
            cancelled: Asked while the backend starts whether to give up.
        """
        self._backend = backend
        self._features = features
        self._cancelled = cancelled
        self._client: Client | None = None
        self._connection: Connection | None = None
        self._samples: dict[str, Any] | None = None
        self._stored = False
        # What the backend said of the session, and of the samples it has now; None when it has none.
        self.opened: dict[str, Any] | None = None
        self.fitted: dict[str, Any] | None = None

    def put(self, samples: dict[str, Any]) -> dict[str, Any]:
        """Give the backend the whole set of samples and return what it made of them.

        They are kept, and a session that is opened anew gets them without a word.
        """
        self._samples, self._stored = samples, False
        return self._insist(lambda: self.fitted or {})

    def view(self, request: dict[str, Any]) -> View:
        """Return a window of the map that the samples last put make.

        Args:
            request: `layer`, `bbox`, `width`, `height` and what else the layer takes.
        """
        return self._insist(lambda: self._fetch(request))

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask something else of the session, such as POST `/probe`."""
        return self._insist(lambda: self._talk(method, path, body, _QUICK))

    def interrupt(self) -> None:
        """End the request that is under way; from any thread."""
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def close(self) -> None:
        """Let the backend forget the session, if it is there to listen."""
        if self._connection is not None:
            self._connection.close()
        if self.opened is None or self._client is None or not self._backend.alive:
            return
        farewell = self._client.connect()
        try:
            farewell.ask("DELETE", self._path(), timeout=_GOODBYE)
        except EngineError:
            # It forgets with its own end at the latest.
            pass
        finally:
            farewell.close()
            self._forget()

    def _insist(self, request: Callable[[], _Answer]) -> _Answer:
        for last in (*[False] * (_TRIES - 1), True):
            try:
                self._open()
                return request()
            except RefusedRequest as error:
                if last or error.status not in (http.client.NOT_FOUND, http.client.CONFLICT):
                    raise
                # It was started anew and knows no sessions; or someone else put other samples.
                self._stored = False
                if error.status == http.client.NOT_FOUND:
                    self._forget()
            except BackendUnreachable:
                # One that lives but is silent is not asked again: each try would wait as long.
                if last or not self._has_ended():
                    raise
                self._forget()
        raise AssertionError

    def _open(self) -> None:
        if self._cancelled():
            raise JobCancelled(translate("Engine", "Cancelled."))
        client = self._backend.ensure_client(self._cancelled)
        if client is not self._client:
            self._forget()
            if self._connection is not None:
                self._connection.close()
            self._client, self._connection = client, client.connect()
        if self.opened is None:
            self.opened = self._ask("POST", "/sessions", {"features": self._features}, _OPEN)
            self._stored = False
        if self._samples is not None and not self._stored:
            self.fitted = self._talk("PUT", "/samples", self._samples, _QUICK)
            self._stored = True

    def _fetch(self, request: dict[str, Any]) -> View:
        revision = self.fitted["revision"] if self.fitted is not None else None
        body = {**request, "revision": revision}
        headers, content = self._connection.fetch("POST", f"{self._path()}/view", body, timeout=_QUICK)
        try:
            return _read_view(headers[_VIEW_HEADER], content)
        except (ValueError, KeyError, TypeError) as error:
            sentence = translate("Engine", "The backend sent an unreadable view ({}); update plugin and backend.")
            raise EngineError(sentence.format(error)) from error

    def _talk(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        return self._ask(method, f"{self._path()}{path}", body, timeout)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        return self._connection.ask(method, path, body, timeout=timeout)

    def _path(self) -> str:
        return f"/sessions/{quote(self.opened['id'], safe='')}"

    def _forget(self) -> None:
        self.opened = self.fitted = None
        self._stored = False

    def _has_ended(self) -> bool:
        for _step in range(round(_DYING / _STEP)):
            if self._cancelled():
                return False
            if self._backend.ended(within=_STEP):
                return True
        return False


def _read_view(header: str, content: bytes) -> View:
    said = json.loads(header)
    shape, start, planes = (said["height"], said["width"]), 0, {}
    for plane in said["planes"]:
        dtype = np.dtype(plane["dtype"])
        planes[plane["name"]] = np.frombuffer(content, dtype, shape[0] * shape[1], start).reshape(shape)
        start += planes[plane["name"]].nbytes
    return View(tuple(said["bbox"]), said["width"], said["height"], said["revision"], planes)
