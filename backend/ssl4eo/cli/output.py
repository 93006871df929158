# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command prints: its result on standard output, progress on standard error."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ssl4eo.jobs import Progress, no_progress

__all__ = ["print_json", "print_table", "quiet_stdout", "terminal_progress"]

# Ten updates a second look steady to the eye; more only slow a terminal down.
_REDRAW_SECONDS = 0.1


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object on one line; what is no finite number becomes null, for JSON has no NaN."""
    click.echo(json.dumps(_finite(result), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Send what libraries print to standard error, so that standard output holds the result alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def terminal_progress(*, as_json: bool) -> Iterator[Progress]:
    """Yield a progress: a line drawn over on a terminal, a line per tenth and wait elsewhere, none with --json."""
    if sys.stderr.isatty():
        line = _Line()
        try:
            yield line.report
        finally:
            line.end()
    elif as_json:
        yield no_progress
    else:
        yield _Tenths().report


class _Line:
    """One line on a terminal."""

    def __init__(self) -> None:
        self._drawn = 0.0
        self._message = ""

    def report(self, fraction: float, message: str = "") -> None:
        now = time.monotonic()
        changed = bool(message) and message != self._message
        self._message = message or self._message
        if not changed and now - self._drawn < _REDRAW_SECONDS and fraction < 1:
            return
        self._drawn = now
        # One column is left free: a full last column makes some terminals wrap.
        width = shutil.get_terminal_size().columns - 1
        text = f"{fraction:4.0%}  {self._message}"
        sys.stderr.write("\r" + text[:width].ljust(width))
        sys.stderr.flush()

    def end(self) -> None:
        if self._drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()


class _Tenths:
    """A line for each tenth of the work and for each wait, for logs."""

    def __init__(self) -> None:
        self._tenth = -1
        self._waiting = False

    def report(self, fraction: float, message: str = "") -> None:
        tenth = int(fraction * 10)
        waiting = message.startswith("Waiting") if message else self._waiting
        begins, self._waiting = waiting and not self._waiting, waiting
        if tenth > self._tenth or begins:
            self._tenth = max(tenth, self._tenth)
            click.echo(f"{fraction:4.0%}  {message}".rstrip(), err=True)
