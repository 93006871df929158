# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel grids."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window, tiles

GRID = Grid(CRS.from_epsg(32633), Affine(10, 0, 330000, 0, -10, 5822040), 1536, 768)


def test_pixel_centres_and_back() -> None:
    xs, ys = GRID.xy([0.5, 1535.5], [0.5, 767.5])
    assert xs.tolist() == [330005, 345355]
    assert ys.tolist() == [5822035, 5814365]
    cols, rows = GRID.colrow(xs, ys)
    np.testing.assert_allclose([cols, rows], [[0.5, 1535.5], [0.5, 767.5]])


def test_box_on_pixel_edges_takes_no_neighbour() -> None:
    window = GRID.window_for_bbox((330100, 5821000, 330200, 5821100))
    assert window == Window(10, 94, 10, 10)


def test_box_is_clipped_to_the_image() -> None:
    assert GRID.window_for_bbox((0, 0, 330015, 9e6)) == Window(0, 0, 2, 768)


@pytest.mark.parametrize(
    ("bbox", "words"),
    [
        ((330200, 5821000, 330100, 5821100), "is empty"),
        ((330100, 5821000, 330100, 5821100), "is empty"),
        ((float("nan"), 0, 1, 1), "is empty"),
        ((0, 0, 10, 10), "outside the image, which covers 330000, 5814360, 345360, 5822040"),
    ],
)
def test_boxes_that_cannot_be_used(bbox: tuple[float, float, float, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        GRID.window_for_bbox(bbox)


@pytest.mark.parametrize(
    ("window", "words"),
    [(Window(0, 0, 0, 5), "is empty"), (Window(1536, 0, 5, 5), "outside the image of 1536 x 768")],
)
def test_windows_that_cannot_be_used(window: Window, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GRID.clip(window)


@given(
    st.integers(0, 900),
    st.integers(0, 900),
    st.integers(1, 900),
    st.integers(1, 900),
    st.sampled_from([32, 512]),
)
def test_tiles_cover_the_window_once_on_a_fixed_grid(col: int, row: int, width: int, height: int, size: int) -> None:
    window = Window(col, row, width, height)
    covered = 0
    for tile in tiles(window, size):
        assert tile.col % size == 0
        assert tile.row % size == 0
        common = tile.intersect(window)
        assert common is not None
        covered += common.width * common.height
    assert covered == width * height


def test_subgrid_keeps_the_place_on_the_ground() -> None:
    sub = GRID.subgrid(Window(100, 50, 10, 20))
    assert sub.bounds == (331000, 5821340, 331100, 5821540)
