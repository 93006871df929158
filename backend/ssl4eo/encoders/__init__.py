# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders: a card that says what goes in and what comes out, and the network with its weights.

`load_checkpoint` and `load_encoder` import torch, which costs seconds; the cards alone do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.cards import Card, get_card, load_cards

if TYPE_CHECKING:
    from ssl4eo.encoders.encoder import Encoder, load_checkpoint, load_encoder

__all__ = ["Card", "Encoder", "get_card", "load_cards", "load_checkpoint", "load_encoder"]

_HEAVY = ("Encoder", "load_checkpoint", "load_encoder")


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        from ssl4eo.encoders import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
