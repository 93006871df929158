# SPDX-License-Identifier: GPL-2.0-or-later
"""Which encoders have their weights on this computer, and whether those are still what they were.

A bundled file lies in the resources, every other one below `weights_folder()`, beside its record.
Imports neither torch nor the HTTP library, so that a list of encoders costs no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ssl4eo.encoders.cards import Card, resources_folder
from ssl4eo.encoders.modes import modes_of
from ssl4eo.encoders.weights.records import (
    BUNDLED_RECORD,
    RECORD,
    Record,
    checksum,
    folder_of,
    note,
    read_record,
    weights_folder,
)
from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress

__all__ = [
    "PART_SUFFIX",
    "LocalWeights",
    "State",
    "cached",
    "compare_checksum",
    "describe",
    "find",
    "is_bundled",
    "parts",
    "record_of",
    "remedy",
    "require",
    "state_of",
    "weights_folder",
]

State = Literal["bundled", "present", "partial", "absent", "damaged"]

# Of what a download that was cut off left; it is continued from there.
PART_SUFFIX = ".part"
_MEGABYTE = 1e6


@dataclass(frozen=True)
class LocalWeights:
    """A file whose bytes are what its record or card says."""

    path: Path
    sha256: str


def find(card: Card) -> Path | None:
    """Return where the encoder's weights lie, or None; whether they are intact is not asked.

    Those in the cache go first: bundled ones that are damaged are replaced by an import.
    """
    return cached(card) or _bundled(card)


def require(card: Card) -> LocalWeights:
    """Return the encoder's weights; hashes them only when their size or time of change is not the recorded one.

    Raises:
        InputError: when they are not on this computer, or no longer what they were; says what to do.
    """
    path = find(card)
    if path is None:
        raise InputError(f"The weights of {card.id} are not on this computer; {remedy(card)}.")
    expected, actual = compare_checksum(card, path)
    if actual != expected:
        raise InputError(
            f"{path} is damaged: its sha256 is {actual}, that of the weights of {card.id} is {expected}; "
            f"{remedy(card)}."
        )
    return LocalWeights(path, actual)


def describe(card: Card) -> dict[str, Any]:
    """Return the card with what is here of it, in JSON form; no file is hashed.

    Adds to `Card.to_dict`: `available`, `state` (bundled, present, partial, absent or damaged), `path` or None,
    `size_mb` (the file's own when it is here, else what the card says), `downloadable`, of a file that was downloaded
    or imported `verified`, `source` and `sha256`, else None; `modes` (names of its quality modes, the cheapest first)
    and `mode_costs` (of each, relative to standard).
    """
    path, state = find(card), state_of(card)
    record = record_of(card, path) if path is not None and not is_bundled(card, path) else None
    modes = modes_of(card.shape)
    return {
        **card.to_dict(),
        "available": state in ("bundled", "present"),
        "state": state,
        "path": str(path) if path else None,
        "size_mb": round(path.stat().st_size / _MEGABYTE, 1) if path else _listed_size(card),
        "downloadable": any(file.url for file in card.files),
        "verified": record.verified if record else None,
        "source": record.source if record else None,
        "sha256": record.sha256 if record else None,
        "modes": [mode.name for mode in modes],
        "mode_costs": {mode.name: mode.cost for mode in modes},
    }


def state_of(card: Card) -> State:
    """Return what is here of an encoder's weights, without hashing: what was found damaged or has a new size is."""
    path = find(card)
    if path is None:
        return "partial" if parts(card) else "absent"
    record = record_of(card, path)
    if record is not None:
        status = path.stat()
        # A damaged file that changed since may have been restored; it is hashed when it is used.
        if (record.is_of(status) and not record.intact) or (record.intact and status.st_size != record.size):
            return "damaged"
    return "bundled" if is_bundled(card, path) else "present"


def compare_checksum(
    card: Card, path: Path, progress: Progress = no_progress, *, always: bool = False
) -> tuple[str, str]:
    """Return what the checksum of a file that `find` gave must be, and what it is.

    It is hashed when its size or time of change is not the recorded one, or `always`; the answer is noted.
    """
    name = BUNDLED_RECORD if is_bundled(card, path) else RECORD
    before = read_record(folder_of(card) / name)
    record, status = record_of(card, path), path.stat()
    if record is not None and record.intact and record.is_of(status) and not always:
        return record.sha256, record.sha256
    actual = checksum(path, progress)
    if record is None:
        # Only a bundled file can be without a record: a cached one is found through its own.
        published = _published(card)
        expected = actual if actual.startswith(published) else published
        record = Record(str(path), 0, 0, expected, "bundled", "", "published checksum")
    noted = msgspec.structs.replace(
        record, size=status.st_size, mtime_ns=status.st_mtime_ns, intact=actual == record.sha256
    )
    if noted != record:
        note(card, name, noted, before)
    return record.sha256, actual


def record_of(card: Card, path: Path) -> Record | None:
    """Return the record of a file that `find` gave, or None."""
    if not is_bundled(card, path):
        return read_record(folder_of(card) / RECORD)
    record = read_record(folder_of(card) / BUNDLED_RECORD)
    # Another version of the software, or another copy of it, may have noted this.
    if record is None or record.file != str(path) or not record.sha256.startswith(_published(card)):
        return None
    return record


def cached(card: Card) -> Path | None:
    """Return the encoder's file in the cache, or None."""
    record = read_record(folder_of(card) / RECORD)
    if record is None:
        return None
    path = folder_of(card) / record.file
    return path if path.is_file() else None


def is_bundled(card: Card, path: Path) -> bool:
    """Return whether a file is the one that comes with the software."""
    return path == _bundled(card)


def parts(card: Card) -> list[Path]:
    """Return what downloads that were cut off left of the encoder's weights."""
    return sorted(folder_of(card).glob(f"*{PART_SUFFIX}"))


def remedy(card: Card) -> str:
    """Return what a user can do to have the weights, as the end of a sentence."""
    by_hand = f"import its file with `ssl4eo weights import FILE --as {card.id}`"
    if any(file.url for file in card.files):
        return f"run `ssl4eo weights download {card.id}`, or {by_hand}"
    bundled = next((file.name for file in card.files if file.bundled), None)
    return f"restore {bundled} by installing the software again, or {by_hand}" if bundled else by_hand


def _bundled(card: Card) -> Path | None:
    for file in card.files:
        if file.bundled and (path := resources_folder() / file.name).is_file():
            return path
    return None


def _published(card: Card) -> str:
    return next((file.sha256 for file in card.files if file.bundled), "")


def _listed_size(card: Card) -> float:
    return next((file.size_mb for file in card.files), 0.0)
