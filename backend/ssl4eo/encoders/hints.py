# SPDX-License-Identifier: GPL-2.0-or-later
"""What people write for a method or a network, and what a file's name says of it. Imports no torch."""

from __future__ import annotations

import re
from typing import Literal, get_args

from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.cards import Method
from ssl4eo.errors import InputError

__all__ = ["SENSOR_CHANS", "arch_named", "chans_in_name", "method_in_name", "method_named"]

# Input channels of the released encoders by the last part of their ids.
SENSOR_CHANS = {"s2": 13, "s1": 2, "rgb": 3}

_Kind = Literal["resnet", "vit", "beit"]

# MoCo-v2 trained ResNets, MoCo-v3 transformers; data2vec trained BEiT, the masked autoencoders plain transformers.
_KINDS: dict[str, tuple[_Kind, ...]] = {
    "mocov2": ("resnet",),
    "mocov3": ("vit",),
    "mae": ("vit",),
    "fgmae": ("vit",),
    "data2vec": ("beit",),
}
_SIZES = {"small": "s", "base": "b", "large": "l", "huge": "h"}
# vit_small_patch16_224, vit-s/16, mae_vit_base, beit_small; the released files of data2vec call its BEiT "vits16" too.
_TRANSFORMER = re.compile(r"(vit|beit)(small|base|large|huge|s|b|l|h)(?:patch)?(8|14|16|32)?")
_RESNET = re.compile(r"(?:resnet|rn)(\d+)(w\d+)?")
# The parts of the released names that tell the sensor: B13_..., ..._ms_..., ..._sar_...
_CHANS_IN_NAME = {"b13": 13, "s2": 13, "ms": 13, "b2": 2, "s1": 2, "sar": 2, "b3": 3, "rgb": 3}


def method_named(text: str) -> tuple[Method, tuple[_Kind, ...]]:
    """Return the method that a text names ("moco-v3", "FG-MAE") and the kinds of network that it trains.

    Raises:
        InputError: for a name that is no method; lists those there are.
    """
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    wanted = "moco" if plain in ("mocov2", "mocov3") else plain
    for method in get_args(Method):
        if method == wanted:
            return method, _KINDS.get(plain, ("resnet", "vit"))
    raise InputError(f"There is no method {text!r}; choose one of: {', '.join(get_args(Method))}.")


def arch_named(text: str) -> tuple[frozenset[str], int | None]:
    """Return the backbones that a text may mean ("resnet50", "vit_small_patch16"), and the band count it names.

    The band count comes from an ending as in the ids of encoders, "resnet50-s1"; None without one.

    Raises:
        InputError: for a name that is no network; lists those there are.
    """
    name, _, sensor = text.lower().rpartition("-")
    if sensor not in SENSOR_CHANS:
        name, sensor = text.lower(), ""
    plain = re.sub(r"[^a-z0-9]", "", name)
    found: set[str] = set()
    if match := _RESNET.fullmatch(plain):
        found = {f"resnet{match[1]}{match[2] or ''}"} & set(BACKBONES)
    elif match := _TRANSFORMER.search(plain):
        size = _SIZES.get(match[2], match[2])
        kinds = ("beit",) if match[1] == "beit" else ("vit", "beit")
        found = {key for key in BACKBONES if re.fullmatch(rf"({'|'.join(kinds)}){size}{match[3] or '..'}", key)}
    if not found:
        raise InputError(f"There is no network {text!r}; choose one of: {', '.join(BACKBONES)}.")
    return frozenset(found), SENSOR_CHANS.get(sensor)


def method_in_name(stem: str) -> Method | None:
    """Return the one method that a file's name contains as a word, or None."""
    words = re.split(r"[^a-z0-9]+", stem.lower())
    found = {method for method in get_args(Method) if method in words}
    return found.pop() if len(found) == 1 else None


def chans_in_name(stem: str) -> int | None:
    """Return the one band count that a file's name tells by a word, or None."""
    words = re.split(r"[^a-z0-9]+", stem.lower())
    found = {_CHANS_IN_NAME[word] for word in words if word in _CHANS_IN_NAME}
    return found.pop() if len(found) == 1 else None
