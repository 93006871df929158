# SPDX-License-Identifier: GPL-2.0-or-later
"""Random weights for an encoder whose own are not here: speed does not depend on their values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ssl4eo.encoders.weights.local import find, require
from ssl4eo.encoders.weights.records import checksum, folder_of, lock_of, weights_in
from ssl4eo.encoders.weights.upkeep import install
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ssl4eo.encoders.cards import Card

__all__ = ["weights_for"]


@contextmanager
def weights_for(card: Card, folder: Path, *, random: bool) -> Iterator[str]:
    """Yield whose weights the encoder runs with while the block lasts: "own" or "random".

    Args:
        card: the encoder.
        folder: where random weights may lie; the user's own folder stays as it is.
        random: whether to take random ones when its own are not on this computer.

    Raises:
        InputError: when its own are not on this computer and random ones not allowed.
    """
    if find(card) is not None or not random:
        try:
            require(card)
        except InputError as error:
            if find(card) is not None:
                raise
            sentence = str(error).removesuffix(".")
            raise InputError(f"{sentence}, or measure with random weights (--random-weights).") from error
        yield "own"
        return
    with weights_in(folder):
        if find(card) is None:
            _install_random(card)
        yield "random"


def _install_random(card: Card) -> None:
    import torch

    from ssl4eo.encoders.architecture import build_network

    torch.manual_seed(0)
    with lock_of(card):
        file = folder_of(card) / "random.part"
        torch.save(build_network(card.backbone, len(card.bands)).state_dict(), file)
        install(card, file, f"{card.id}.pth", sha256=checksum(file), source="random weights", verified="tensors")
