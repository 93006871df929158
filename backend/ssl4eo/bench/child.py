# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode in a process of its own, whose memory nothing else has used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.weights import weights_folder
from ssl4eo.errors import InputError, Ssl4eoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from ssl4eo.jobs import Progress

__all__ = ["encode_in_child"]

# A cancel is heard within this many seconds.
_HEARTBEAT = 0.2
# How long a process that was told to end may take to remove what it was writing.
_GRACE = 10.0


def encode_in_child(arguments: Sequence[str], fraction: float, message: str, progress: Progress) -> dict[str, Any]:
    """Run `ssl4eo encode` with these arguments and return what it prints with --json.

    Args:
        arguments: after "encode".
        fraction: what `progress` is told while it runs.
        message: the same.
        progress: may raise Cancelled; the process is then ended.

    Raises:
        InputError: what the command refuses, in its own words.
        Ssl4eoError: when it fails otherwise.
    """
    command = [sys.executable, "-m", "ssl4eo", "encode", *arguments, "--json"]
    environment = {**os.environ, "SSL4EO_WEIGHTS": str(weights_folder())}
    # Files, because a pipe that nobody empties stops the process.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # This interpreter with arguments of ours.
        with subprocess.Popen(command, stdout=out, stderr=err, env=environment) as process:  # noqa: S603
            try:
                while process.poll() is None:
                    progress(fraction, message)
                    _wait(process, _HEARTBEAT)
            finally:
                _end(process)
        if process.returncode == 0:
            result: dict[str, Any] = json.loads(_text(out))
            return result
        said = _text(err).strip().splitlines()
    sentence = said[-1].removeprefix("Error: ") if said else f"it ended with the exit code {process.returncode}"
    kind = InputError if process.returncode == InputError.exit_code else Ssl4eoError
    raise kind(sentence if sentence.endswith(".") else f"Encoding in a process of its own failed: {sentence}.")


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    _wait(process, _GRACE)
    if process.poll() is None:
        process.kill()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")
