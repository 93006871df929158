# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel levels against plain loops, and what must hold of them however an image is cut, masked or scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ssl4eo.bands import S2_BANDS
from ssl4eo.features.spectral import (
    MARGIN,
    STRIDE,
    pixel_bands,
    pixel_level,
    pixel_names,
    surroundings_level,
    surroundings_names,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# More rows of blocks than are worked on at once, and not a multiple of them.
HEIGHT, WIDTH = 4 * 150 + 2, 4 * 5 + 2


def reflectance(bands: int, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.02, 0.5, (bands, height, width)).astype(np.float32)


def plainly(
    band: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return mean, deviation and validity of each cell, one cell after the other in double precision."""
    shape = (band.shape[0] // 4, band.shape[1] // 4)
    mean, deviation, known = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for row, col in np.ndindex(shape):
        around = np.s_[4 * row : 4 * row + 6, 4 * col : 4 * col + 6]
        pixels = band[around][valid[around]].astype(np.float64)
        known[row, col] = valid[4 * row + 1 : 4 * row + 5, 4 * col + 1 : 4 * col + 5].sum() >= 8
        if known[row, col]:
            mean[row, col], deviation[row, col] = pixels.mean(), pixels.std()
    return mean, deviation, known


def test_pixels_against_plain_formulas() -> None:
    bands = ["B01", "B03", "B04", "B08", "B10", "B11"]
    x = reflectance(6, 70, 9)
    level, names = pixel_level(x, bands), pixel_names(bands)
    b = dict(zip(bands, x.astype(np.float64), strict=True))
    expected = {
        "B03": b["B03"], "B04": b["B04"], "B08": b["B08"], "B11": b["B11"],
        "NDVI": (b["B08"] - b["B04"]) / (b["B08"] + b["B04"]),
        "NDWI": (b["B03"] - b["B08"]) / (b["B03"] + b["B08"]),
        "NDMI": (b["B08"] - b["B11"]) / (b["B08"] + b["B11"]),
    }  # fmt: skip
    assert names == list(expected)
    assert (level.dtype, level.shape) == (np.float32, (7, 70, 9))
    for name, plane in zip(names, level, strict=True):
        np.testing.assert_allclose(plane, expected[name], atol=1e-6, err_msg=name)


def test_black_and_negative_pixels_keep_indices_finite_and_within_one() -> None:
    x = np.array([[[0, -0.01, 0.3, -0.2]], [[0, 0.01, -0.1, -0.1]]], np.float32)
    ndvi = pixel_level(x, ["B04", "B08"])[2]
    np.testing.assert_allclose(ndvi, [[0, 1, -1, 1]])


def test_radar_pixels_and_their_ratio() -> None:
    decibels = np.random.default_rng(0).uniform(-25, -5, (2, 8, 8)).astype(np.float32)
    assert pixel_names(["VV", "VH"]) == ["VV", "VH", "VV-VH"]
    level = pixel_level(decibels, ["VV", "VH"])
    np.testing.assert_array_equal(level, [decibels[0], decibels[1], decibels[0] - decibels[1]])


def test_which_bands_make_which_level() -> None:
    assert pixel_bands([None, "VH", "B09", "B8A", "B02", "VV", None]) == ["B02", "B8A", "B09", "VV", "VH"]
    sixty = {"B01", "B09", "B10"}
    assert pixel_names(S2_BANDS) == [*(band for band in S2_BANDS if band not in sixty), "NDVI", "NDWI", "NDMI"]
    assert surroundings_names(["B01", "B02"]) == ["B01 mean 6x6", "B02 mean 6x6", "B01 sd 6x6", "B02 sd 6x6"]


def test_level_0_is_never_empty() -> None:
    assert pixel_names(["B01", "B09"]) == ["B01", "B09"]
    x = reflectance(2, 4, 4)
    np.testing.assert_array_equal(pixel_level(x, ["B01", "B09"]), x)


@pytest.mark.parametrize("share", [1.0, 0.95, 0.5])
@pytest.mark.parametrize("unit", ["reflectance", "decibels"])
def test_surroundings_against_plain_loops(share: float, unit: str) -> None:
    x = reflectance(2, HEIGHT, WIDTH)
    if unit == "decibels":
        x = 40 * x - 25
    valid = np.random.default_rng(1).uniform(size=(HEIGHT, WIDTH)) < share
    # What lies in an invalid pixel must not matter.
    x[:, ~valid] = 1e4
    level, known = surroundings_level(x, valid)
    assert level.shape == (4, 150, 5)
    assert level.dtype == np.float32
    assert np.isfinite(level).all()
    for number, band in enumerate(x):
        mean, deviation, expected = plainly(band, valid)
        np.testing.assert_array_equal(known, expected)
        tolerance = 1e-6 if unit == "reflectance" else 1e-5
        np.testing.assert_allclose(level[number][known], mean[known], atol=tolerance)
        np.testing.assert_allclose(level[2 + number][known], deviation[known], atol=tolerance)
    assert known.all() if share > 0.9 else 0.3 < known.mean() < 0.8


def test_a_cell_needs_half_of_its_block() -> None:
    x, valid = reflectance(1, 10, 6), np.zeros((10, 6), bool)
    valid[1:3, 1:5] = True
    valid[5, 1:5] = valid[6, 1:4] = True
    # Around both blocks all is valid; it is the block that counts.
    valid[:, [0, 5]] = valid[[0, 9]] = True
    _, known = surroundings_level(x, valid)
    np.testing.assert_array_equal(known, [[True], [False]])


@pytest.mark.parametrize(("level", "spread"), [(0.9, 1e-3), (1.6, 1e-4), (-15.0, 1e-2)])
def test_a_small_deviation_far_from_zero_and_from_the_rest_of_the_band(level: float, spread: float) -> None:
    """The mean of squares less the square of the mean would be off by a part of the deviation here."""
    rng = np.random.default_rng(0)
    x = np.full((1, 402, 42), 0.02, np.float32)
    x[:, :200] = level + spread * rng.normal(size=(1, 200, 42))
    x[:, 200:300] = level
    mean, deviation = surroundings_level(x, np.ones(x.shape[1:], bool))[0]
    expected, expected_deviation, _ = plainly(x[0], np.ones(x.shape[1:], bool))
    np.testing.assert_allclose(mean, expected, rtol=3e-7)
    np.testing.assert_allclose(deviation[:49], expected_deviation[:49], rtol=1e-2)
    assert deviation[51:74].max() < 1e-6
    assert deviation[76:].max() < 1e-6


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 120), st.integers(0, 12), st.integers(1, 40), st.integers(1, 8), st.booleans())
def test_a_cell_is_the_same_however_the_image_is_cut(row: int, col: int, height: int, width: int, masked: bool) -> None:
    x = 30 * reflectance(1, 4 * 160 + 2, 4 * 20 + 2, seed=2) - 20
    valid = np.random.default_rng(3).uniform(size=x.shape[1:]) < (0.9 if masked else 2)
    whole, whole_known = surroundings_level(x, valid)
    part = np.s_[
        STRIDE * row : STRIDE * (row + height) + 2 * MARGIN, STRIDE * col : STRIDE * (col + width) + 2 * MARGIN
    ]
    level, known = surroundings_level([band[part] for band in x], valid[part])
    cells = np.s_[row : row + height, col : col + width]
    np.testing.assert_array_equal(known, whole_known[cells])
    np.testing.assert_array_equal(level[:, known], whole[(slice(None), *cells)][:, known])
