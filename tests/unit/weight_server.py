# SPDX-License-Identifier: GPL-2.0-or-later
"""A web server on this computer that behaves as badly as real ones: cut off, stalled, redirected, busy, changed."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Asked", "Behaviour", "File", "WeightServer", "forwarding_proxy", "wait_until"]

_WAIT_SECONDS = 30


@dataclass
class File:
    """What lies under a path: its bytes, its ETag ("" for none), and whether parts of it can be asked for."""

    body: bytes
    etag: str = '"one"'
    ranges: bool = True
    content_type: str = "application/octet-stream"
    tells_length: bool = True


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]


@dataclass
class Behaviour:
    """How one request is answered.

    Attributes:
        status: of the answer, instead of the file.
        headers: besides.
        cut: send so many bytes of the body and close.
        stall: send so many bytes of the body and wait until the server closes.
        portion: send so many bytes as a complete answer, where a range was asked for.
        swap: put another file under the path first.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: int | None = None
    portion: int | None = None
    swap: File | None = None


class WeightServer:
    """Files under paths; what `behave` queued is used up one request at a time, then the files are simply served."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.files: dict[str, File] = {}
        self.asked: list[Asked] = []
        self.stalled = threading.Event()
        self.closing = threading.Event()
        self._queued: dict[str, deque[Behaviour]] = defaultdict(deque)
        self._server = _serve(type("Handler", (_Handler,), {"owner": self}), certificate)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}"

    def behave(self, path: str, *behaviours: Behaviour) -> None:
        self._queued[path].extend(behaviours)

    def next_behaviour(self, path: str) -> Behaviour:
        queued = self._queued[path]
        return queued.popleft() if queued else Behaviour()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds that another thread or process brings about; fail after half a minute."""
    deadline = monotonic() + _WAIT_SECONDS
    while not condition():
        assert monotonic() < deadline, "what was waited for did not come"
        sleep(0.01)


def forwarding_proxy(seen: list[str]) -> http.server.ThreadingHTTPServer:
    """Return a running proxy that notes the addresses it was asked for and fetches them."""

    class Proxy(_Quiet):
        def do_GET(self) -> None:
            seen.append(self.path)
            parts = urlsplit(self.path)
            with socket.create_connection((parts.hostname or "", parts.port or 80)) as upstream:
                lines = [f"GET {parts.path} HTTP/1.0", *(f"{name}: {value}" for name, value in self.headers.items())]
                upstream.sendall("\r\n".join([*lines, "", ""]).encode())
                while block := upstream.recv(65536):
                    self.wfile.write(block)
            self.close_connection = True

    return _serve(Proxy)


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...


class _Threading(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that leave in the middle are what is tested."""


def _serve(handler: type[_Quiet], certificate: Path | None = None) -> http.server.ThreadingHTTPServer:
    server = _Threading(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class _Handler(_Quiet):
    """Answers for the server that a subclass names."""

    owner: WeightServer

    def do_GET(self) -> None:
        self.owner.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = urlsplit(self.path).path
        behaviour = self.owner.next_behaviour(path)
        if behaviour.swap is not None:
            self.owner.files[path] = behaviour.swap
        if behaviour.status is not None or path not in self.owner.files:
            self._answer(behaviour.status or 404, behaviour.headers, b"no file here")
            return
        file = self.owner.files[path]
        start = self._start(file)
        if start is not None and start >= len(file.body):
            self._answer(416, {"Content-Range": f"bytes */{len(file.body)}"}, b"")
            return
        self._send(file, start, behaviour)

    def _start(self, file: File) -> int | None:
        """Where the asked range begins, or None when the whole is sent."""
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not file.ranges or wanted is None or (condition is not None and condition != file.etag):
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _send(self, file: File, start: int | None, behaviour: Behaviour) -> None:
        stop = None if start is None or behaviour.portion is None else start + behaviour.portion
        body = file.body[start or 0 : stop]
        self.send_response(200 if start is None else 206)
        self.send_header("Content-Type", file.content_type)
        if file.etag:
            self.send_header("ETag", file.etag)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(file.body)}")
        if file.tells_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in behaviour.headers.items():
            self.send_header(name, value)
        self.end_headers()
        limit = behaviour.cut if behaviour.cut is not None else behaviour.stall
        self.wfile.write(body if limit is None else body[:limit])
        self.wfile.flush()
        if behaviour.stall is not None:
            self.owner.stalled.set()
            self.owner.closing.wait(_WAIT_SECONDS)
        if limit is not None or not file.tells_length:
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)
