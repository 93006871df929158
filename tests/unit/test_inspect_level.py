# SPDX-License-Identifier: GPL-2.0-or-later
"""Level and date of Sentinel-2 images, from metadata, names and bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scene_files import write_raster
from spectra_files import numbers
from ssl4eo.bands import S2_BANDS
from ssl4eo.scenes import inspect
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from pathlib import Path

L2A = tuple(band for band in S2_BANDS if band != "B10")
FOUR = ("B02", "B03", "B04", "B08")


@pytest.mark.parametrize(
    ("tags", "level"),
    [
        ({"level": "l1c"}, "L1C"),
        ({"PROCESSING_LEVEL": "Level-2A"}, "L2A"),
        ({"PRODUCT_TYPE": "S2MSI1C"}, "L1C"),
        ({"level": "surface reflectance (ARCSI)"}, "L2A"),
        ({"level": "TOA"}, "L1C"),
        ({"PRODUCT_URI": "S2B_MSIL2A_20200101T101419_N0213_R022_T33UUU_20200101T121212.SAFE"}, "L2A"),
        ({"level": "3"}, None),
    ],
)
def test_levels_in_the_metadata(tmp_path: Path, tags: dict[str, str], level: str | None) -> None:
    assert inspect(write_raster(tmp_path / "s.tif", numbers(FOUR), FOUR, **tags)).level == level


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204.tif", "L1C"),
        ("havel_l1c/bands/s.tif", "L1C"),
        ("S2L2A/282D.tif", "L2A"),
        ("x/S2_SR_2020.tif", "L2A"),
        ("X_MSIL2A_Y.SAFE/GRANULE/G/IMG_DATA/R10m/s.tif", "L2A"),
        ("xl2ax/al1c.tif", None),
        ("l1c/a/b/s.tif", None),
        ("l2a/l1c/s.tif", "L1C"),
    ],
)
def test_levels_in_names(tmp_path: Path, path: str, level: str | None) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    assert inspect(write_raster(file, numbers(FOUR), FOUR)).level == level


@pytest.mark.parametrize(("names", "level"), [(S2_BANDS, "L1C"), (L2A, "L2A"), (FOUR, None)])
def test_levels_from_the_bands(tmp_path: Path, names: tuple[str, ...], level: str | None) -> None:
    assert inspect(write_raster(tmp_path / "s.tif", numbers(names), names)).level == level


def test_an_empty_cirrus_band_is_called_empty(tmp_path: Path) -> None:
    values = numbers()
    values[S2_BANDS.index("B10")] = 0
    info = inspect(write_raster(tmp_path / "s.tif", values))
    (level,) = (finding for finding in info.findings if finding.field == "level")
    assert (info.level, level.because.startswith("Cirrus (B10) is there but empty")) == ("L2A", True)


@pytest.mark.parametrize(("level", "warned"), [("L2A", True), ("L1C", False)])
def test_an_image_of_another_level_is_said_once(tmp_path: Path, level: str, warned: bool) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(L2A), L2A), level=level)
    warnings = plan_bands(info, S2_BANDS, "L1C").warnings
    assert len(warnings) == 1
    assert ("docs/missing-bands.md" in warnings[0]) is warned
    assert "B10" in warnings[0]
    assert plan_bands(info, ("B04", "B03", "B02"), "L1C").warnings == (warnings if warned else ())


def test_contradictions_are_said(tmp_path: Path) -> None:
    name = "S2A_MSIL2A_20170216T102101_N0204_R065_T33UUU_20170216T102204.tif"
    info = inspect(write_raster(tmp_path / name, numbers(), level="L1C"))
    assert info.level == "L1C"
    assert any("--level L2A" in warning for warning in info.warnings)
    cirrus = inspect(write_raster(tmp_path / "s.tif", numbers(), level="L2A"))
    assert cirrus.level == "L2A"
    assert any("no Level-2A product holds" in warning for warning in cirrus.warnings)


@pytest.mark.parametrize(
    ("file", "tags", "date"),
    [
        ("s.tif", {"date": "2017-02-16"}, "2017-02-16"),
        ("s.tif", {"datetime": "2021-07-23T13:22:41.000000000"}, "2021-07-23"),
        ("T33UUU_20170216T102101_stack.tif", {}, "2017-02-16"),
        ("Boadella_2020-01-13.tif", {}, "2020-01-13"),
        ("Spain_7370579.tif", {}, None),
        ("s_20171399.tif", {}, None),
        ("s.tif", {"TIFFTAG_DATETIME": "2024:01:02 03:04:05"}, None),
    ],
)
def test_dates(tmp_path: Path, file: str, tags: dict[str, str], date: str | None) -> None:
    assert inspect(write_raster(tmp_path / file, numbers(FOUR), FOUR, **tags)).date == date
