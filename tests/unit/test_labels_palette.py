# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours of classes."""

from __future__ import annotations

import pytest
from ssl4eo.errors import InputError
from ssl4eo.labels.palette import class_colors, rgb


def test_common_covers_look_as_expected() -> None:
    colors = class_colors(["water", "Forest", "residential", "farm"])
    red, green, blue = rgb(colors["water"])
    assert blue > max(red, green)
    red, green, blue = rgb(colors["Forest"])
    assert green > max(red, blue)
    red, green, blue = rgb(colors["residential"])
    assert red > max(green, blue)
    assert list(colors) == ["water", "Forest", "residential", "farm"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("SeaLake", "water"), ("coniferous forest", "woodland"), ("AnnualCrop", "farmland"), ("grassland", "grass"),
     ("herbaceous wetland", "marsh"), ("PermanentCrop", "orchard"), ("built-up", "urban"), ("shrubland", "scrub")],
)  # fmt: skip
def test_synonyms_share_a_colour(one: str, other: str) -> None:
    assert class_colors([one])[one] == class_colors([other])[other]


def test_many_classes_all_differ() -> None:
    names = ["forest", "wood", "tree", *(f"class {number}" for number in range(251))]
    colors = class_colors(names)
    assert len(set(colors.values())) == len(names) == 254
    assert all(len(color) == 7 for color in colors.values())


def test_the_users_colour_comes_first_and_is_not_used_twice() -> None:
    usual = class_colors(["forest"])["forest"]
    colors = class_colors(["forest", "mine"], {"mine": usual.upper(), "unused": "#000000"})
    assert colors["mine"] == usual
    assert colors["forest"] != usual


@pytest.mark.parametrize("color", ["red", "#12345", "#12345g", "#1234567", ""])
def test_a_wrong_colour_is_named(color: str) -> None:
    with pytest.raises(InputError, match=r"The colour .* of the class 'forest' is not #rrggbb; give it as"):
        class_colors(["forest"], {"forest": color})
