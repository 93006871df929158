# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the service: bind, say hello, serve, and stop cleanly on a signal or when the parent is gone."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import uvicorn

from ssl4eo import __version__
from ssl4eo.errors import InputError
from ssl4eo.jobs import JobQueue
from ssl4eo.service.app import create_app
from ssl4eo.service.auth import LOOPBACK_HOSTS
from ssl4eo.service.views import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["is_loopback", "serve"]

# Connections still open this long after a stop was asked are cut; an event stream ends by itself with its job.
_DRAIN_SECONDS = 25
# A job stops at its next report. One that hangs in native code must not keep the process alive without its parent.
_STOP_SECONDS = 30.0

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn's server, which says hello when it accepts requests and stops the jobs when it is told to stop."""

    def __init__(self, config: uvicorn.Config, queue: JobQueue, url: str) -> None:
        super().__init__(config)
        self._queue = queue
        self._url = url
        self._stop_lock = threading.Lock()
        self._stopping = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept requests, then say so on standard output."""
        await super().startup(sockets)
        hello = {"type": "hello", "protocol": PROTOCOL, "version": __version__, "url": self._url}
        # The hello line is all that standard output carries: a library that prints must not confuse its reader.
        output, sys.stdout = sys.stdout, sys.stderr
        output.write(json.dumps(hello) + "\n")
        output.flush()

    def stop(self, reason: str) -> None:
        """Stop accepting, cancel the jobs, and end the process even when a job does not let go."""
        with self._stop_lock:
            if self._stopping:
                return
            self._stopping = True
        _log.info("Stopping: %s.", reason)
        self.should_exit = True
        # Not on this thread: a signal handler runs on the one that must keep serving the last event streams.
        threading.Thread(target=self._queue.shutdown, name="shutdown", daemon=True).start()
        last_resort = threading.Timer(_STOP_SECONDS, os._exit, args=(1,))
        last_resort.daemon = True
        last_resort.start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM.

        uvicorn's own version raises the signal again after serving, which would skip the clean-up after it.
        """
        handled = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            handled.append(signal.SIGBREAK)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # On a thread of its own: the main thread may hold the very locks that logging and stopping take.
        threading.Thread(target=self.stop, args=(signal.Signals(number).name,), daemon=True).start()


def is_loopback(host: str) -> bool:
    """Return whether `host` is an address of this computer that no other can reach."""
    return host in ("127.0.0.1", "localhost", "::1")


def serve(host: str, port: int, token: str, *, watch: IO[bytes] | None = None) -> None:
    """Serve until a signal, or until `watch` ends.

    Args:
        host: address to listen on.
        port: 0 takes a free one; the hello line tells which.
        token: what every request must carry.
        watch: a pipe that the parent process holds open; its end means that the parent is gone.

    Raises:
        InputError: when the address cannot be listened on.
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    queue = JobQueue()
    app = create_app(queue, token, hosts=LOOPBACK_HOSTS if is_loopback(host) else None)
    config = uvicorn.Config(
        app,
        # One line per request would bury what matters: a client polls.
        access_log=False,
        ws="none",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = _Server(config, queue, url)
    if watch is not None:
        threading.Thread(target=_wait_for_end, args=(watch, server), name="watch", daemon=True).start()
    with listener:
        server.run(sockets=[listener])
    queue.shutdown()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(
            f"Cannot listen on {host} port {port} ({reason}); choose another --port (0 takes a free one) or --host."
        ) from error


def _wait_for_end(stream: IO[bytes], server: _Server) -> None:
    try:
        while stream.read(1024):
            pass
    except (OSError, ValueError):
        # A closed or broken pipe says the same as its end.
        pass
    server.stop("standard input was closed")
