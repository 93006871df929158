# SPDX-License-Identifier: GPL-2.0-or-later
"""Refuse what cannot be measured before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl4eo.bench.one import WHAT
from ssl4eo.bench.repeat import side_of
from ssl4eo.encoders.modes import get_mode
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from ssl4eo.encoders.cards import Card

__all__ = ["check"]

# A scene smaller than about a window of a transformer says nothing of speed.
_SMALLEST_SIDE = 256
_MOST_MPX = 121


def check(
    cards: Sequence[Card],
    what: Sequence[str],
    scene: str | PathLike[str] | None,
    device: str,
    precisions: Sequence[str],
    mode: str,
    pairs: int,
    sizes: Sequence[float],
) -> None:
    """Check what `bench` is asked for; the arguments are its own.

    Raises:
        InputError: says what cannot be measured, and what can.
    """
    unknown = [name for name in what if name not in WHAT]
    if unknown or not what:
        named = ", ".join(map(repr, unknown)) or "nothing"
        raise InputError(f"There is {named} to measure; choose of: {', '.join(WHAT)}.")
    for missing, asked in (("encoder", cards), ("precision", precisions), ("size", sizes)):
        if not asked:
            raise InputError(f"No {missing} is given to measure; give at least one.")
    if pairs < 1:
        raise InputError(f"There cannot be {pairs} pairs; give a number from 1 on.")
    if {"memory", "scaling"} & set(what):
        _check_sizes(sizes)
    _check_encoders(cards, what, mode, simulated=scene is None)
    # torch takes seconds to import.
    from ssl4eo.encoders.device import choose_device, choose_precision

    chosen = choose_device(device)
    for precision in precisions:
        choose_precision(precision, chosen)


def _check_sizes(sizes: Sequence[float]) -> None:
    for size in sizes:
        # "Not larger" also holds for what is no number.
        if not size > 0 or side_of(min(size, _MOST_MPX)) < _SMALLEST_SIDE:
            raise InputError(f"A scene of {size:g} Mpx is too small to measure; give at least 0.0625.")
        if size > _MOST_MPX:
            raise InputError(f"{size:g} Mpx is more than a Sentinel-2 tile has; give at most {_MOST_MPX}.")


def _check_encoders(cards: Sequence[Card], what: Sequence[str], mode: str, *, simulated: bool) -> None:
    for card in cards:
        get_mode(card.id, card.shape, mode)
        if simulated and card.sensor != "S2":
            raise InputError(
                f"{card.id} takes Sentinel-1, and the simulated scene is of Sentinel-2; name a radar image."
            )
    if "baseline" in what and all(card.shape.patch is None for card in cards):
        raise InputError(
            f"{cards[0].id} has no fast mode, so there are no same tiles for a plain loop; choose a transformer for "
            "the baseline."
        )
