# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the cache of weights: put a complete file in its place, hash what is here again, give space back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from ssl4eo.encoders.cards import get_card, load_cards
from ssl4eo.encoders.weights.local import LocalWeights, cached, compare_checksum, find, parts, record_of, remedy
from ssl4eo.encoders.weights.records import (
    BUNDLED_RECORD,
    LOCK,
    RECORD,
    Record,
    Verified,
    folder_of,
    lock_of,
    weights_folder,
    write_record,
)
from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from ssl4eo.encoders.cards import Card

__all__ = ["install", "remove", "verify"]

_MEGABYTE = 1e6


def install(card: Card, temporary: Path, name: str, *, sha256: str, source: str, verified: Verified) -> LocalWeights:
    """Give a complete file in the encoder's folder its name and record, in the place of what was there.

    The caller holds `lock_of(card)`.

    Args:
        card: the encoder.
        temporary: the file, in the encoder's folder; it is renamed.
        name: its name from now on.
        sha256: its checksum.
        source: where it came from, as it may be stored.
        verified: how it was found to be the encoder's.
    """
    target, before, status = folder_of(card) / name, cached(card), temporary.stat()
    added = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(name, status.st_size, status.st_mtime_ns, sha256, source, added, verified)
    # First the record: a crash in between leaves weights that are found damaged or absent, never a file unknown to all.
    write_record(folder_of(card) / RECORD, record)
    temporary.replace(target)
    if before is not None and before != target:
        before.unlink(missing_ok=True)
    return LocalWeights(target, sha256)


def verify(encoder: str | None = None, progress: Progress = no_progress) -> dict[str, Any]:
    """Hash the weights that are here again, of one encoder or of all.

    Returns:
        `rows`, one per encoder with weights here: `encoder`, `path`, `state` (ok, damaged, or changed: intact, but no
        longer the file that the card names) and `sentence`.

    Raises:
        InputError: for an unknown encoder, and for one without weights here.
    """
    cards = [get_card(encoder)] if encoder else list(load_cards().values())
    here = [(card, path) for card in cards if (path := find(card)) is not None]
    if encoder and not here:
        raise InputError(f"The weights of {encoder} are not on this computer; {remedy(cards[0])}.")
    total = sum(path.stat().st_size for _, path in here) or 1
    rows, done = [], 0
    for card, path in here:
        start, done = done, done + path.stat().st_size

        def report(fraction: float, message: str = "", start: int = start, stop: int = done) -> None:
            progress((start + (stop - start) * fraction) / total, message)

        rows.append(_verify_one(card, path, report))
    return {"rows": rows}


def remove(encoder: str) -> dict[str, Any]:
    """Delete an encoder's weights, whole or in part, from the cache.

    Returns:
        `encoder` and `freed_mb`.

    Raises:
        InputError: for an unknown encoder, one without weights in the cache, the bundled one, and one whose weights
            are being downloaded or imported.
        OutputError: when the folder cannot be written.
    """
    from ssl4eo.files import output_errors

    card = get_card(encoder)
    if cached(card) is None and not parts(card):
        if find(card) is not None:
            raise InputError(f"The weights of {encoder} come with the software and cannot be removed.")
        raise InputError(f"The weights of {encoder} are not in {weights_folder()}; there is nothing to remove.")
    freed = 0
    try:
        # To wait would be to delete what is waited for.
        with output_errors(folder_of(card)), lock_of(card).acquire(timeout=0):
            for path in folder_of(card).iterdir():
                # The lock's file stays: another process may be waiting for it.
                if path.name not in (LOCK, BUNDLED_RECORD):
                    freed += path.stat().st_size
                    path.unlink()
    except Timeout as error:
        raise InputError(f"The weights of {encoder} are being downloaded or imported; cancel that first.") from error
    return {"encoder": encoder, "freed_mb": round(freed / _MEGABYTE, 1)}


def _verify_one(card: Card, path: Path, progress: Progress) -> dict[str, Any]:
    expected, actual = compare_checksum(card, path, progress, always=True)
    published = next((file.sha256 for file in card.files if file.name == path.name), "")
    state = "ok"
    if actual != expected:
        state = "damaged"
        sentence = f"{path} has the sha256 {actual} instead of {expected}; {remedy(card)}."
    elif not actual.startswith(published):
        state = "changed"
        sentence = f"{path} is intact, but the card now names the sha256 {published}; {remedy(card)}."
    else:
        record = record_of(card, path)
        how = record.verified if record is not None else "published checksum"
        sentence = f"{path} is intact; it was identified by {how}."
    return {"encoder": card.id, "path": str(path), "state": state, "sentence": sentence}
