# SPDX-License-Identifier: GPL-2.0-or-later
"""Heads over a feature set that also holds the pixels of another scene."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from label_files import cover, pixel_point, write_features, write_samples
from ssl4eo.features import FeatureSet
from ssl4eo.labels import classify
from ssl4eo.labels.training import level_scalings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE, SIDE = 256, 32
TRUTH = cover(SIZE, SIZE, SIDE)


def noise(components: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(components, SIZE, SIZE)).astype(np.float32)


def telling(seed: int, step: float = 6) -> NDArray[np.float32]:
    """Return pixels (3, H, W) of which the first tells the class."""
    pixels = noise(3, seed)
    pixels[0] += step * TRUTH
    return pixels


def mapped(folder: Path, *features: Any, **more: Any) -> tuple[NDArray[np.uint8], dict[str, float]]:
    write_features(folder / "set", *features, **more)
    rng = np.random.default_rng(0)
    spots = rng.integers(0, SIZE, (40, 2))
    classes = ["ab"[TRUTH[row, col]] for col, row in spots]
    samples = write_samples(folder / "s.gpkg", [pixel_point(*spot) for spot in spots], classes)
    classify(folder / "set", samples, folder / "map.tif", report=folder / "r.json")
    with rasterio.open(folder / "map.tif") as dataset:
        return dataset.read(1), json.loads((folder / "r.json").read_text())["scales"]


def blocks(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return surroundings (C, H / 4, W / 4): the means of blocks."""
    return pixels.reshape(len(pixels), SIZE // 4, 4, SIZE // 4, 4).mean(axis=(2, 4))


def test_added_pixels_are_scaled_by_component_and_apart_from_the_first_scene(tmp_path: Path) -> None:
    added = noise(2, 1) * np.array([1, 50], np.float32)[:, None, None]
    features = FeatureSet.open(write_features(tmp_path / "set", telling(0), {4: 5}, added))
    *_, scaling = level_scalings(features)
    np.testing.assert_allclose(scaling.gain, 1 / np.array([1, 50]) / np.sqrt(2), rtol=0.05)


def test_added_pixels_that_tell_nothing_change_nothing(tmp_path: Path) -> None:
    for name in ("alone", "both"):
        (tmp_path / name).mkdir()
    alone, _ = mapped(tmp_path / "alone", telling(0))
    both, scales = mapped(tmp_path / "both", telling(0), added=noise(9, 1))
    assert scales == {"level_0": 1, "level_1": 1, "level_2": 0}
    np.testing.assert_array_equal(alone, both)


def test_added_pixels_that_tell_the_classes_are_used_where_they_are(tmp_path: Path) -> None:
    added = telling(1)
    added[:, :, 200:] = np.nan
    codes, scales = mapped(tmp_path, noise(3, 0), added=added)
    assert scales["level_2"] > 0
    right = codes == TRUTH + 1
    assert right[:, :200].mean() > 0.9
    # Where the other scene has no pixel the base alone decides; the map has no hole.
    assert (codes > 0).all()
    assert 0.3 < right[:, 200:].mean() < 0.7


def test_surroundings_belong_to_the_base(tmp_path: Path) -> None:
    codes, scales = mapped(tmp_path, noise(3, 0), around=blocks(telling(1)))
    assert scales == {"level_0": 1, "level_1": 1}
    assert (codes == TRUTH + 1).mean() > 0.9


def test_where_surroundings_are_missing_the_pixels_decide(tmp_path: Path) -> None:
    around = blocks(telling(1))
    around[:, :, 40:] = np.nan
    codes, scales = mapped(tmp_path, noise(3, 0), around=around)
    assert scales["level_1"] == 1
    right = codes == TRUTH + 1
    assert (codes > 0).all()
    assert right[:, :156].mean() > 0.9
    assert 0.3 < right[:, 168:].mean() < 0.7


def test_the_map_is_missing_only_where_level_0_is(tmp_path: Path) -> None:
    pixels = telling(0)
    pixels[:, :20, :30] = np.nan
    around = blocks(telling(0))
    around[:, 30:40] = np.nan
    codes, _ = mapped(tmp_path, pixels, {4: 3}, telling(1), around=around)
    assert (codes[:20, :30] == 0).all()
    assert (codes == 0).sum() == 600
