# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of weights on this computer, and the record beside each file: where it came from and its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ssl4eo.errors import InputError, Ssl4eoError
from ssl4eo.jobs import Progress, no_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import FileLock

    from ssl4eo.encoders.cards import Card

__all__ = [
    "BUNDLED_RECORD",
    "LOCK",
    "RECORD",
    "Record",
    "Verified",
    "checksum",
    "folder_of",
    "held",
    "lock_of",
    "note",
    "read_record",
    "weights_folder",
    "weights_in",
    "write_record",
]

RECORD = "record.json"
# The hash of a bundled file, noted in the cache because the software's own folder may be read-only.
BUNDLED_RECORD = "bundled.json"
LOCK = ".lock"

Verified = Literal["published checksum", "tensors"]

_LOCK_SECONDS = 0.2
# Large enough that hashing runs at the disk's speed, small enough to answer a cancel at once.
_HASH_BLOCK = 1 << 22


class Record(msgspec.Struct, frozen=True):
    """What is known of a file of weights.

    Attributes:
        file: its name beside the record; the whole path for a bundled file.
        size: in bytes, when it was hashed last.
        mtime_ns: the same of its time of change, in nanoseconds.
        sha256: what its checksum must be.
        source: the address it was downloaded from, as it may be stored, or the file it was imported from.
        added: when, ISO 8601 in UTC.
        verified: how it was found to be the encoder's when it came.
        intact: whether it had its checksum when it was hashed last.
    """

    file: str
    size: int
    mtime_ns: int
    sha256: str
    source: str
    added: str
    verified: Verified
    intact: bool = True

    def is_of(self, status: os.stat_result) -> bool:
        """Return whether a file has the size and time of change that it had when it was hashed last."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


_instead: ContextVar[Path | None] = ContextVar("weights_in", default=None)


@contextlib.contextmanager
def weights_in(folder: Path) -> Iterator[None]:
    """Let `weights_folder` be another one while the block runs, for this thread alone: a download goes on elsewhere."""
    token = _instead.set(folder)
    try:
        yield
    finally:
        _instead.reset(token)


def weights_folder() -> Path:
    """Return the folder that holds the weights: SSL4EO_WEIGHTS, or `weights` in the user's data folder."""
    instead = _instead.get()
    if instead is not None:
        return instead
    override = os.environ.get("SSL4EO_WEIGHTS")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return platformdirs.user_data_path("ssl4eo", appauthor=False) / "weights"


def folder_of(card: Card) -> Path:
    """Return the folder of one encoder's weights; it need not exist."""
    return weights_folder() / card.id


def lock_of(card: Card) -> FileLock:
    """Return the lock that whoever changes the encoder's folder holds; makes the folder.

    Raises:
        InputError: when a file stands where the folder belongs.
        OutputError: when the folder cannot be made.
    """
    from filelock import FileLock

    from ssl4eo.files import output_errors

    folder = folder_of(card)
    try:
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} cannot be a folder, a file is in its way; name another in SSL4EO_WEIGHTS."
        ) from error
    return FileLock(folder / LOCK)


@contextlib.contextmanager
def held(card: Card, progress: Progress) -> Iterator[None]:
    """Hold `lock_of(card)` while the block runs; reports while another holds it, so that a cancel is heard.

    Raises:
        InputError: as `lock_of`.
        OutputError: when the folder or its lock cannot be written.
    """
    from filelock import Timeout

    from ssl4eo.files import output_errors

    lock = lock_of(card)
    while not lock.is_locked:
        try:
            with output_errors(folder_of(card)):
                lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            progress(0.0, f"Waiting: the weights of {card.id} are being downloaded or imported already")
    try:
        yield
    finally:
        lock.release()


def checksum(path: Path, progress: Progress = no_progress) -> str:
    """Return the sha256 of a file in hexadecimal digits; reports the fraction that is read."""
    digest, size, read = hashlib.sha256(), path.stat().st_size or 1, 0
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
            read += len(block)
            progress(read / size, f"Checking {path.name}")
    return digest.hexdigest()


def read_record(path: Path) -> Record | None:
    """Return the record in a file, or None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        # A record that says something else (ValidationError) is a DecodeError too.
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all.

    Raises:
        OutputError: when the disk is full, read-only or forbidden.
    """
    from ssl4eo.files import atomic_file

    with atomic_file(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record)))


def note(card: Card, name: str, record: Record, before: Record | None) -> None:
    """Write a record of an encoder in the place of `before`, if that is possible; else its file is hashed again.

    It is not where the cache cannot be written, nor where a download, an import or a removal is at work or has been
    since `before` was read: the record would tell of a file that is gone.
    """
    path = folder_of(card) / name
    # The Timeout of a lock that another holds is an OSError.
    with contextlib.suppress(OSError, Ssl4eoError), lock_of(card).acquire(timeout=0):
        if read_record(path) == before:
            write_record(path, record)
