# SPDX-License-Identifier: GPL-2.0-or-later
"""Import weights that came by hand: recognised, copied, and never moved."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.cards import Card, get_card
from ssl4eo.encoders.weights.local import cached, find, is_bundled, parts, record_of, require
from ssl4eo.encoders.weights.partial import Partial
from ssl4eo.encoders.weights.recognise import Match, by_checksum, by_tensors, describe_layout, existing, require_fit
from ssl4eo.encoders.weights.records import Verified, checksum, folder_of, held
from ssl4eo.encoders.weights.upkeep import install
from ssl4eo.errors import InputError
from ssl4eo.files import output_errors, require_space
from ssl4eo.jobs import Progress, no_progress, part

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["import_file"]

_BLOCK = 1 << 22
# Left free on the disk beside the file itself.
_SPARE_BYTES = 50_000_000
_SUFFIXES = frozenset({".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors"})


def import_file(path: str | Path, encoder: str | None = None, progress: Progress = no_progress) -> dict[str, Any]:
    """Copy a file of weights into the cache, as those of the encoder that it is recognised as or of `encoder`.

    It replaces what is there, and what a download that was cut off left.

    Args:
        path: a checkpoint, whole or of the encoder alone, as .pth or .safetensors.
        encoder: the id, where the file alone does not tell.
        progress: gets the fraction.

    Returns:
        `encoder`, `path`, `confidence`, `because`, `sha256`, `replaces` (what was there: name, checksum and source, or
        None), and `candidates`: all matches.

    Raises:
        InputError: when the file is no checkpoint, fits no encoder, several alike, or not the one that was named.
        OutputError: when the disk is too small or cannot be written.
    """
    source = existing(path)
    sha256 = checksum(source, part(progress, 0.0, 0.3))
    certain = by_checksum(sha256)
    matches = [certain] if certain else by_tensors(source)
    match = _named(source, encoder, matches) if encoder else _settled(source, matches)
    card = get_card(match.encoder)
    progress(0.4, f"Importing {source.name} as {card.id}")
    with held(card, part(progress, 0.4, 0.4)):
        here, replaces = _here(card), None
        if here is not None and here[1] == sha256:
            local, because = here[0], f"{match.because}; it was here already"
        elif here is not None and is_bundled(card, here[0]):
            raise InputError(f"The weights of {card.id} come with the software; there is nothing to import.")
        else:
            replaces = _described(card)
            local = _copy_in(card, source, sha256, match, part(progress, 0.4, 1.0))
            because = match.because
        for left in parts(card):
            Partial(left).forget()
    return {
        "encoder": card.id,
        "path": str(local),
        "confidence": match.confidence,
        "because": because,
        "sha256": sha256,
        "replaces": replaces,
        "candidates": [match.to_dict() for match in matches],
    }


def _named(source: Path, encoder: str, matches: list[Match]) -> Match:
    """Return the match that the user named.

    Raises:
        InputError: when the file is certainly another's, or its tensors are not those of the encoder.
    """
    card = get_card(encoder)
    for match in matches:
        if match.encoder == encoder:
            return match
    if matches and matches[0].confidence == "certain":
        raise InputError(
            f"{source} belongs to {matches[0].encoder} ({matches[0].because}), not to {encoder}; "
            f"import it as {matches[0].encoder}."
        )
    require_fit(card, source)
    return Match(encoder, "possible", "its tensors fit")


def _settled(source: Path, matches: list[Match]) -> Match:
    """Return the match that stands alone at the top.

    Raises:
        InputError: when there is none.
    """
    if not matches:
        raise InputError(_unknown(source))
    best = [match for match in matches if match.confidence == matches[0].confidence]
    if len(best) > 1:
        names = ", ".join(match.encoder for match in best)
        raise InputError(
            f"{source} fits {len(best)} encoders alike ({names}); say which with `--as ID`, as its authors name it."
        )
    return best[0]


def _unknown(source: Path) -> str:
    from ssl4eo.encoders.layout import read_layout

    layout, _, made_here = read_layout(source)
    if made_here:
        return (
            f"{source} was made by `ssl4eo pretrain` and is none of the published encoders; say with `--as ID` in "
            "whose place it shall be used."
        )
    return f"{source} holds {describe_layout(layout)}, as no known encoder; see `ssl4eo models`."


def _here(card: Card) -> tuple[Path, str] | None:
    """Return the encoder's weights and their checksum if they are here and intact."""
    if find(card) is None:
        return None
    try:
        local = require(card)
    except InputError:
        return None
    return local.path, local.sha256


def _described(card: Card) -> str | None:
    """Return what lies in the cache, intact or not, in words; None for nothing."""
    path = cached(card)
    record = record_of(card, path) if path is not None else None
    return f"{record.file} (sha256 {record.sha256[:8]}, from {record.source})" if record is not None else None


def _copy_in(card: Card, source: Path, sha256: str, match: Match, progress: Progress) -> Path:
    size = source.stat().st_size
    name = source.name if source.suffix.lower() in _SUFFIXES else f"{source.name}.pth"
    require_space(folder_of(card), size + _SPARE_BYTES)
    with _temporary(card) as temporary, output_errors(folder_of(card)):
        digest, copied = hashlib.sha256(), 0
        with source.open("rb") as reader, temporary.open("wb") as writer:
            while block := reader.read(_BLOCK):
                writer.write(block)
                digest.update(block)
                copied += len(block)
                progress(min(copied / size, 1.0), f"Copying {source.name}")
        if digest.hexdigest() != sha256:
            raise InputError(f"{source} changed while it was imported; import it again when it is complete.")
        verified: Verified = "published checksum" if match.confidence == "certain" else "tensors"
        return install(card, temporary, name, sha256=sha256, source=str(source.resolve()), verified=verified).path


@contextmanager
def _temporary(card: Card) -> Iterator[Path]:
    folder = folder_of(card)
    # The lock is held: what an import that was killed left is nobody's.
    for left in folder.glob(".*.importing"):
        left.unlink(missing_ok=True)
    temporary = folder / f".{uuid.uuid4().hex[:8]}.importing"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
