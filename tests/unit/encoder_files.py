# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders with random weights that tests install for themselves: real cards and files, narrow networks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from ssl4eo.encoders import get_card
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.weights.records import checksum, folder_of, lock_of
from ssl4eo.encoders.weights.upkeep import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

# A tenth of the width makes a transformer a hundred times faster; depth, patch, window and halo stay those of the card.
_NARROW = {
    "vits16": {"widths": (48,), "heads": 3},
    "vits14": {"widths": (48,), "heads": 3},
    "beits16": {"widths": (48,), "heads": 3},
}


def narrow_backbones(patch: pytest.MonkeyPatch) -> None:
    """Make transformers narrow, as the files of `random_encoders` are."""
    for backbone, narrow in _NARROW.items():
        patch.setitem(BACKBONES, backbone, replace(BACKBONES[backbone], **narrow))


@contextmanager
def random_encoders(folder: Path, ids: Sequence[str], place: float = 0.0) -> Iterator[None]:
    """Make the encoders `ids` available with random weights, in a cache of their own, while the context lasts.

    Args:
        folder: where the cache is made.
        ids: of the encoders.
        place: how much the tokens of a transformer tell of their place in the window, smoothly as trained ones do.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL4EO_WEIGHTS", str(folder / "cache"))
        narrow_backbones(patch)
        for seed, encoder in enumerate(ids):
            card = get_card(encoder)
            torch.manual_seed(seed)
            with lock_of(card):
                file = folder_of(card) / "made.part"
                weights = build_network(card.backbone, len(card.bands)).state_dict()
                if place and "pos_embed" in weights:
                    weights["pos_embed"] += place * _smooth_places(*weights["pos_embed"].shape[1:])
                torch.save(weights, file)
                install(card, file, f"{encoder}.pth", sha256=checksum(file), source="a test", verified="tensors")
        yield


def _smooth_places(tokens: int, width: int) -> Tensor:
    """Return (1, tokens, width): half a turn along each axis of the window, none for tokens that have no place."""
    side = int(tokens**0.5)
    turn = torch.linspace(-torch.pi / 2, torch.pi / 2, side)
    waves = torch.stack(
        [wave.expand(side, side) for angle in (turn, turn[:, None]) for wave in (angle.sin(), angle.cos())]
    )
    places = torch.einsum("cd,dij->ijc", torch.randn(width, 4), waves).reshape(1, side * side, width)
    return torch.cat([torch.zeros(1, tokens - side * side, width), places], dim=1)
