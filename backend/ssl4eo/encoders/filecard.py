# SPDX-License-Identifier: GPL-2.0-or-later
"""The card of a file that was opened by its path: bands, scaling and pooling of the released encoder that it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.cards import Card, load_cards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssl4eo.encoders.layout import Layout

__all__ = ["card_by_checksum", "card_for_file"]

_AUTHORS = "see the weights' authors"
_Pooling = Literal["average", "cls", "patch-mean"]
# Of networks that no released encoder of the method has: what its backbone gives most simply.
_POOLING: dict[str, _Pooling] = {"resnet": "average", "vit": "cls", "beit": "patch-mean"}


def card_by_checksum(sha256: str) -> Card | None:
    """Return the card that publishes this checksum, or its first digits."""
    for card in load_cards().values():
        if any(file.sha256 and sha256.startswith(file.sha256) for file in card.files):
            return card
    return None


def card_for_file(path: Path, layout: Layout, stored: Mapping[str, Any], released: Card | None) -> Card:
    """Return the card of a file.

    Args:
        path: the file; its stem becomes the id.
        layout: what it turned out to be.
        stored: the card that `ssl4eo pretrain` left in it, or empty.
        released: the card that publishes its checksum, or None.

    Returns:
        The released card when there is one. Otherwise what the released encoder of the same method, backbone and bands
        binds them to (else one of the same method, else any for these bands), without its scores and its licence: a
        file of the same shape need not be the released one.
    """
    said = {"id": path.stem, "title": path.name, "files": (), "training": dict(stored)}
    others = f" The file also holds an encoder of {layout.also[0]} bands." if layout.also else ""
    if released is not None:
        return msgspec.structs.replace(
            released, **said, note=f"Loaded from a file with the checksum of {released.id}. {released.note}".strip()
        )
    template = _template(layout)
    return msgspec.structs.replace(
        template,
        **said,
        method=layout.method,
        backbone=layout.backbone,
        pooling=_pooling(layout),
        license=_AUTHORS,
        attribution=str(stored.get("attribution") or _AUTHORS),
        scores=(),
        note=f"Loaded from a file: {layout.reason}. Scaled as {template.id}.{others}",
    )


def _template(layout: Layout) -> Card:
    fitting = [card for card in load_cards().values() if len(card.bands) == layout.in_chans]

    def distance(card: Card) -> tuple[bool, bool, bool]:
        # The bundled encoder is scaled in a way of its own, which no released one is.
        bundled = any(file.bundled for file in card.files)
        return card.method != layout.method, card.backbone != layout.backbone, bundled

    # min() takes the first card among equals.
    return min(fitting, key=distance)


def _pooling(layout: Layout) -> Any:
    kind = BACKBONES[layout.backbone].kind
    same = [
        card for card in load_cards().values() if card.method == layout.method and BACKBONES[card.backbone].kind == kind
    ]
    return same[0].pooling if same else _POOLING[kind]
