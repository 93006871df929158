# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the backend over HTTP; every failure is one sentence in an `EngineError`."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlsplit

from qgis.PyQt.QtCore import QCoreApplication

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
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

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

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float) -> dict[str, Any]:
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, path, body=content, headers=headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except TimeoutError as error:
            sentence = translate("Engine", "The backend at {} did not answer within {:.0f} s; try again.")
            raise BackendUnreachable(sentence.format(self.url, timeout)) from error
        except (OSError, http.client.HTTPException) as error:
            sentence = translate("Engine", "The backend at {} cannot be reached ({}); try again to start it anew.")
            raise BackendUnreachable(sentence.format(self.url, _reason(error))) from error
        finally:
            connection.close()
        return self._read(status, text)

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status == http.client.UNAUTHORIZED:
            sentence = translate(
                "Engine",
                "The backend at {} does not accept the token of this QGIS; restart QGIS to start its own.",
            )
            raise EngineError(sentence.format(self.url))
        if not isinstance(answer, dict):
            sentence = translate(
                "Engine",
                "What answers at {} (HTTP {}) is not the backend; check the backend command in the settings.",
            )
            raise EngineError(sentence.format(self.url, status))
        if status >= http.client.BAD_REQUEST:
            sentence = translate("Engine", "The backend answered HTTP {} without a reason; try again.")
            raise EngineError(str(answer.get("error") or sentence.format(status)))
        return answer


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
