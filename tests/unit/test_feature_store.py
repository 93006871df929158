# SPDX-License-Identifier: GPL-2.0-or-later
"""What a feature set on disk says of its levels, and which it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from label_files import write_features
from ssl4eo.errors import InputError
from ssl4eo.features import FeatureSet

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path) -> Path:
    pixels = np.random.default_rng(0).normal(size=(3, 30, 42)).astype(np.float32)
    return write_features(folder / "set", pixels, {4: 5, 16: 6}, added=pixels[:2])


def test_levels_say_what_they_are_and_which_are_the_base(tmp_path: Path) -> None:
    features = FeatureSet.open(written(tmp_path))
    told = [(level.kind, level.scene, level.encoder, level.stride, level.components) for level in features.levels]
    assert told == [
        ("pixels", 0, None, 1, 3),
        ("surroundings", 0, None, 4, 2),
        ("features", 0, "test", 4, 5),
        ("features", 0, "test", 16, 6),
        ("pixels", 1, None, 1, 2),
    ]
    assert [level.of_scene for level in features.levels] == [True, True, False, False, True]
    assert features.base == 2


def test_surroundings_lie_on_their_blocks(tmp_path: Path) -> None:
    features = FeatureSet.open(written(tmp_path))
    pixels, around = features.levels[:2]
    # The middle of the third block across and the second down is the corner of four pixels.
    xs, ys = pixels.grid.xy([10.0], [6.0])
    np.testing.assert_allclose(around.sample(xs, ys)[0], around.read(around.grid.window)[:, 1, 2], atol=1e-6)
    assert (around.grid.width, around.grid.height) == (11, 8)
    np.testing.assert_allclose(around.grid.bounds[:1] + around.grid.bounds[3:], (330000, pixels.grid.bounds[3]))


def test_a_set_of_an_earlier_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = written(tmp_path)
    item = json.loads((folder / "item.json").read_text())
    for entry in item["properties"]["ssl4eo:levels"]:
        del entry["kind"]
    (folder / "item.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"set was made by an earlier version, .*; encode the scene again\.$"):
        FeatureSet.open(folder)
