# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the backend over HTTP; every failure is one sentence in an `EngineError`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine.connection import Connection
from ssl4eo_plugin.engine.errors import BackendUnreachable, EngineError

__all__ = ["BackendUnreachable", "Client", "EngineError"]

# Seconds to wait for an answer. A state of a job is at hand at once, but the interpreter of the backend can
# be held by a long native call; opening a scene or listing the encoders may read much from a slow disk.
_QUICK = 20.0
_SLOW = 120.0

translate = QCoreApplication.translate


class Client:
    """The backend at one address. One connection per request, so any thread may use it."""

    def __init__(self, url: str, token: str) -> None:
        """Talk to `url` (`http://127.0.0.1:PORT`) with the bearer `token`."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise EngineError(
                translate(
                    "Engine", "“{}” is not the address of a backend; it reads like http://127.0.0.1:8000."
                ).format(url)
            )
        self.url = url
        self._host, self._port = parts.hostname, parts.port
        self._token = token

    def health(self) -> dict[str, Any]:
        """Return `{"status", "version", "protocol"}`."""
        return self._ask("GET", "/health", timeout=_QUICK)

    def models(self) -> list[dict[str, Any]]:
        """Return the encoder cards, each a dictionary with `id`, `title`, `available`, `state` and more."""
        cards: list[dict[str, Any]] = self._ask("GET", "/models", timeout=_SLOW)["models"]
        return cards

    def remove(self, encoder: str) -> dict[str, Any]:
        """Delete the weights of an encoder from the backend's folder."""
        return self._ask("DELETE", f"/weights/{quote(encoder, safe='')}", timeout=_SLOW)

    def inspect(self, scene: str, **overrules: object) -> dict[str, Any]:
        """Return what the file or folder `scene` is.

        Args:
            scene: What GDAL opens, or a folder of band files.
            overrules: What the user knows better: `bands` (names by number), `scale`, `offset`, `nodata`, `level`,
                `unit`; None leaves one open.
        """
        return self._ask("POST", "/inspect", {"scene": str(scene), **overrules}, timeout=_SLOW)

    def submit(self, kind: str, params: dict[str, Any]) -> dict[str, Any]:
        """Queue a job, such as `encode`, `classify` or `weights_download`, and return it with its `id`."""
        return self._ask("POST", "/jobs", {"kind": kind, "params": params}, timeout=_SLOW)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job: `state`, `progress` from 0 to 1, `message`, `result`, `error`."""
        return self._ask("GET", f"/jobs/{quote(job_id, safe='')}", timeout=_QUICK)

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask a job to stop; it ends at its next report."""
        return self._ask("DELETE", f"/jobs/{quote(job_id, safe='')}", timeout=_QUICK)

    def connect(self) -> Connection:
        """Return a connection that stays open between requests, for one thread."""
        return Connection(self.url, self._host, self._port, self._token)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float) -> dict[str, Any]:
        connection = self.connect()
        try:
            return connection.ask(method, path, body, timeout=timeout)
        finally:
            connection.close()
