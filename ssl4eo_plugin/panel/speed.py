# SPDX-License-Identifier: GPL-2.0-or-later
"""How long an encode will take, judged by the last run with the same encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["duration", "estimate", "remember"]

# Pixels per second of the last run, by encoders and mode.
_SPEED = "ssl4eo/speed"


def remember(encoders: Sequence[str], mode: str, pixels: int, seconds: float) -> None:
    """Note how long a run took that did all of its work."""
    QgsSettings().setValue(_key(encoders, mode), pixels / max(seconds, 0.1))


def estimate(
    cards: Mapping[str, dict[str, Any]], encoders: Sequence[str], mode: str, pixels: int
) -> tuple[float, str] | None:
    """Return the seconds that a run may take, and the mode of the run by which they are judged.

    Args:
        cards: What is known of each encoder.
        encoders: Those that run; the first one has the mode, the others run in standard where they lack it.
        mode: How they run.
        pixels: How many.

    Returns:
        None when no run of these encoders is known that can be compared.
    """
    speed = _speed(encoders, mode)
    if speed:
        return pixels / speed, mode
    chosen = [cards[encoder] for encoder in encoders if encoder in cards]
    if not chosen or len(chosen) < len(encoders):
        return None
    for other in chosen[0]["modes"]:
        speed = _speed(encoders, other)
        ratios = {_cost(card, mode) / _cost(card, other) for card in chosen}
        # How the time was shared between encoders is not known.
        if speed and len(ratios) == 1:
            return pixels / speed * ratios.pop(), other
    return None


def duration(seconds: float) -> str:
    """Return a time as a person reads it, such as "12 s", "4 min" or "2.5 h"."""
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{max(1, round(seconds))} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _cost(card: dict[str, Any], mode: str) -> float:
    return float(card["mode_costs"].get(mode, 1.0))


def _speed(encoders: Sequence[str], mode: str) -> float:
    return float(QgsSettings().value(_key(encoders, mode), 0) or 0)


def _key(encoders: Sequence[str], mode: str) -> str:
    return f"{_SPEED}/{'+'.join(encoders)}/{mode}"
