# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that keep what the backend writes while it runs, in the QGIS profile."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

from qgis.core import QgsApplication

__all__ = ["last_line", "new_log"]

# Enough to look back over some days, small enough to forget about.
_KEPT = 10
# Bytes at the end of a log in which its last telling line is looked for.
_TAIL = 16384
# Characters of a line that are worth quoting in a sentence.
_QUOTED = 240
# The server's notes on starting, serving and stopping say nothing about what went wrong.
_CHATTER = re.compile(r"(^|\s)(INFO|DEBUG)\b")


def new_log(folder: Path | None = None) -> Path:
    """Return the path of a new, empty log file; the oldest logs in its folder make room.

    Args:
        folder: Where to keep it; `ssl4eo/logs` in the QGIS profile when not given.
    """
    folder = folder or Path(QgsApplication.qgisSettingsDirPath()) / "ssl4eo" / "logs"
    stamp = f"backend-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".log", stamp, folder)
    except OSError:
        # A profile that cannot be written must not keep the backend from starting.
        handle, name = tempfile.mkstemp(".log", "ssl4eo-" + stamp)
    os.close(handle)
    _forget_old(Path(name))
    return Path(name)


def last_line(log: Path) -> str:
    """Return the last line of `log` that tells something, without its full stop, or "" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    telling = [line.strip() for line in lines if line.strip() and not _CHATTER.search(line)]
    return telling[-1].removeprefix("Error: ")[:_QUOTED].rstrip(".") if telling else ""


def _forget_old(newest: Path) -> None:
    logs = sorted((path for path in newest.parent.glob("*backend-*.log") if path != newest), key=_age, reverse=True)
    for path in logs[_KEPT - 1 :]:
        # Another QGIS may hold it open (Windows); it goes next time.
        with contextlib.suppress(OSError):
            path.unlink()


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
