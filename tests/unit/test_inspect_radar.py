# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit and scale of Sentinel-1 images, and which encoders take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scene_files import write_raster
from spectra_files import backscatter, numbers
from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes import inspect
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from pathlib import Path

DB = backscatter()
POWER = (10 ** (DB / 10)).astype(np.float32)
AMPLITUDE = np.sqrt(POWER)


@pytest.mark.parametrize(
    ("values", "unit", "quantification"),
    [
        (DB, "db", 1),
        (np.rint(DB * 100).astype(np.int16), "db", 100),
        (np.rint(DB).astype(np.int16), "db", 1),
        (POWER, "linear", 1),
        (AMPLITUDE, "amplitude", 1),
    ],
    ids=["dB", "hundredths", "whole dB", "power", "amplitude"],
)
def test_the_values_tell_the_unit(tmp_path: Path, values: Any, unit: str, quantification: float) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", values, S1_BANDS))
    assert (info.sensor, info.unit, info.quantification, info.offset) == ("S1", unit, quantification, 0)
    assert info.needs == ()
    assert any("No unit is written" in warning for warning in info.warnings) is (unit != "db")


@pytest.mark.parametrize(
    ("names", "values", "unit"),
    [
        (["Sigma0_VV_db", "Sigma0_VH_db"], DB, "db"),
        (["Gamma0_VV", "Gamma0_VH"], POWER, "linear"),
        (["Gamma0_VV", "Gamma0_VH"], DB, "db"),
        (["Amplitude_VV", "Amplitude_VH"], AMPLITUDE, "amplitude"),
    ],
)
def test_the_names_tell_the_unit(tmp_path: Path, names: list[str], values: Any, unit: str) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", values, names))
    assert (info.bands, info.unit, info.level) == (S1_BANDS, unit, "RTC" if "Gamma0" in names[0] else "GRD")
    assert info.warnings == info.needs == ()


def test_db_in_a_name_needs_values_below_zero(tmp_path: Path) -> None:
    power = inspect(write_raster(tmp_path / "S1_DB_2020.tif", POWER, S1_BANDS))
    assert power.unit == "linear"
    assert any("--unit db" in warning for warning in power.warnings)
    decibels = inspect(write_raster(tmp_path / "S1_dB_2021.tif", DB, S1_BANDS))
    assert decibels.unit == "db"
    assert not any("--unit db" in warning for warning in decibels.warnings)


def test_a_scale_of_1_calibrates_nothing(tmp_path: Path) -> None:
    stored = np.rint(AMPLITUDE * 500).astype(np.uint16)
    assert inspect(write_raster(tmp_path / "s.tif", stored, S1_BANDS, scale_factor="1.0")).needs


def test_whole_numbers_of_power_are_not_squared(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.rint(POWER * 5000).astype(np.uint16), S1_BANDS)
    assert inspect(path).needs[0].endswith("sigma0 = (DN * scale)^2.")
    assert inspect(path, unit="linear").needs[0].endswith("sigma0 = DN * scale.")


def test_what_is_told_of_unnamed_bands_waits_for_their_names(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", POWER, [None, None])
    info = inspect(path, unit="db", level="GRD")
    assert (info.sensor, info.level) == (None, None)
    assert "have no names" in info.needs[0]


def test_uncalibrated_amplitudes_need_their_scale(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.rint(AMPLITUDE * 500).astype(np.uint16), S1_BANDS)
    info = inspect(path)
    assert (info.unit, info.level, info.nodata) == ("amplitude", "GRD", 0)
    assert "calibrate it to sigma0" in info.needs[0]
    told = inspect(path, scale=0.002)
    assert (told.unit, told.quantification, told.needs) == ("amplitude", 500, ())


def test_eight_bit_radar_is_a_picture(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", (AMPLITUDE * 400).clip(0, 255).astype(np.uint8), S1_BANDS))
    assert "stretched for the eye" in info.needs[0]


def test_what_is_unlike_backscatter_is_said(tmp_path: Path) -> None:
    swapped = inspect(write_raster(tmp_path / "a.tif", DB, ["VH", "VV"]))
    assert any("VH" in w and "brighter than VV" in w for w in swapped.warnings)
    shifted = inspect(write_raster(tmp_path / "b.tif", DB - 30, S1_BANDS))
    assert sum("unlike land or water" in w for w in shifted.warnings) == 2


@pytest.mark.parametrize("unit", ["linear", "amplitude"])
def test_powers_below_zero_are_said(tmp_path: Path, unit: str) -> None:
    path = write_raster(tmp_path / "s.tif", DB, S1_BANDS)
    warnings = inspect(path, unit=unit).warnings
    assert sum("power and amplitude are positive" in warning and "--unit db" in warning for warning in warnings) == 2
    assert not any("positive" in warning for warning in inspect(path).warnings)


@pytest.mark.parametrize("offset", [np.nan, np.inf])
def test_the_offset_of_radar_is_a_number(tmp_path: Path, offset: float) -> None:
    with pytest.raises(InputError, match="no finite number"):
        inspect(write_raster(tmp_path / "s.tif", DB, S1_BANDS), offset=offset)


def test_terrain_corrected_radar_is_said_for_an_encoder_of_the_other(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", DB, S1_BANDS)
    assert "gamma0 (RTC)" in plan_bands(inspect(path, level="RTC"), S1_BANDS, "GRD").warnings[0]
    assert plan_bands(inspect(path, level="GRD"), S1_BANDS, "GRD").warnings == ()


def test_what_is_told_of_radar(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", POWER, [None, None])
    info = inspect(path, bands={1: "VV", 2: "vh"}, unit="Amplitude", level="rtc", nodata=0)
    assert (info.bands, info.unit, info.level, info.nodata) == (S1_BANDS, "amplitude", "RTC", 0)
    with pytest.raises(InputError, match="'reflectance' is no unit of a radar image"):
        inspect(path, bands={1: "VV", 2: "VH"}, unit="reflectance")
    with pytest.raises(InputError, match="'L2A' is no level of S1"):
        inspect(path, bands={1: "VV", 2: "VH"}, level="L2A")


@pytest.mark.parametrize(
    ("tags", "folder", "level", "sure"),
    [({"product_type": "GRD"}, "a", "GRD", "certain"), ({}, "S1RTC", "RTC", "likely"), ({}, "a", "GRD", "unsure")],
)
def test_the_level_of_radar(tmp_path: Path, tags: dict[str, str], folder: str, level: str, sure: str) -> None:
    (tmp_path / folder).mkdir()
    info = inspect(write_raster(tmp_path / folder / "s.tif", DB, S1_BANDS, **tags))
    (finding,) = (finding for finding in info.findings if finding.field == "level")
    assert (info.level, finding.confidence) == (level, sure)
    assert any("GRD" in warning for warning in info.warnings) is (sure == "unsure")


def test_encoders_and_images_of_other_sensors(tmp_path: Path) -> None:
    radar = inspect(write_raster(tmp_path / "radar.tif", DB, S1_BANDS))
    optical = inspect(write_raster(tmp_path / "optical.tif", numbers()))
    assert plan_bands(radar, S1_BANDS).sources == S1_BANDS
    assert plan_bands(optical, ("B04", "B03", "B02")).sources == ("B04", "B03", "B02")
    with pytest.raises(InputError, match=r"radar\.tif is a Sentinel-1 image, but the encoder takes Sentinel-2"):
        plan_bands(radar, S2_BANDS)
    with pytest.raises(InputError, match=r"optical\.tif is a Sentinel-2 image, but the encoder takes Sentinel-1"):
        plan_bands(optical, S1_BANDS)
    single = inspect(write_raster(tmp_path / "vv.tif", DB[:1], ["VV"]))
    with pytest.raises(InputError, match=r"lacks VH, .* \(it holds VV\); use an image with both polarisations"):
        plan_bands(single, S1_BANDS)
