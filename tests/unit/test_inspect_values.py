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


@pytest.mark.parametrize("scale", [1.0, 1000.0, 10000.0])
@pytest.mark.parametrize("left_in", [False, True])
def test_cirrus_decides_the_offset_whatever_the_scale(tmp_path: Path, scale: float, left_in: bool) -> None:
    values = (reflectances() + 0.1 * left_in) * scale
    values = values.astype(np.float32) if scale == 1 else np.rint(values).astype(np.uint16)
    info = inspect(write_raster(tmp_path / "s.tif", values, scale=str(1 / scale)))
    assert info.offset == pytest.approx(-0.1 * scale if left_in else 0)


@pytest.mark.parametrize(
    ("offset", "covers", "found", "words"),
    [
        (0, ("forest", "soil"), 0, None),
        (1000, ("forest", "field", "water"), -1000, "seems to be in the file"),
        (1000, ("field", "field"), 0, "No pixel is dark enough"),
        (1500, ("soil", "soil"), 0, "No pixel is dark enough"),
        (600, ("soil", "soil"), 0, "No pixel is dark enough"),
    ],
)
def test_without_cirrus_the_darkest_pixels_decide(
    tmp_path: Path, offset: int, covers: tuple[str, ...], found: int, words: str | None
) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(L2A, offset, covers=covers), L2A, scale="0.0001"))
    assert info.offset == found
    assert [w for w in info.warnings if "+1000" in w] == [w for w in info.warnings if words and words in w]
    assert len(info.warnings) == (words is not None)


@pytest.mark.parametrize(
    ("product", "offset", "names", "found", "warned"),
    [
        ("S2A_MSIL2A_20220301T102101_N0400_R065_T33UUU_20220301T140000", 1000, L2A, -1000, False),
        ("S2A_MSIL2A_20220301T102101_N0510_R065_T33UUU_20220301T140000", 0, L2A, 0, True),
        ("S2A_MSIL2A_20170216T102101_N0204_R065_T33UUU_20170216T102204", 0, L2A, 0, False),
        ("S2A_MSIL1C_20220301T102101_N0400_R065_T33UUU_20220301T140000", 1000, S2_BANDS, -1000, False),
        ("S2A_MSIL1C_20220301T102101_N0400_R065_T33UUU_20220301T140000", 0, S2_BANDS, 0, True),
        ("S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204", 1000, S2_BANDS, -1000, True),
    ],
)
def test_the_baseline_in_the_name_and_the_values_against_it(
    tmp_path: Path, product: str, offset: int, names: tuple[str, ...], found: int, warned: bool
) -> None:
    info = inspect(write_raster(tmp_path / f"{product}.tif", numbers(names, offset), names))
    assert info.offset == found
    assert any("baseline" in warning for warning in info.warnings) is warned


@pytest.mark.parametrize(
    ("offset", "tags", "words"),
    [(0, {"offset": "-1000"}, "--offset 0"), (1000, {"offset": "0"}, "--offset -1000"),
     (1000, {"boa_add_offset": "-1000"}, None), (0, {"offset": "0"}, None)],
)  # fmt: skip
def test_a_written_offset_is_kept_and_its_doubts_are_said(
    tmp_path: Path, offset: int, tags: dict[str, str], words: str | None
) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(offset=offset), scale="0.0001", **tags))
    assert info.offset == float(next(iter(tags.values())))
    assert [words in warning for warning in info.warnings if words] == ([True] if words else [])
    assert len(info.warnings) == (words is not None)


def test_a_harmonised_image_says_so_in_its_name(tmp_path: Path) -> None:
    values = numbers(L2A, 600, covers=("field", "soil"))
    info = inspect(write_raster(tmp_path / "COPERNICUS_S2_SR_HARMONIZED.tif", values, L2A, scale="0.0001"))
    assert (info.offset, info.level, info.warnings) == (0, "L2A", ())


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
    ("overrule", "words"),
    [({"scale": -1}, "scale -1 is not positive"), ({"level": "GRD"}, "'GRD' is no level of S2; use L1C or L2A"),
     ({"unit": "db"}, "'db' is no unit of a Sentinel-2 image")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, overrule: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        inspect(write_raster(tmp_path / "s.tif", numbers()), **overrule)
