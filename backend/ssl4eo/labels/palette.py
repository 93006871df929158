# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours of classes: expected ones for common land covers, distinct ones for the rest, the user's before all."""

from __future__ import annotations

import colorsys
import re
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["class_colors", "rgb"]

_HEX = re.compile(r"#[0-9a-fA-F]{6}")

# Our own choice, by the habits of topographic maps (blue water, green vegetation, red settlement), each dark or
# saturated enough to tell from its neighbours on a white page. A name matches when a word of it begins so;
# the first match wins, so what is more special stands first.
_COVERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("#3d8b7d", ("wetland", "marsh", "swamp", "bog", "mangrove", "peat", "flooded", "reed", "moor")),
    ("#5d3a35", ("burn", "fire")),
    ("#7a9a32", ("scrub", "shrub", "heath", "bush", "brush")),
    ("#b7703c", ("orchard", "vineyard", "plantation", "permanent", "allotment")),
    ("#1b7837", ("forest", "wood", "tree", "conifer", "broadleaf", "deciduous")),
    ("#a9d46c", ("meadow", "pasture", "grazing", "rangeland")),
    ("#7fc552", ("grass", "herbaceous", "park", "lawn", "golf")),
    ("#e8c95a", ("crop", "farm", "arable", "agricultur", "field", "annual", "cultivat", "wheat", "maize", "cereal")),
    ("#8e44ad", ("industr", "commercial", "quarry", "mine", "mining")),
    (
        "#d1493e",
        ("residential", "built", "urban", "settlement", "city", "house", "building", "artificial", "impervious"),
    ),
    ("#6e6e6e", ("road", "highway", "rail", "transport", "asphalt", "airport")),
    ("#cfe3ef", ("snow", "ice", "glacier")),
    ("#2a7fc4", ("water", "river", "lake", "sea", "ocean", "reservoir", "pond", "canal", "stream")),
    ("#c9ad83", ("bare", "soil", "sand", "beach", "desert", "rock", "barren", "dune", "fallow")),
    ("#f3c6e0", ("cloud",)),
    ("#35323f", ("shadow",)),
)

# Okabe and Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/, without black.
_DISTINCT = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
# Steps of the golden ratio never come back to a hue (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = 0.618033988749895


def class_colors(names: Sequence[str], overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a colour `#rrggbb` per class name, no two the same unless the user says so.

    Args:
        names: class names in map order.
        overrides: colours by class name; names that are not among `names` are left alone.

    Raises:
        InputError: for a colour that is not `#rrggbb`.
    """
    given = dict(overrides or {})
    for name, color in given.items():
        if not _HEX.fullmatch(str(color)):
            raise InputError(f"The colour {color!r} of the class {name!r} is not #rrggbb; give it as e.g. #1b7837.")
    chosen = {name: given[name].lower() for name in names if name in given}
    taken = set(chosen.values())
    for name in names:
        expected = _expected(name)
        if name not in chosen and expected is not None and expected not in taken:
            chosen[name] = expected
            taken.add(expected)
    spare = _spare()
    for name in names:
        if name not in chosen:
            chosen[name] = next(color for color in spare if color not in taken)
            taken.add(chosen[name])
    return {name: chosen[name] for name in names}


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green, blue (0..255) of `#rrggbb`."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _expected(name: str) -> str | None:
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    for color, beginnings in _COVERS:
        if any(word.startswith(beginnings) for word in words):
            return color
    return None


def _spare() -> Iterator[str]:
    yield from _DISTINCT
    hue = 0.0
    while True:
        hue = (hue + _GOLDEN) % 1
        for value, saturation in ((0.85, 0.75), (0.6, 0.55)):
            red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
            yield f"#{red:02x}{green:02x}{blue:02x}"
