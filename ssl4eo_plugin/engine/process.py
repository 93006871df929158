# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the backend when it is first needed, and sees to it that it ends with QGIS."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil

# The one place where the plugin starts another program: the backend, by the command in the user's settings.
import subprocess  # nosec B404
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine import logs
from ssl4eo_plugin.engine.client import Client
from ssl4eo_plugin.engine.environment import clean_environment, find_backend
from ssl4eo_plugin.engine.errors import EngineError, JobCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackendProcess"]

# The interface this plugin speaks; the backend's first line names its own.
PROTOCOL = 1
# Seconds: a first start reads several hundred megabytes of libraries, on a slow disk with a virus scanner.
_START_LIMIT = 180.0
# Seconds between closing its stdin, asking it to terminate, and killing it.
_PATIENCE = 3.0

translate = QCoreApplication.translate


class BackendProcess:
    """The backend as a child process; any thread may use it, but only worker threads `ensure_client`."""

    def __init__(self, command: list[str] | None = None, log_folder: Path | None = None) -> None:
        """Prepare, without starting anything.

        Args:
            command: What starts the backend; found by `find_backend` at each start when not given.
            log_folder: Where the backend's messages go; the QGIS profile when not given.
        """
        self._command = command
        self._log_folder = log_folder
        self._lock = threading.RLock()
        self._interrupted = threading.Event()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self.log: Path | None = None

    @property
    def alive(self) -> bool:
        """Whether the backend runs."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process identifier of the running backend."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ensure_client(self, cancelled: Callable[[], bool] = lambda: False) -> Client:
        """Return a client of the running backend, starting it when it does not run.

        Blocks for the seconds a start takes, so never call it where it would hold up the window.

        Args:
            cancelled: Asked ten times a second whether to give up.

        Raises:
            EngineError: When the backend cannot be started.
            JobCancelled: When `cancelled` said so.
        """
        while not self._lock.acquire(timeout=0.1):
            if cancelled():
                raise JobCancelled(translate("Engine", "Cancelled."))
        try:
            if self._closed:
                raise EngineError(translate("Engine", "The SSL4EO plugin was closed; enable it again to go on."))
            if self._client is None or not self.alive:
                self._end()
                self._client = self._start(cancelled)
            return self._client
        finally:
            self._lock.release()

    def stop(self) -> None:
        """End the backend; the next `ensure_client` starts it anew."""
        self._interrupted.set()
        with self._lock:
            self._interrupted.clear()
            self._end()

    def close(self) -> None:
        """End the backend for good."""
        self._closed = True
        self.stop()

    def ended(self, within: float = 0.0) -> bool:
        """Return whether the backend has ended, waiting up to `within` seconds for a dying one."""
        process = self._process
        if process is None:
            return True
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ending(self) -> str:
        """Say in a few words why the backend ended."""
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return translate("Engine", "it was asked to")
        if code < 0:
            # Killed from outside, so its last message is not the reason.
            return translate("Engine", "ended by signal {}").format(-code)
        words = logs.last_line(self.log) if self.log else ""
        return words or translate("Engine", "ended with code {}").format(code)

    def _start(self, cancelled: Callable[[], bool]) -> Client:
        command = find_backend() if self._command is None else self._command
        token = secrets.token_urlsafe(32)
        folder = Path(tempfile.mkdtemp(prefix="ssl4eo-"))
        try:
            token_file = folder / "token"
            # Never on the command line, which every user of the computer can read.
            token_file.touch(mode=0o600, exist_ok=False)
            token_file.write_text(token, encoding="ascii")
            hellos = self._launch([*command, "serve", "--watch-stdin", "--token-file", str(token_file)])
            client = Client(self._wait_for_hello(hellos, cancelled), token)
            client.health()
        except BaseException:
            self._end()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return client

    def _launch(self, command: list[str]) -> queue.Queue[dict[str, Any]]:
        self.log = logs.new_log(self._log_folder)
        hellos: queue.Queue[dict[str, Any]] = queue.Queue()
        # Appending, like the thread that logs stdout: else each would write over what the other wrote.
        with self.log.open("ab") as log:
            try:
                # No shell; the program is the one the user's settings, the plugin or the PATH name.
                self._process = subprocess.Popen(  # noqa: S603 # nosec B603
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=clean_environment(),
                    cwd=self.log.parent,
                    # Else Windows opens a console for it, and elsewhere a Ctrl+C meant for QGIS ends it.
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                    start_new_session=os.name != "nt",
                )
            except (OSError, ValueError) as error:
                sentence = translate(
                    "Engine", "The backend command “{}” cannot be run ({}); correct it in the settings."
                )
                reason = getattr(error, "strerror", None) or error
                raise EngineError(sentence.format(command[0], reason)) from error
        thread = threading.Thread(
            target=_read_output,
            args=(self._process.stdout, self.log, hellos),
            name="ssl4eo-output",
            daemon=True,
        )
        thread.start()
        return hellos

    def _wait_for_hello(self, hellos: queue.Queue[dict[str, Any]], cancelled: Callable[[], bool]) -> str:
        """Return the address the backend says it listens at."""
        give_up = time.monotonic() + _START_LIMIT
        while True:
            try:
                hello = hellos.get(timeout=0.1)
                break
            except queue.Empty:
                pass
            if not self.alive:
                sentence = translate("Engine", "The backend could not start ({}); its messages are in {}.")
                raise EngineError(sentence.format(self.ending(), self.log))
            if cancelled() or self._interrupted.is_set():
                raise JobCancelled(translate("Engine", "Cancelled."))
            if time.monotonic() > give_up:
                sentence = translate("Engine", "The backend did not start within {:.0f} s; its messages are in {}.")
                raise EngineError(sentence.format(_START_LIMIT, self.log))
        if hello.get("protocol") != PROTOCOL:
            sentence = translate(
                "Engine",
                "The backend speaks protocol {} and this plugin protocol {}; update the older one.",
            )
            raise EngineError(sentence.format(hello.get("protocol"), PROTOCOL))
        return str(hello.get("url", ""))

    def _end(self) -> None:
        """Close its stdin, wait, ask it to terminate, wait, kill it."""
        process, self._process, self._client = self._process, None, None
        if process is None:
            return
        if process.stdin is not None:
            # A pipe whose other end is gone is as closed as it can be.
            with contextlib.suppress(OSError):
                process.stdin.close()
        for insist in (process.terminate, process.kill, None):
            try:
                process.wait(_PATIENCE)
                break
            except subprocess.TimeoutExpired:
                if insist is not None:
                    insist()


def _read_output(stdout: IO[bytes], log: Path, hellos: queue.Queue[dict[str, Any]]) -> None:
    """Pass on the hello line, log the rest, and never let a full pipe hold up the backend."""
    with stdout, log.open("ab") as rest:
        for line in stdout:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict) and message.get("type") == "hello":
                hellos.put(message)
            else:
                rest.write(line)
                rest.flush()
