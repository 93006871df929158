# SPDX-License-Identifier: GPL-2.0-or-later
"""Recognise whose weights a file holds, and say how sure that is and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ssl4eo.encoders.cards import Card, load_cards
from ssl4eo.encoders.hints import method_in_name
from ssl4eo.encoders.weights.records import checksum
from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress, part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ssl4eo.encoders.layout import Layout

__all__ = [
    "Confidence",
    "Match",
    "by_checksum",
    "by_tensors",
    "describe_layout",
    "existing",
    "recognise",
    "require_fit",
]

Confidence = Literal["certain", "likely", "possible"]

# What hashing takes of the progress.
_HASHED = 0.9
_ORDER: tuple[Confidence, ...] = ("certain", "likely", "possible")


@dataclass(frozen=True)
class Match:
    """An encoder whose weights a file may hold.

    Attributes:
        encoder: its id.
        confidence: "certain" by a published checksum; "likely" when the tensors fit and the file's name or the tensors
            leave only this one; "possible" when the tensors fit.
        because: the evidence, as the end of a sentence.
    """

    encoder: str
    confidence: Confidence
    because: str

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return asdict(self)


def recognise(path: str | Path, progress: Progress = no_progress) -> list[Match]:
    """Return the encoders whose weights a file may hold, the best first; none when it fits no card.

    Args:
        path: a checkpoint, whole or of the encoder alone, as .pth or .safetensors.
        progress: gets the fraction.

    Raises:
        InputError: when the file is missing, cut off, no checkpoint, or holds no encoder that is known here.
    """
    file = existing(path)
    certain = by_checksum(checksum(file, part(progress, 0.0, _HASHED)))
    if certain:
        return [certain]
    progress(_HASHED, f"Reading {file.name}")
    return by_tensors(file)


def by_checksum(sha256: str) -> Match | None:
    """Return the encoder that published a file with this checksum, or None."""
    for card in load_cards().values():
        for file in card.files:
            if file.sha256 and sha256.startswith(file.sha256):
                return Match(card.id, "certain", f"its sha256 is the published {file.sha256}")
    return None


def by_tensors(file: Path) -> list[Match]:
    """Return the encoders whose network and bands the file's tensors fit, the best first; its name settles ties.

    What `ssl4eo pretrain` made is no published encoder, whatever it fits.

    Raises:
        InputError: as `recognise`.
    """
    from ssl4eo.encoders.layout import read_layout

    layout, tensors, made_here = read_layout(file)
    if made_here:
        return []
    fitting = [card for card in load_cards().values() if _contradiction(card, layout) is None]
    if fitting:
        _require_whole(layout, tensors, file)
    named = method_in_name(file.stem)
    by_name = [card for card in fitting if card.method == named]
    matches = []
    for card in fitting:
        because = f"it holds {describe_layout(layout)}"
        confidence: Confidence = "possible"
        if any(file.name == known.name for known in card.files):
            confidence, because = "likely", f"{because} and is called as the published file is"
        elif by_name == [card]:
            confidence, because = "likely", f"{because} and its name says {named}"
        elif len(fitting) == 1:
            confidence, because = "likely", f"{because}, as no other encoder has"
        matches.append(Match(card.id, confidence, because))
    return sorted(matches, key=lambda match: _ORDER.index(match.confidence))


def require_fit(card: Card, path: str | Path) -> None:
    """Refuse a file whose tensors are not those of an encoder, all of them.

    Raises:
        InputError: says what the file holds and what the card names; and as `recognise`.
    """
    from ssl4eo.encoders.layout import read_layout

    file = existing(path)
    layout, tensors, _ = read_layout(file)
    fault = _contradiction(card, layout)
    if fault:
        raise InputError(f"{file} {fault}; choose the file or the encoder that belongs to it.")
    if layout.in_chans != len(card.bands):
        layout, tensors, _ = read_layout(file, in_chans=len(card.bands))
    _require_whole(layout, tensors, file)


def describe_layout(layout: Layout) -> str:
    """Return network and bands in words."""
    return f"{layout.backbone} for {' and '.join(map(str, (layout.in_chans, *layout.also)))} bands"


def _require_whole(layout: Layout, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse a file whose tensors are missing, of another shape, rotten, or no numbers."""
    import torch

    from ssl4eo.encoders.architecture import load_network
    from ssl4eo.encoders.checkpoint import require_intact

    network = load_network(layout.backbone, layout.in_chans, tensors, file)
    require_intact(file)
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{file} holds values that are no numbers (NaN or infinite, in {name}), with which no encoder works; "
                "get the weights from their authors' page."
            )


def _contradiction(card: Card, layout: Layout) -> str | None:
    """Return what of a file's tensors the card does not name, as the end of a sentence, or None."""
    if layout.backbone != card.backbone or len(card.bands) not in (layout.in_chans, *layout.also):
        return f"holds {describe_layout(layout)}, but {card.id} is {card.backbone} for {len(card.bands)} bands"
    if card.method not in layout.methods:
        return f"is a file of {' or '.join(layout.methods)} ({layout.reason}), but {card.id} is {card.method}"
    return None


def existing(path: str | Path) -> Path:
    """Return the path of a file that is there.

    Raises:
        InputError: when there is none, or no name.
    """
    if not str(path).strip():
        raise InputError("The name of the file is empty; give the path of the weights.")
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} is no file; check the path of the weights.")
    return file
