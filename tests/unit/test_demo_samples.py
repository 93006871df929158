# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the demo clicks, and how it scores its map."""

from __future__ import annotations

import json
from pathlib import Path

import demo_samples
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError

SIZE = 600
NAMES = {"1": "forest", "2": "water", "3": "road"}
TRANSFORM = Affine(10, 0, 400000, 0, -10, 5800000)


def truth_codes() -> NDArray[np.uint8]:
    codes = np.ones((SIZE, SIZE), np.uint8)
    codes[:, 300:] = 2
    codes[150:153, :] = 3
    return codes


def write_classes(path: Path, codes: NDArray[np.uint8], transform: Affine = TRANSFORM) -> Path:
    height, width = codes.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=transform, **profile) as out:
        out.write(codes, 1)
        out.write_colormap(1, {1: (0, 100, 0, 255), 2: (0, 0, 200, 255), 3: (9, 9, 9, 255)})
        out.update_tags(CLASS_NAMES=json.dumps(NAMES))
    return path


def write_scene(path: Path, digital: NDArray[np.uint16]) -> Path:
    count, height, width = digital.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": "uint16"}
    with rasterio.open(path, "w", transform=TRANSFORM, crs="EPSG:32633", **profile) as out:
        out.write(digital)
        out.descriptions = S2_BANDS
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_classes(folder / "truth.tif", truth_codes())
    digital = np.full((13, SIZE, SIZE), 1000, np.uint16)
    digital[:, :, 300:] = 500
    digital[7, :, :300] = 4000
    digital[7, :, 300:] = 200
    digital[3, :300, :300] = 2500
    digital[10] = 10
    write_scene(folder / "scene.tif", digital)
    return folder


def test_the_window_is_in_the_middle_and_never_larger_than_the_image() -> None:
    window = demo_samples.central_window(1000, 300)
    assert (window.col, window.row, window.width, window.height) == (244, 0, 512, 300)


def test_places_lie_inside_their_class_and_inside_the_window(folder: Path) -> None:
    lesson = demo_samples.from_truth(folder / "scene.tif", folder / "truth.tif", 5)
    codes = truth_codes()
    assert list(lesson.classes) == ["forest", "water", "road"]
    assert lesson.classes["water"] == "#0000c8"
    assert len(lesson.samples) == 15
    for sample in lesson.samples:
        col, row = ~TRANSFORM @ (sample["x"], sample["y"])
        assert (col % 1, row % 1) == (0.5, 0.5)
        assert NAMES[str(codes[int(row), int(col)])] == sample["class"]
        assert 44 + demo_samples.MARGIN <= col < 556 - demo_samples.MARGIN
    places = {(sample["x"], sample["y"]) for sample in lesson.samples}
    assert len(places) == 15
    assert demo_samples.from_truth(folder / "scene.tif", folder / "truth.tif", 5) == lesson


def test_a_perfect_map_scores_one_and_a_map_of_one_class_scores_chance(folder: Path, tmp_path: Path) -> None:
    lesson = demo_samples.from_truth(folder / "scene.tif", folder / "truth.tif", 5)
    codes = truth_codes()[44:556, 44:556]
    shifted = TRANSFORM @ Affine.translation(44, 44)
    perfect = write_classes(tmp_path / "perfect.tif", codes, shifted)
    score = demo_samples.accuracy(perfect, folder / "truth.tif", lesson)
    assert score["overall"] == 1
    assert set(score["recall"].values()) == {1}
    # 15 discs of radius 5 do not count.
    assert 512 * 512 - 15 * 110 < score["pixels"] < 512 * 512 - 15 * 20
    flat = write_classes(tmp_path / "flat.tif", np.full_like(codes, 1), shifted)
    score = demo_samples.accuracy(flat, folder / "truth.tif", lesson)
    assert score["overall"] == pytest.approx(score["chance"], abs=0.02)
    assert score["recall"] == {"forest": 1, "water": 0, "road": 0}


def test_a_map_on_another_grid_is_refused(folder: Path, tmp_path: Path) -> None:
    lesson = demo_samples.from_truth(folder / "scene.tif", folder / "truth.tif", 5)
    moved = write_classes(tmp_path / "moved.tif", truth_codes()[:512, :512])
    with pytest.raises(InputError, match="does not lie on the grid"):
        demo_samples.accuracy(moved, folder / "truth.tif", lesson)


def test_a_user_image_gets_classes_by_its_indices(folder: Path) -> None:
    lesson = demo_samples.from_indices(folder / "scene.tif", 4)
    assert set(lesson.classes) == {"water", "little vegetation", "much vegetation"}
    for sample in lesson.samples:
        col, row = ~TRANSFORM @ (sample["x"], sample["y"])
        expected = "water" if col >= 300 else "little vegetation" if row < 300 else "much vegetation"
        assert sample["class"] == expected


def test_an_image_of_one_cover_is_refused(tmp_path: Path) -> None:
    digital = np.full((13, 64, 64), 1000, np.uint16)
    digital[7] = 100
    # Cirrus is near zero in a file without the offset of newer processing.
    digital[10] = 10
    with pytest.raises(InputError, match="too little land and water"):
        demo_samples.from_indices(write_scene(tmp_path / "sea.tif", digital), 4)


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tif"):
        demo_samples.from_indices(tmp_path / "none.tif", 4)
