# SPDX-License-Identifier: GPL-2.0-or-later
"""Level 0, interpolation, projection, and the feature set on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.features import FeatureSet, encode
from ssl4eo.features.projection import fit_projection, fit_quantiser
from ssl4eo.features.sampling import interpolate_grid, interpolate_points
from ssl4eo.grid import Window

if TYPE_CHECKING:
    from pathlib import Path


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_grid_and_point_interpolation_agree_and_a_plane_stays_a_plane(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.5
    values = np.stack([2 * x - 3 * y, rng.normal(size=(height, width))]).astype(np.float32)
    cols = np.sort(rng.uniform(0.5, max(width - 0.5, 0.5), 5))
    rows = np.sort(rng.uniform(0.5, max(height - 0.5, 0.5), 4))
    grid = interpolate_grid(values, cols, rows)
    many_rows, many_cols = np.meshgrid(rows, cols, indexing="ij")
    points = interpolate_points(values, many_cols.ravel(), many_rows.ravel())
    np.testing.assert_allclose(grid.reshape(2, -1).T, points, atol=1e-5)
    np.testing.assert_allclose(grid[0], 2 * cols[None] - 3 * rows[:, None], atol=1e-4)


def test_interpolation_leaves_missing_cells_out() -> None:
    values = np.array([[[1, np.nan], [3, 5]]], np.float32)
    at = interpolate_points(values, np.array([1.0, 1.5]), np.array([0.5, 0.5]))
    assert at[0, 0] == 1
    assert np.isnan(at[1, 0])
    grid = interpolate_grid(values, np.array([1.0]), np.array([1.0]))
    assert grid[0, 0, 0] == pytest.approx(3)


def test_a_linear_map_and_interpolation_commute() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(6, 8, 8)).astype(np.float32)
    weights = rng.normal(size=(4, 6)).astype(np.float32)
    cols = rows = np.arange(1.0, 7.0, 0.37)
    first = interpolate_grid(np.einsum("kc,chw->khw", weights, values), cols, rows)
    then = np.einsum("kc,chw->khw", weights, interpolate_grid(values, cols, rows))
    np.testing.assert_allclose(first, then, atol=1e-4)


def test_components_are_ordered_by_variance_and_rebuild_the_features() -> None:
    rng = np.random.default_rng(0)
    sample = (rng.normal(size=(500, 3)) * [5, 2, 0.5]) @ rng.normal(size=(3, 10)) + 7
    fitted = fit_projection(sample.astype(np.float32), 3)
    assert (np.diff(fitted.variance) < 0).all()
    assert fitted.variance.sum() == pytest.approx(1, abs=1e-4)
    codes = fitted.apply(sample.T.reshape(10, 20, 25).astype(np.float32))
    rebuilt = (fitted.components.T @ codes.reshape(3, -1)).T + fitted.mean
    np.testing.assert_allclose(rebuilt, sample, atol=1e-3)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_wide_features_that_hardly_vary_have_components(slope: float) -> None:
    sample = np.full((70, 400), 2.5, np.float32)
    sample[:, 3] += slope * np.arange(70)
    fitted = fit_projection(sample, 8)
    np.testing.assert_allclose(fitted.components @ fitted.components.T, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(fitted.variance, [slope, *[0] * 7], atol=1e-6)


def test_components_of_wide_features_are_the_largest_ones() -> None:
    """Whether all eigenvectors are found or only those that are wanted."""
    rng = np.random.default_rng(0)
    sample = (rng.normal(size=(600, 400)) * np.exp(-np.arange(400) / 40)).astype(np.float32)
    exact = np.linalg.eigvalsh(np.cov(sample.astype(np.float64), rowvar=False))[::-1]
    fitted = fit_projection(sample, 20)
    np.testing.assert_allclose(fitted.variance, exact[:20] / exact.sum(), rtol=1e-4)
    spread = np.cov(fitted.of_rows(sample), rowvar=False)
    np.testing.assert_allclose(spread, np.diag(exact[:20]), atol=2e-4 * exact[0])


def test_bytes_keep_values_to_half_a_step_and_nodata_apart() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(3, [[1.0, 20.0]], (5000, 2)).astype(np.float32)
    fitted = fit_quantiser(sample)
    values = sample[:100].T.reshape(2, 10, 10).copy()
    values[:, 0, 0] = np.nan
    stored = fitted.apply(values)
    assert (stored[:, 0, 0] == 0).all()
    assert (stored[np.isfinite(values)] > 0).all()
    back = stored * fitted.scale[:, None, None] + fitted.offset[:, None, None]
    error = np.abs(back - values)[:, np.isfinite(values[0])]
    assert (error <= 0.51 * fitted.scale[:, None]).all()
    assert (fitted.scale < sample.std(axis=0) / 20).all()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("encode")
    values = landscape()
    values[:, :40, :40] = 0
    scene = write_raster(folder / "scene.tif", values, scale="0.0001", level="L1C", date="2020-06-01")
    return folder, encode(scene, folder / "set", device="cpu", precision="fp32")


def test_a_feature_set_says_what_it_is(encoded: tuple[Path, dict[str, object]]) -> None:
    folder, result = encoded
    assert result["features"] == str(folder / "set")
    assert (result["device"], result["precision"], result["windows"]) == ("cpu", "fp32", 1)
    assert [level["stride"] for level in result["levels"]] == [1, 4, 4, 8, 16, 32]  # type: ignore[attr-defined]
    item = json.loads((folder / "set/item.json").read_text())
    properties = item["properties"]
    assert (item["type"], item["stac_version"]) == ("Feature", "1.0.0")
    assert properties["datetime"].startswith("2020-06-01")
    assert properties["ssl4eo:encoder"]["id"] == result["encoder"]
    assert len(properties["ssl4eo:weights_sha256"]) == 64
    assert sorted(path.name for path in (folder / "set").iterdir()) == [
        "item.json", *(f"level_{i}.tif" for i in range(6)), "projection.npz",
    ]  # fmt: skip


def test_levels_open_as_any_raster(encoded: tuple[Path, dict[str, object]]) -> None:
    folder, _ = encoded
    with rasterio.open(folder / "set/level_0.tif") as dataset:
        assert (dataset.width, dataset.height, dataset.dtypes[0], dataset.nodata) == (240, 200, "uint8", 0)
        assert dataset.transform == ORIGIN
        assert dataset.descriptions[:2] == ("B02", "B03")
        assert dataset.compression.name == "zstd"
    with rasterio.open(folder / "set/level_1.tif") as dataset:
        assert dataset.descriptions[0] == "B01 mean 6x6"
        assert (dataset.bounds.left, dataset.res) == (330000, (40, 40))
        stored = dataset.read()
    assert (stored[:, :10, :10] == 0).all()
    assert (stored[:, 10:] > 0).all()
    assert (stored[:, :, 10:] > 0).all()
    with rasterio.open(folder / "set/level_2.tif") as dataset:
        assert "component 1, " in dataset.descriptions[0]
        # Cell 0 is centred on pixel 0, so its 40 m square begins 15 m before the image.
        assert dataset.bounds.left == 330000 - 15
        assert dataset.res == (40, 40)
        stored = dataset.read()
    assert (stored[:, :9, :9] == 0).all()
    assert (stored[:, 12:49, 12:59] > 0).all()


def test_level_0_holds_the_reflectance(encoded: tuple[Path, dict[str, object]]) -> None:
    folder, _ = encoded
    features = FeatureSet.open(folder / "set")
    level, around = features.levels[:2]
    values = landscape() / 10000
    stored = level.read(Window(50, 60, 30, 20))
    fine = [band for band in S2_BANDS if band not in ("B01", "B09", "B10")]
    assert level.names == (*fine, "NDVI", "NDWI", "NDMI")
    for i, name in enumerate(level.names[:10]):
        expected = values[S2_BANDS.index(name), 60:80, 50:80]
        assert np.abs(stored[i] - expected).max() <= level.scale[i], name
    assert np.isnan(level.read(Window(0, 0, 40, 40))).all()
    # Of the block of pixels from column 52 and row 60 on, and one more pixel on each side.
    cell = around.read(Window(13, 15, 1, 1))[:, 0, 0]
    seen = values[:, 59:65, 51:57]
    expected = np.concatenate([seen.mean(axis=(1, 2)), seen.std(axis=(1, 2))])
    assert (np.abs(cell - expected) <= 0.51 * around.scale + 1e-6).all()


def test_sampling_at_coordinates(encoded: tuple[Path, dict[str, object]]) -> None:
    folder, _ = encoded
    features = FeatureSet.open(folder / "set/level_2.tif")
    xs, ys = features.grid.xy(np.array([120.5, 10.5, 5000]), np.array([90.5, 10.5, 0]))
    for level, values in zip(features.levels, features.sample(xs, ys), strict=True):
        assert values.shape == (3, level.components)
        assert np.isfinite(values[0]).all()
        assert np.isnan(values[2]).all()
    assert np.isnan(features.sample(xs, ys)[0][1]).all()


@pytest.mark.parametrize("pixels", [True, False])
def test_an_encoder_that_makes_no_numbers_is_blamed_not_the_scene(tmp_path: Path, *, pixels: bool) -> None:
    import torch
    from ssl4eo.encoders import load_encoder
    from ssl4eo.features.run import Run
    from ssl4eo.files import Unfinished
    from ssl4eo.jobs import no_progress
    from ssl4eo.scenes import open_scene

    path = write_raster(tmp_path / "s.tif", landscape(height=64, width=64), scale="0.0001")
    encoder = load_encoder("moco-resnet18w32-s2", "cpu", "fp32")
    with torch.no_grad():
        next(encoder.network.layer2.parameters())[0] = torch.nan
    with open_scene(path) as scene:
        run = Run(scene, 0, encoder.card, scene.grid.window, first=0, pixels=pixels)
        with pytest.raises(InputError, match=r"moco-resnet18w32-s2 makes no numbers of valid pixels.*weights verify"):
            run.write(encoder, Unfinished(tmp_path), no_progress)


def test_bands_that_were_given_names_by_hand(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(13, 64, 64), [None] * 13)
    with pytest.raises(InputError, match="have no names"):
        encode(path, tmp_path / "set")
    result = encode(path, tmp_path / "set", bands={i + 1: band for i, band in enumerate(S2_BANDS)})
    assert result["levels"][0]["components"] == 10 + 3


@pytest.mark.parametrize("shape", [(13, 40, 40), (13, 1, 300), (13, 300, 1), (13, 7, 9)])
def test_tiny_scenes(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(*shape))
    encode(path, tmp_path / "set")
    features = FeatureSet.open(tmp_path / "set")
    assert (features.grid.height, features.grid.width) == shape[1:]
    xs, ys = features.grid.xy(np.array([0.5, shape[2] - 0.5]), np.array([0.5, shape[1] - 0.5]))
    assert all(np.isfinite(values).all() for values in features.sample(xs, ys))


def test_what_cannot_be_encoded_leaves_nothing(tmp_path: Path) -> None:
    values = landscape()
    values[:, :, :100] = 0
    path = write_raster(tmp_path / "s.tif", values)
    photo = write_raster(tmp_path / "photo.tif", landscape(3).astype(np.uint8), [None] * 3)
    out = tmp_path / "set"
    cases = [
        (path, {"window": (0, 0, 50, 50)}, "holds no valid pixel in the chosen extent"),
        (path, {"window": (900, 0, 50, 50)}, "outside the image of 240 x 200 pixels"),
        (path, {"window": (0, 0, 0, 0)}, "window 0,0,0,0 is empty"),
        (path, {"bbox": (0, 0, 1, 1)}, "outside the image, which covers"),
        (path, {"bbox": (0, 0, 1, 1), "window": (0, 0, 1, 1)}, "give one of them"),
        (path, {"encoder": "x"}, "no encoder 'x'"),
        (path, {"device": "tpu"}, "no device 'tpu'"),
        (photo, {}, "like a photo"),
        (tmp_path / "gone.tif", {}, "does not exist"),
    ]
    for scene, arguments, words in cases:
        with pytest.raises(InputError, match=words):
            encode(scene, out, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist"):
        encode(path, tmp_path / "nowhere/set")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo.tif", "s.tif"]


def test_an_existing_folder_is_not_overwritten(encoded: tuple[Path, dict[str, object]]) -> None:
    folder, _ = encoded
    with pytest.raises(InputError, match="exists already"):
        encode(folder / "scene.tif", folder / "set")


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape())

    def stop(fraction: float, message: str = "") -> None:
        if fraction > 0.5:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        encode(path, tmp_path / "set", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["s.tif"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "not a feature set"), ("no json", "not a feature set"), (None, "not a feature set")],
)
def test_folders_that_are_no_feature_set(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "item.json").write_text(text)
    with pytest.raises(InputError, match=words):
        FeatureSet.open(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        FeatureSet.open(tmp_path / "gone")


def test_a_feature_set_that_lost_a_level(encoded: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(encoded[0] / "set", tmp_path / "set")
    (tmp_path / "set/level_3.tif").unlink()
    with pytest.raises(InputError, match=r"lacks level_3\.tif"):
        FeatureSet.open(tmp_path / "set")
