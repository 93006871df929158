# SPDX-License-Identifier: GPL-2.0-or-later
"""A small server that speaks the sessions of the backend, for tests that decide when it answers, forgets and dies."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import threading
from typing import Any

import numpy as np

from ssl4eo_plugin.engine.client import Client

# What the map says everywhere, and how surely: the class whose number the last sample's class has.
SURE = 200


class LiveServer:
    """A backend process, as the plugin sees one, whose sessions live in this process; `die` loses them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any] | None]] = []
        self.started = 0
        self.connections = 0
        self.message = ""
        # Cleared to let requests wait; what waits is counted.
        self.go = threading.Event()
        self.go.set()
        self.waiting = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._client: Client | None = None
        self._sessions: dict[str, dict[str, Any]] = {}

    # What the plugin calls.

    @property
    def alive(self) -> bool:
        return self._server is not None

    def ended(self, **_: float) -> bool:
        return self._server is None

    def ensure_client(self, *_: object) -> Client:
        if self._server is None:
            self.started += 1
            self._sessions = {}
            self._server = _Server(self)
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            self._client = Client(f"http://127.0.0.1:{self._server.server_address[1]}", "token")
        return self._client

    # What the tests call.

    def paths(self, word: str = "") -> list[str]:
        """Method and path of what was asked, with the number of the session left out."""
        said = [re.sub(r"/sessions/\w+", "", path) for _method, path, _body in self.asked]
        return [path for path in said if word in path]

    def bodies(self, word: str) -> list[dict[str, Any]]:
        return [body for _method, path, body in self.asked if path.endswith(word)]

    def die(self) -> None:
        """End as after kill -9: what is open breaks, and the sessions are lost."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for connection in server.open:
                connection.break_off()

    def forget(self) -> None:
        """Lose the sessions, but live on."""
        self._sessions = {}

    # What the sessions do.

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any] | None, bytes]:
        self.asked.append((method, path, body))
        self.waiting.set()
        assert self.go.wait(20)
        if (method, path) == ("POST", "/sessions"):
            name = f"s{len(self.asked)}"
            self._sessions[name] = {"revision": 0, "samples": [], "classes": []}
            return 201, {"id": name, **self._sessions[name]}, b""
        found = re.match(r"/sessions/(\w+)(/\w+)?", path)
        session = self._sessions.get(found[1])
        if session is None:
            return 404, {"error": "There is no such session; open it anew."}, b""
        if method == "DELETE":
            del self._sessions[found[1]]
            return 204, None, b""
        return getattr(self, f"_{found[2][1:]}")(session, body)

    def _samples(self, session: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any], bytes]:
        if any(sample["class"] == "refused" for sample in body["samples"]):
            return 400, {"error": "The class “refused” is refused; choose another."}, b""
        session.update(samples=body["samples"], classes=body["classes"], revision=session["revision"] + 1)
        ready = len({sample["class"] for sample in body["samples"]}) > 1
        return (
            200,
            {
                **session,
                "samples": len(body["samples"]),
                "ready": ready,
                "message": self.message,
                "reason": "why",
            },
            b"",
        )

    def _view(self, session: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any], bytes]:
        if body["revision"] != session["revision"]:
            return 409, {"error": "The samples have changed since."}, b""
        shape = body["height"], body["width"]
        if body["layer"] == "similarity":
            names = ["similarity"]
            planes = [np.full(shape, 1 + session["classes"].index(body["class"]), np.uint8)]
        else:
            names = ["class", "confidence"]
            code = 1 + session["classes"].index(session["samples"][-1]["class"])
            planes = [np.full(shape, code, np.uint8), np.full(shape, SURE, np.uint8)]
        said = {key: body[key] for key in ("bbox", "width", "height", "revision")}
        said["planes"] = [{"name": name, "dtype": "uint8"} for name in names]
        return 200, said, b"".join(plane.tobytes() for plane in planes)

    def _probe(self, session: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any], bytes]:
        name = session["samples"][-1]["class"]
        return 200, {"nodata": False, "class": name, "confidence": 0.8, "at": [body["x"], body["y"]]}, b""

    def _grow(self, _session: dict[str, Any], body: dict[str, Any]) -> tuple[int, dict[str, Any], bytes]:
        return 200, {"wkt": f"POLYGON(({body['x']} {body['y']}))", "pixels": 9}, b""

    def _suggestions(self, *_: object) -> tuple[int, dict[str, Any], bytes]:
        return 200, {"suggestions": [], "strategy": "typical"}, b""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, live: LiveServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.live = live
        self.open: list[_Handler] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.live.connections += 1
        self.server.open.append(self)

    def break_off(self) -> None:
        """Close both directions, so that whoever waits for an answer hears of it."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        # `do_GET` and the like are looked up by name.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, said, content = self.server.live.answer(self.command, self.path, body)
        if self.close_connection:
            return
        payload = content or (json.dumps(said).encode() if said is not None else b"")
        self.send_response(status)
        if content:
            self.send_header("X-Ssl4eo-View", json.dumps(said))
        if payload:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass
