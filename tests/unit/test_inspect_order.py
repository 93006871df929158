# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of bands without names, inferred from their values or asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from scene_files import write_raster
from spectra_files import backscatter, numbers
from ssl4eo.bands import S2_BANDS
from ssl4eo.scenes import inspect
from ssl4eo.scenes.order import ORDERS, guess_order

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = [order for orders in ORDERS.values() for order in orders.values()]


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("order", KNOWN, ids=lambda order: f"{len(order)}-{order[3]}-{order[-1]}")
def test_known_orders_are_recognised_with_a_warning(tmp_path: Path, order: tuple[str, ...], offset: int) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(order, offset), [None] * len(order)))
    assert (info.bands, info.needs, info.named) == (order, (), False)
    assert "have no names" in info.warnings[0]
    assert "--bands" in info.warnings[0]


@pytest.mark.parametrize("place", [3, 9])
def test_of_thirteen_bands_the_darkest_must_be_cirrus(tmp_path: Path, place: int) -> None:
    swapped = list(S2_BANDS)
    swapped[place], swapped[10] = swapped[10], swapped[place]
    info = inspect(write_raster(tmp_path / "s.tif", numbers(swapped), [None] * 13))
    assert info.bands == (None,) * 13
    assert "--bands" in info.needs[0]


def test_zeros_in_the_place_of_cirrus_are_no_level_1c(tmp_path: Path) -> None:
    values = numbers()
    values[10] = 0
    info = inspect(write_raster(tmp_path / "s.tif", values, [None] * 13))
    assert (info.bands, info.level) == (S2_BANDS, "L2A")


@pytest.mark.parametrize(
    "names",
    [
        S2_BANDS[:10],
        S2_BANDS[::-1],
        tuple(S2_BANDS[i] for i in (3, 2, 1, 7, 4, 5, 6, 8, 9, 0, 11, 12)),
        S2_BANDS[1:7],
    ],
)
def test_other_orders_are_asked_for(tmp_path: Path, names: tuple[str, ...]) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(names), [None] * len(names)))
    assert info.sensor is None
    assert "have no names" in info.needs[0]


EXCHANGES = [("B02", "B04"), ("B08", "B8A"), ("B03", "B05"), ("B01", "B12"), ("B11", "B12")]


@pytest.mark.parametrize(("a", "b"), EXCHANGES)
def test_two_bands_exchanged_in_real_images_are_asked_for(shared_data: Path, a: str, b: str) -> None:
    wrong = 0
    for patch in sorted((shared_data / "eurosat").rglob("*.tif")):
        with rasterio.open(patch) as dataset:
            # B8A is the last of EuroSAT's bands.
            planes = dict(zip((*(name for name in S2_BANDS if name != "B8A"), "B8A"), dataset.read(), strict=True))
        planes[a], planes[b] = planes[b], planes[a]
        wrong += guess_order(np.stack([planes[name] for name in S2_BANDS]).astype(float), ["uint16"] * 13) is not None
    # Of 100 patches, of which 98 passed for B08 and B8A, and 77 for B01 and B12.
    assert wrong <= (12 if (a, b) == ("B01", "B12") else 3)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("side", [64, 600])
def test_detail_tells_bands_of_10_m_from_those_of_20_m(tmp_path: Path, side: int, repeated: bool) -> None:
    names = tuple(ORDERS[10]["ESA's order"])
    values = numbers(names, side=side)
    for name in ("B05", "B06", "B07", "B8A", "B11", "B12"):
        plane = values[names.index(name)]
        if repeated:
            plane[:] = plane[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
    assert inspect(write_raster(tmp_path / "s.tif", values, [None] * 10)).bands == names
    i, j = names.index("B08"), names.index("B8A")
    values[[i, j]] = values[[j, i]]
    exchanged = inspect(write_raster(tmp_path / "x.tif", values, [None] * 10))
    assert (exchanged.bands == names) is not repeated


def test_the_first_ten_of_thirteen_are_never_taken_for_the_usual_ten(shared_data: Path) -> None:
    for patch in sorted((shared_data / "eurosat").rglob("*.tif")):
        with rasterio.open(patch) as dataset:
            # B8A is the last of EuroSAT's bands, B09 the ninth.
            values = dataset.read([*range(1, 9), 13, 9]).astype(float)
        assert guess_order(values, ["uint16"] * 10) is None, patch


def test_what_the_user_says_settles_the_guess(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(), [None] * 13)
    agreed = inspect(path, bands={1: "B01"})
    assert agreed.bands == S2_BANDS
    # One name that is wrong under the guess means that the guess is wrong.
    other = inspect(path, bands={1: "B04"})
    assert other.bands == ("B04", *[None] * 12)
    assert not any("have no names" in warning for warning in other.warnings)


def test_two_bands_of_decibels_are_radar(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", backscatter(), [None] * 2))
    assert (info.sensor, info.bands, info.unit) == ("S1", ("VV", "VH"), "db")
    assert "have no names" in info.warnings[0]


@pytest.mark.parametrize(
    "values",
    [
        backscatter()[::-1],
        10 ** (backscatter() / 10),
        np.stack([backscatter()[0], backscatter()[0] - 0.5]),
        np.full((2, 20, 20), np.nan, np.float32),
    ],
    ids=["VH first", "power", "too alike", "empty"],
)
def test_two_bands_that_may_be_something_else_are_asked_for(tmp_path: Path, values: np.ndarray) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", values.astype(np.float32), [None] * 2))
    assert (info.sensor, bool(info.needs)) == (None, True)


def test_vh_before_vv_is_offered_as_that(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", backscatter()[::-1], [None] * 2))
    assert 'which polarisation they are; tell with --bands "1=VH,2=VV"' in info.needs[0]


@pytest.mark.parametrize("count", [1, 3, 4, 13])
def test_pictures_are_no_images(tmp_path: Path, count: int) -> None:
    values = (numbers(S2_BANDS[:count]) // 20).astype(np.uint8)
    info = inspect(write_raster(tmp_path / "s.tif", values, [None] * count))
    assert info.sensor is None
    assert info.needs
