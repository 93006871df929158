# SPDX-License-Identifier: GPL-2.0-or-later
"""Crops of scenes: only valid pixels, bands by name, and what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scene_files import landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.pretrain.datasets import CropSource, load_pixels, read_reflectance


@pytest.fixture
def scene(tmp_path):
    return write_raster(tmp_path / "S2A_20200102T101010_T33UUU.tif", landscape())


def test_crops_are_cut_from_the_scene_as_reflectance(scene):
    values = read_reflectance(scene)
    crops = CropSource(load_pixels([scene]), 64).sample(5, np.random.default_rng(0))
    assert crops.shape == (5, 13, 64, 64)
    assert crops.dtype == torch.float32
    np.testing.assert_allclose(values, landscape() / 10000, atol=1e-6)
    corners = {tuple(values[:, r, c].round(4)) for r in range(137) for c in range(177)}
    assert all(tuple(crop[:, 0, 0].numpy().round(4)) in corners for crop in crops)


def test_bands_are_put_in_order_by_name(tmp_path):
    order = [*S2_BANDS[:8], "B09", "B10", "B11", "B12", "B8A"]
    values = landscape()[[S2_BANDS.index(name) for name in order]]
    named = write_raster(tmp_path / "named.tif", values, order)
    unnamed = write_raster(tmp_path / "unnamed.tif", values, [])
    expected = landscape() / 10000
    np.testing.assert_allclose(read_reflectance(named), expected, atol=1e-6)
    np.testing.assert_allclose(read_reflectance(unnamed, order), expected, atol=1e-6)
    # Names in the file win over the list, which is only for files that do not tell.
    np.testing.assert_allclose(read_reflectance(named, S2_BANDS), expected, atol=1e-6)


def test_a_crop_never_holds_a_missing_pixel(tmp_path):
    values = landscape(height=120, width=120)
    values[:, 50:, 60] = 0
    path = write_raster(tmp_path / "gap.tif", values, nodata=0)
    source = CropSource(load_pixels([path]), 48)
    crops = source.sample(200, np.random.default_rng(0))
    assert (crops[:, :10] > 0).all()


def test_a_scene_larger_than_a_tile_is_read_whole(tmp_path):
    values = landscape(height=40, width=1100)
    path = write_raster(tmp_path / "wide.tif", values)
    np.testing.assert_allclose(read_reflectance(path), values / 10000, atol=1e-6)


def test_the_record_tells_date_tile_and_offset(scene):
    record = load_pixels([scene])[0].record
    assert record["file"] == "S2A_20200102T101010_T33UUU"
    assert (record["date"], record["tile"]) == ("2020-01-02", "33UUU")
    assert (record["sensor"], record["offset"], record["valid_pixels"]) == ("S2", 0.0, 200 * 240)


def test_no_scene_is_refused():
    with pytest.raises(InputError, match="No scene was given"):
        load_pixels([])


def test_an_empty_scene_is_refused(tmp_path):
    path = write_raster(tmp_path / "empty.tif", np.zeros((13, 80, 80), np.uint16), nodata=0)
    with pytest.raises(InputError, match=r"empty\.tif holds no valid pixel"):
        load_pixels([path])


def test_a_scene_that_is_too_small_is_refused_with_its_size(tmp_path):
    path = write_raster(tmp_path / "small.tif", landscape(height=50, width=90))
    with pytest.raises(InputError, match=r"64 x 64 valid pixels .* largest is 90 x 50"):
        CropSource(load_pixels([path]), 64)


def test_a_small_scene_beside_a_large_one_is_left_out(tmp_path, scene):
    small = write_raster(tmp_path / "small.tif", landscape(height=50, width=90))
    source = CropSource(load_pixels([small, scene]), 64)
    assert [record["file"] for record in source.used] == [scene.stem]


def test_a_missing_band_is_named(tmp_path):
    path = write_raster(tmp_path / "ten.tif", landscape()[:12], S2_BANDS[:12])
    with pytest.raises(InputError, match="lacks B12; pre-training needs all 13"):
        load_pixels([path])


def test_unnamed_bands_are_refused_and_a_wrong_count_of_names_too(tmp_path):
    path = write_raster(tmp_path / "unnamed.tif", landscape(), [])
    with pytest.raises(InputError, match="have no names"):
        load_pixels([path])
    with pytest.raises(InputError, match="has 13 bands, but 2 names were given"):
        load_pixels([path], bands=["B02", "B03"])
