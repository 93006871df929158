# SPDX-License-Identifier: GPL-2.0-or-later
"""Scale, offset and "no data" of Sentinel-2 images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from scene_files import write_raster
from spectra_files import numbers, reflectances
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes import inspect

if TYPE_CHECKING:
    from pathlib import Path

L2A = tuple(band for band in S2_BANDS if band != "B10")
TEN = tuple(band for band in L2A if band not in ("B01", "B09"))


@pytest.mark.parametrize("scale", [100, 1000, 10000])
def test_vegetation_tells_the_scale(tmp_path: Path, scale: int) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(TEN, scale=scale), TEN, nodata=0))
    assert (info.quantification, info.unit, info.needs) == (scale, "dn", ())
    assert any("vegetation" in warning for warning in info.warnings) is (scale != 10000)


@pytest.mark.parametrize(("factor", "quantification", "unit"), [(1, 1, "reflectance"), (100, 100, "dn")])
def test_decimal_numbers(tmp_path: Path, factor: int, quantification: float, unit: str) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", (reflectances(TEN) * factor).astype(np.float32), TEN))
    assert (info.quantification, info.unit) == (quantification, unit)


def test_without_vegetation_the_scale_is_assumed_aloud(tmp_path: Path) -> None:
    values = numbers(TEN, covers=("soil", "water"))
    assert "assumed reflectance = DN / 10000" in inspect(write_raster(tmp_path / "s.tif", values, TEN)).warnings[0]


def test_a_scale_that_vegetation_contradicts_is_kept_and_said(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(TEN), TEN, scale="0.001"))
    assert info.quantification == 1000
    assert "--scale 0.0001" in info.warnings[0]


@pytest.mark.parametrize("stored", [np.uint16, np.float32])
@pytest.mark.parametrize("covers", [("forest", "water"), ("soil", "water")])
def test_a_scale_of_1_and_its_offset_of_0_say_nothing_of_large_numbers(
    tmp_path: Path, stored: Any, covers: tuple[str, ...]
) -> None:
    values = numbers(TEN, 1000, covers=covers).astype(stored)
    info = inspect(write_raster(tmp_path / "s.tif", values, TEN, scale_factor="1.0", add_offset="0.0"))
    assert (info.quantification, info.offset, info.unit) == (10000, -1000, "dn")
    assert any("+1000" in warning for warning in info.warnings)


def test_a_scale_of_1_is_that_of_reflectance(tmp_path: Path) -> None:
    values = reflectances(TEN).astype(np.float32)
    info = inspect(write_raster(tmp_path / "s.tif", values, TEN, scale_factor="1.0", add_offset="0.0"))
    assert (info.quantification, info.offset, info.unit, info.warnings) == (1, 0, "reflectance", ())
    assert {f.field for f in info.findings if f.confidence == "certain"} >= {"quantification", "offset"}


def test_the_unit_reflectance_means_the_values_as_they_stand(tmp_path: Path) -> None:
    stretched = write_raster(tmp_path / "a.tif", (reflectances(TEN) * 100).astype(np.float32), TEN)
    info = inspect(stretched, unit="reflectance")
    assert (info.quantification, info.unit) == (1, "reflectance")
    assert inspect(stretched, unit="reflectance", scale=1).quantification == 1
    with pytest.raises(InputError, match=r"reflectance and the scale 0\.01 contradict"):
        inspect(stretched, unit="reflectance", scale=0.01)
    with pytest.raises(InputError, match="holds whole numbers, which are no reflectance"):
        inspect(write_raster(tmp_path / "b.tif", numbers(TEN), TEN), unit="reflectance")


def test_scale_and_offset_of_the_bands(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(TEN, 1000), TEN)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [0.0001] * 10, [-0.1] * 10
    info = inspect(path)
    assert (info.quantification, info.offset, info.warnings) == (10000, -1000, ())


def test_eight_bit_bands_need_the_reflectance_or_its_scale(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (reflectances(TEN) * 255).astype(np.uint8), TEN)
    assert "stretched for the eye" in inspect(path).needs[0]
    told = inspect(path, scale=255)
    assert (told.quantification, told.needs) == (255, ())


@pytest.mark.parametrize(
    ("stored", "nodata", "told", "found"),
    [("uint16", None, None, 0), ("uint16", 65535, None, 65535), ("float32", None, None, None),
     ("float32", np.nan, None, None), ("uint16", None, 7, 7), ("uint16", 65535, float("nan"), None)],
)  # fmt: skip
def test_the_value_of_no_data(tmp_path: Path, stored: str, nodata: Any, told: Any, found: float | None) -> None:
    values = numbers(TEN) if stored == "uint16" else reflectances(TEN).astype(np.float32)
    path = write_raster(tmp_path / "s.tif", values, TEN, nodata=nodata)
    assert inspect(path, nodata=told).nodata == found


@pytest.mark.parametrize("fill", [0, -9999])
def test_gaps_in_decimal_numbers_are_found(tmp_path: Path, fill: float) -> None:
    values = reflectances(TEN).astype(np.float32)
    values[:, :5] = fill
    info = inspect(write_raster(tmp_path / "s.tif", values, TEN))
    assert (info.nodata, info.quantification, info.offset) == (fill, 1, 0)


def test_what_is_told_wins_and_is_said_to_be_told(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(), level="L1C", scale="0.0001", offset="0")
    info = inspect(path, scale=0.001, offset=-5, nodata=3, level="l2a", unit="DN")
    assert (info.quantification, info.offset, info.nodata, info.level, info.unit) == (1000, -5, 3, "L2A", "dn")
    told = {finding.field for finding in info.findings if finding.how == "told"}
    assert told == {"quantification", "offset", "nodata", "level", "unit"}


@pytest.mark.parametrize(
    ("shift", "overrule", "words"),
    [
        (0, {"offset": -30000}, "No reflectance is above 0"),
        (0, {"offset": 200000}, "Reflectances up to 20"),
        (0, {"scale": 1}, "Reflectances up to "),
        (-3000, {"scale": 0.0001}, "are below 0 (median "),
        (0, {"scale": 0.0001, "offset": 0}, None),
    ],
)
def test_what_is_no_reflectance_is_said(tmp_path: Path, shift: int, overrule: Any, words: str | None) -> None:
    values = numbers().astype(np.int16) + np.int16(shift)
    info = inspect(write_raster(tmp_path / "s.tif", values), **overrule)
    assert [w for w in info.warnings if "eflectance" in w] == [w for w in info.warnings if words and words in w]
    assert any(words in w for w in info.warnings) if words else info.warnings == ()
    assert info.offset == overrule.get("offset", 0)


def test_no_offset_is_proposed_where_the_scale_is_wrong(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(), scale="0.0001", offset="0"), scale=1)
    assert info.offset == 0
    assert [warning.split(" up to ")[0] for warning in info.warnings] == ["Reflectances"]


def test_an_image_without_a_valid_pixel_is_said_to_be_one(tmp_path: Path) -> None:
    values = np.zeros((13, 600, 600), np.uint16)
    empty = inspect(write_raster(tmp_path / "a.tif", values))
    assert any("No pixel is valid" in warning for warning in empty.warnings)
    assert empty.level is None
    # A preview misses these, and the whole image is looked at.
    values[:, 303, 303] = 800
    assert not any("No pixel" in warning for warning in inspect(write_raster(tmp_path / "b.tif", values)).warnings)


@pytest.mark.parametrize(
    ("overrule", "words"),
    [({"scale": -1}, "scale -1 is not positive"), ({"level": "GRD"}, "'GRD' is no level of S2; use L1C or L2A"),
     ({"unit": "db"}, "'db' is no unit of a Sentinel-2 image"), ({"offset": np.nan}, "offset nan is no finite number"),
     ({"offset": np.inf}, "offset inf is no finite number"), ({"nodata": -np.inf}, "nodata value -inf is no finite")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, overrule: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        inspect(write_raster(tmp_path / "s.tif", numbers()), **overrule)
