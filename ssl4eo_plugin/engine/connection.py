# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to the backend, kept open between requests; every failure is one sentence in an `EngineError`."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine.errors import BackendUnreachable, EngineError, RefusedRequest

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["Connection"]

# What a server that closed an idle connection looks like to the next request on it.
_CLOSED_WHILE_IDLE = (http.client.RemoteDisconnected, ConnectionError)

translate = QCoreApplication.translate


class Connection:
    """Requests one after the other, from one thread; any thread may `interrupt`."""

    def __init__(self, url: str, host: str, port: int | None, token: str) -> None:
        """Prepare to talk to the backend at `url`; nothing is sent before the first request."""
        self._url = url
        self._http = http.client.HTTPConnection(host, port)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._interrupted = False

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float) -> dict[str, Any]:
        """Send a request and return the JSON object of its answer; nothing is {}.

        Raises:
            BackendUnreachable: When no answer came within `timeout` seconds, or none at all.
            RefusedRequest: When the backend said no, in its own sentence.
            EngineError: When what answers is not the backend.
        """
        status, _headers, content = self._exchange(method, path, body, timeout)
        return self._read(status, content)

    def fetch(self, method: str, path: str, body: dict[str, Any], *, timeout: float) -> tuple[Message, bytes]:
        """Send a request and return the headers and the bytes of its answer; raises what `ask` raises."""
        status, headers, content = self._exchange(method, path, body, timeout)
        if status >= http.client.BAD_REQUEST:
            self._read(status, content)
        return headers, content

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._http.close()

    def interrupt(self) -> None:
        """End the request that another thread waits for, and refuse further ones."""
        self._interrupted = True
        sock = self._http.sock
        if sock is not None:
            # It may have been closed a moment ago.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> tuple[int, Message, bytes]:
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode("utf-8")
            headers["Content-Type"] = "application/json"
        reused = self._http.sock is not None
        self._http.timeout = timeout
        if reused:
            self._http.sock.settimeout(timeout)
        try:
            try:
                return self._once(method, path, content, headers)
            except _CLOSED_WHILE_IDLE:
                # A server closes what stands idle for some seconds; a second refusal is a real one.
                self._http.close()
                if not reused or self._interrupted:
                    raise
                return self._once(method, path, content, headers)
        except TimeoutError as error:
            self._http.close()
            sentence = translate("Engine", "The backend at {} did not answer within {:.0f} s; try again.")
            raise BackendUnreachable(sentence.format(self._url, timeout)) from error
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            sentence = translate("Engine", "The backend at {} cannot be reached ({}); try again to start it anew.")
            raise BackendUnreachable(sentence.format(self._url, _reason(error))) from error

    def _once(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Message, bytes]:
        self._http.request(method, path, body=content, headers=headers)
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        if status == http.client.NO_CONTENT:
            return {}
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status == http.client.UNAUTHORIZED:
            sentence = translate(
                "Engine",
                "The backend at {} does not accept the token of this QGIS; restart QGIS to start its own.",
            )
            raise EngineError(sentence.format(self._url))
        if not isinstance(answer, dict):
            sentence = translate(
                "Engine",
                "What answers at {} (HTTP {}) is not the backend; check the backend command in the settings.",
            )
            raise EngineError(sentence.format(self._url, status))
        if status >= http.client.BAD_REQUEST:
            sentence = translate("Engine", "The backend answered HTTP {} without a reason; try again.")
            raise RefusedRequest(str(answer.get("error") or sentence.format(status)), status)
        return answer


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
