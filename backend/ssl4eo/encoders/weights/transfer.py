# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring one address into a partial file: continued after a break, tried again with patience, never mixed of two."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from ssl4eo.encoders.weights.answers import (
    PARTIAL_CONTENT,
    RANGE_UNFIT,
    NoFile,
    TryAgain,
    judge_error,
    judge_status,
    refuse_page,
)
from ssl4eo.encoders.weights.client import Exchange, Head, InsecureRedirect, make_client
from ssl4eo.files import output_errors, require_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo.encoders.weights.client import Address
    from ssl4eo.encoders.weights.partial import Beginning, Partial
    from ssl4eo.jobs import Progress

__all__ = ["Patience", "transfer"]

_MEGABYTE = 1e6
# Left free on the disk beside the file itself.
_SPARE_BYTES = 50_000_000
# A try that brings this much more than any before does not count against the patience.
_GAIN_BYTES = 1_000_000
# Tries of a host whose name cannot be looked up: one more for a look-up that was lost, none for a computer offline.
_NAMELESS_TRIES = 2
_REPORT_SECONDS = 0.1
_SLICE_SECONDS = 0.2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Patience:
    """How long and how often to try, in seconds.

    Attributes:
        tries: in a row without a megabyte gained.
        connect: for a connection.
        stall: without a byte before the connection is given up.
        first_pause: before the second try; doubled before each one after.
        longest_pause: also the most that is granted to a server that asks for a pause.
        sleep: called with seconds.
    """

    tries: int = 5
    connect: float = 15.0
    stall: float = 20.0
    first_pause: float = 1.0
    longest_pause: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


def transfer(address: Address, partial: Partial, *, expected_mb: float, patience: Patience, progress: Progress) -> None:
    """Bring the file at an address, whole, to `partial`, continuing what is there of it.

    Args:
        address: one with encryption never leads to one without.
        partial: where to; its folder exists.
        expected_mb: for the progress where the server tells no length.
        patience: how long and how often to try.
        progress: gets the fraction, megabytes and speed; when it raises, what arrived stays.

    Raises:
        NoFile: when the address gave no file, or none within the patience.
        OutputError: when the disk is too small or cannot be written.
        InputError: when the environment names a proxy or certificates that cannot be used.
    """
    sink = _Sink(partial, expected_mb, progress)
    start, tries = partial.length, 0
    furthest = start
    while True:
        try:
            _try_once(address, sink, patience)
        except TryAgain as fault:
            tries = 1 if partial.length >= furthest + _GAIN_BYTES else tries + 1
            furthest = max(furthest, partial.length)
            # A host that has sent something has a name: the network will come back.
            nameless = fault.nameless and partial.length == start
            limit = min(patience.tries, _NAMELESS_TRIES) if nameless else patience.tries
            if tries >= limit:
                raise NoFile(f"{fault} ({tries} tries)") from fault
            asked = patience.first_pause * 2 ** (tries - 1) if fault.wait is None else fault.wait
            reason = f"{address} {fault}; try {tries + 1} of {limit}"
            _pause(min(asked, patience.longest_pause), reason, sink, patience)
        else:
            return


def _try_once(address: Address, sink: _Sink, patience: Patience) -> None:
    partial = sink.partial
    before = partial.beginning(address)
    if before is None:
        partial.forget()
    elif partial.length == before.total:
        return
    headers = {"Range": f"bytes={partial.length}-", "If-Range": before.validator} if before else {}
    client = make_client(connect=patience.connect, stall=patience.stall, insecure=address.insecure)
    try:
        with Exchange(client, address.url, headers) as exchange, partial.kept():
            sink.say(f"Asking {address}")
            while not isinstance(head := exchange.wait(), Head):
                sink.say()
            judge_status(head)
            offset, total = _place(head, before, partial)
            if total is not None:
                require_space(partial.path.parent, total - offset + _SPARE_BYTES)
            sink.fill(exchange, head, address, offset, total)
    except (httpx2.HTTPError, InsecureRedirect, UnicodeError) as error:
        # A redirect may lead to a host whose name cannot be encoded.
        raise judge_error(error) from error


def _place(head: Head, before: Beginning | None, partial: Partial) -> tuple[int, int | None]:
    """Return from which byte on the body counts, and the bytes of the whole if the server tells them."""
    if head.status == RANGE_UNFIT:
        partial.forget()
        raise TryAgain("has no more bytes, though some are missing")
    if head.status != PARTIAL_CONTENT:
        length = head.headers.get("content-length", "")
        return 0, int(length) if length.isdecimal() else None
    match = _CONTENT_RANGE.fullmatch(head.headers.get("content-range", ""))
    offset = int(match[1]) if match else -1
    total = int(match[2]) if match and match[2] != "*" else None
    known = before.total if before else None
    if offset != partial.length or (total is not None and known is not None and total != known):
        partial.forget()
        raise TryAgain("answered with another part than the one asked for")
    return offset, known if total is None else total


class _Sink:
    """Writes what arrives behind what is there already, and tells how far it is."""

    def __init__(self, partial: Partial, expected_mb: float, progress: Progress) -> None:
        self.partial = partial
        self._progress = progress
        self._expected = max(expected_mb * _MEGABYTE, 1.0)

    def say(self, message: str = "") -> None:
        """Report without a new byte."""
        self._progress(min(self.partial.length / self._expected, 1.0), message)

    def fill(self, exchange: Exchange, head: Head, address: Address, offset: int, total: int | None) -> None:
        """Write the body from byte `offset` of the file to its end."""
        self._expected = total or self._expected
        size, path = offset, self.partial.path
        began = reported = time.monotonic()
        with output_errors(path), path.open("ab" if offset else "wb") as stream:
            if not offset:
                self.partial.begin(address, head, total)
            while (block := exchange.wait()) is not None:
                assert isinstance(block, bytes)
                if size == 0 and block:
                    refuse_page(block)
                stream.write(block)
                size += len(block)
                now = time.monotonic()
                if now - reported >= _REPORT_SECONDS:
                    reported = now
                    self._tell(size, total, (size - offset) / (now - began))
            # On the disk before a name says that it is complete.
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and size != total:
            raise TryAgain(f"sent {size} of {total} bytes")

    def _tell(self, size: int, total: int | None, speed: float) -> None:
        of = f" of {total / _MEGABYTE:.0f}" if total else ""
        message = f"Downloading: {size / _MEGABYTE:.1f}{of} MB, {speed / _MEGABYTE:.1f} MB/s"
        self._progress(min(size / self._expected, 1.0), message)


def _pause(seconds: float, reason: str, sink: _Sink, patience: Patience) -> None:
    """Wait in slices, so that a cancel is heard."""
    left = seconds
    while left > 0:
        sink.say(f"Waiting {left:.0f} s: {reason}")
        patience.sleep(min(left, _SLICE_SECONDS))
        left -= _SLICE_SECONDS
