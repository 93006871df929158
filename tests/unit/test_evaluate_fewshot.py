# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo evaluate fewshot`: labels on the grid, blocks that are split whole, scores, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from label_files import UTM, cover, pixel_box, write_features, write_samples
from rasterio.crs import CRS
from scene_files import ORIGIN
from ssl4eo.cli import main
from ssl4eo.errors import InputError
from ssl4eo.features import FeatureSet
from ssl4eo.grid import Grid
from ssl4eo.labels.fewshot.evaluate import _draw, _read_pool, evaluate_fewshot
from ssl4eo.labels.fewshot.reference import border_distance, read_reference

SIDE = 128
GRID = Grid(CRS.from_user_input(UTM), ORIGIN, SIDE, SIDE)
QUICK: dict[str, Any] = {"shots": (2, 5), "draws": 3, "block": 16}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chess board of three classes, which the first component tells apart, with noise."""
    rng = np.random.default_rng(0)
    codes = cover(SIDE, SIDE, 8, 3)
    pixels = rng.normal(size=(4, SIDE, SIDE)).astype(np.float32)
    pixels[0] = codes + 0.1 * pixels[0]
    return write_features(tmp_path_factory.mktemp("fewshot") / "set", pixels, {8: 4})


def _raster(path: Path, codes: np.ndarray, nodata: int | None = None, dtype: str = "int16") -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype=dtype, crs=UTM, transform=ORIGIN,
        nodata=nodata,
    ) as file:  # fmt: skip
        file.write(codes.astype(dtype), 1)
    return path


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes 4, 5 and 6, and a corner of 9 that is in one block only."""
    codes = cover(SIDE, SIDE, 8, 3) + 4
    codes[:8, :8] = 9
    codes[-10:] = -1
    return _raster(tmp_path_factory.mktemp("labels") / "codes.tif", codes)


def test_a_raster_lies_on_the_grid_and_what_is_below_zero_is_no_label(raster: Path) -> None:
    found = read_reference(raster, GRID, 16)
    assert found.names == ("4", "5", "6", "9")
    assert (found.codes[-10:] == -1).all()
    assert found.codes[0, 0] == 3
    np.testing.assert_array_equal(found.codes[20:60, 20:60], cover(SIDE, SIDE, 8, 3)[20:60, 20:60])
    without = read_reference(raster, GRID, 16, ignore=["4", "9"])
    assert without.names == ("5", "6")
    assert set(np.unique(without.codes)) == {-1, 0, 1}


def test_the_nodata_value_of_a_raster_is_no_label(tmp_path: Path) -> None:
    codes = cover(SIDE, SIDE, 8, 3)
    found = read_reference(_raster(tmp_path / "a.tif", codes, nodata=0), GRID, 16)
    assert found.names == ("1", "2")
    assert (found.codes[codes == 0] == -1).all()


def test_a_raster_on_another_grid_is_moved_by_its_place(tmp_path: Path) -> None:
    codes = cover(SIDE, SIDE, 8, 3)
    shifted = _raster(tmp_path / "a.tif", codes)
    with rasterio.open(shifted, "r+") as file:
        file.transform = ORIGIN @ ORIGIN.translation(16, 24)
    found = read_reference(shifted, GRID, 16)
    np.testing.assert_array_equal(found.codes[24:, 16:], codes[:-24, :-16])
    assert (found.codes[:24] == -1).all()


def test_a_small_polygon_is_split_whole_and_a_large_one_is_cut(tmp_path: Path) -> None:
    boxes = [pixel_box(12, 12, 8, 8), pixel_box(40, 40, 60, 60)]
    path = write_samples(tmp_path / "a.gpkg", boxes, ["small", "large"])
    found = read_reference(path, GRID, 16)
    small, large = (np.unique(found.units[found.codes == found.names.index(name)]) for name in ("small", "large"))
    assert len(small) == 1
    assert len(large) == 25
    assert (found.codes >= 0).sum() == 64 + 3600


def test_a_background_is_all_that_no_polygon_covers(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "a.gpkg", [pixel_box(40, 40, 10, 10)], ["lake"])
    found = read_reference(path, GRID, 16, background="land")
    assert found.names == ("lake", "land")
    assert (found.codes == 0).sum() == 100
    assert (found.codes == 1).sum() == SIDE**2 - 100
    with pytest.raises(InputError, match="labels of 1 classes in the scene"):
        read_reference(path, GRID, 16)


def test_the_border_is_where_another_class_begins() -> None:
    codes = np.full((3, 10), -1)
    codes[:, :4], codes[:, 6:] = 0, 1
    np.testing.assert_array_equal(border_distance(codes)[1], [6, 5, 4, 3, np.inf, np.inf, 3, 4, 5, 6])
    assert np.isinf(border_distance(np.zeros((3, 3), int))).all()


@pytest.mark.parametrize("shots", [1, 3, 20])
def test_no_block_is_on_both_sides_of_a_draw(scene: Path, raster: Path, shots: int) -> None:
    pool, warnings = _read_pool(FeatureSet.open(scene), raster, 16, 0, "class", (), None)
    assert warnings == ["9 lies in 1 blocks and was left out: at least 4 are needed."]
    for seed in range(5):
        learn, ask = _draw(pool, shots, np.random.default_rng(seed))
        assert not set(pool.units[learn]) & set(pool.units[ask])
        assert np.bincount(pool.labels[learn]).tolist() == [shots] * 3
        assert set(pool.labels[ask]) == {0, 1, 2}
        # As many blocks as there are samples, as far as there are blocks.
        assert len(set(pool.units[learn][pool.labels[learn] == 0])) == min(shots, 20)


def test_scores_are_those_of_all_heads_and_in_order(scene: Path, raster: Path) -> None:
    found = evaluate_fewshot(scene, raster, **QUICK)
    assert found["classes"].keys() == {"4", "5", "6"}
    # Pixels that were drawn stand for all labelled ones of their class.
    codes = read_reference(raster, GRID, 16).codes
    assert found["classes"]["5"] == (codes == 1).sum()
    heads = {row["head"] for row in found["scores"]}
    assert len(found["scores"]) == 2 * len(heads)
    for row in found["scores"]:
        for metric in ("balanced_accuracy", "miou", "near_borders"):
            assert 0 <= row[metric]["low"] <= row[metric]["mean"] <= row[metric]["high"] <= 1
    best = {row["head"]: row for row in found["scores"] if row["shots"] == 5}
    assert best["auto, pixel levels"]["balanced_accuracy"]["mean"] > 0.8
    assert best["auto, pixel levels"]["against_base"]["miou"]["mean"] == 0
    assert best["auto, all levels"]["miou"]["mean"] <= best["auto, all levels"]["balanced_accuracy"]["mean"]
    json.dumps(found)


def test_the_same_seed_gives_the_same_scores(scene: Path, raster: Path) -> None:
    first, again, other = (
        evaluate_fewshot(scene, raster, shots=(2,), draws=2, block=16, heads=["kNN, pixel levels"], seed=seed)["scores"]
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_labels_that_are_noise_score_by_chance(scene: Path, tmp_path: Path) -> None:
    noise = _raster(tmp_path / "a.tif", np.random.default_rng(1).integers(1, 4, (SIDE, SIDE)))
    found = evaluate_fewshot(scene, noise, shots=(5,), draws=5, block=16, heads=["auto, all levels"])
    assert found["scores"][0]["balanced_accuracy"]["mean"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draws": 1}, "1 draws"),
        ({"shots": (0,)}, r"\[0\] samples"),
        ({"block": 0}, "blocks of 0 pixels"),
        ({"block": 500}, "has 0 classes in 4 or more blocks of 500 pixels"),
        ({"heads": ["magic"]}, "no head 'magic' to compare"),
        ({"ignore": ("4", "5", "9")}, "labels of 1 classes"),
    ],
)
def test_wrong_numbers_are_one_sentence(scene: Path, raster: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate_fewshot(scene, raster, **{**QUICK, **changes})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.tif", "cannot be read as a raster of classes"),
        (
            lambda folder: _raster(folder / "a.tif", np.ones((SIDE, SIDE)), dtype="float32"),
            "float32; classes are",
        ),
        (lambda folder: write_samples(folder / "a.gpkg", [pixel_box(9000, 0, 5, 5)], ["a"]), "No polygon of"),
    ],
)
def test_labels_that_cannot_be_used_are_one_sentence(
    scene: Path, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        evaluate_fewshot(scene, make(tmp_path), **QUICK)


def test_the_command_prints_a_table_or_json(scene: Path, raster: Path) -> None:
    arguments = ["evaluate", "fewshot", str(scene), str(raster), "--shots", "2", "--draws", "2", "--block", "16"]
    table = CliRunner().invoke(main, arguments)
    assert table.exit_code == 0, table.output
    assert "BALANCED" in table.stdout
    assert "random forest, all levels" in table.stdout
    assert "Warning: 9 lies in 1 blocks" in table.stderr
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert found["draws"] == 2
    wrong = CliRunner().invoke(main, ["evaluate", "fewshot", str(scene), "none.gpkg"])
    assert wrong.exit_code == 2
    assert "none.gpkg does not exist" in wrong.stderr
