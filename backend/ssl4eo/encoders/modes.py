# SPDX-License-Identifier: GPL-2.0-or-later
"""Quality modes: how much work an encoder spends on a pixel. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from ssl4eo.encoders.backbone import Backbone

__all__ = ["MODES", "STANDARD", "Mode", "get_mode", "modes_of"]

STANDARD = "standard"
MODES = ("fast", STANDARD)


@dataclass(frozen=True)
class Mode:
    """One way to run an encoder over a scene.

    Attributes:
        name: fast or standard.
        cost: forward passes per pixel, relative to standard.
        overlap: whether the windows of a transformer overlap by half and are blended.
    """

    name: str
    cost: float
    overlap: bool = False


# docs/quality-modes.md has what each costs and gains, and that an enlarged image gained nothing.
_TRANSFORMER = (Mode("fast", 0.25), Mode(STANDARD, 1.0, overlap=True))
_RESNET = (Mode(STANDARD, 1.0),)


def modes_of(shape: Backbone) -> tuple[Mode, ...]:
    """Return the modes that a backbone has, the cheapest first."""
    return _RESNET if shape.patch is None else _TRANSFORMER


def get_mode(encoder: str, shape: Backbone, name: str) -> Mode:
    """Return a mode of an encoder by its name.

    Raises:
        InputError: for a mode that it does not have; names those that it has.
    """
    offered = {mode.name: mode for mode in modes_of(shape)}
    if name not in offered:
        raise InputError(f"{encoder} has no mode {name!r}; choose one of: {', '.join(offered)}.")
    return offered[name]
