# SPDX-License-Identifier: GPL-2.0-or-later
"""A file of which only the beginning is here, and the note that says what it is the beginning of."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssl4eo.encoders.weights.client import Address, Head

__all__ = ["Beginning", "Partial"]


class Beginning(msgspec.Struct, frozen=True):
    """What a partial file is the beginning of.

    Attributes:
        url: the address, as it may be stored.
        validator: a strong ETag, or the date of the last change; "" where the server tells neither.
        total: bytes of the whole, or None where the server does not tell.
    """

    url: str
    validator: str
    total: int | None


class Partial:
    """A partial file and its note, `NAME.part` and `NAME.part.json`."""

    def __init__(self, path: Path) -> None:
        """Use `path`, which need not exist; its folder does."""
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    @property
    def length(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def beginning(self, address: Address) -> Beginning | None:
        """Return what the file is the beginning of, if an address can continue it.

        Without a validator it cannot: the rest of another file could be put behind it.
        """
        try:
            note = msgspec.json.decode(self._note.read_bytes(), type=Beginning)
        except (OSError, msgspec.DecodeError):
            return None
        fits = note.total is None or self.length <= note.total
        return note if note.url == str(address) and note.validator and self.length and fits else None

    def begin(self, address: Address, head: Head, total: int | None) -> None:
        """Note what the file, which is empty, becomes the beginning of."""
        # If-Range takes strong validators only (RFC 9110, section 13.1.5): a weak ETag may name two files.
        etag, changed = head.headers.get("etag", ""), head.headers.get("last-modified", "")
        validator = (etag if etag.startswith('"') else "") if etag else changed
        self._note.write_bytes(msgspec.json.encode(Beginning(str(address), validator, total)))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what has arrived when the block fails; an empty file is the beginning of nothing and goes."""
        try:
            yield
        except BaseException:
            if not self.length:
                self.forget()
            raise

    def forget(self) -> None:
        """Remove the file and its note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
