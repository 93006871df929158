# SPDX-License-Identifier: GPL-2.0-or-later
"""Which band is which: names in descriptions, metadata and file names, and what the user says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_files import write_raster
from spectra_files import backscatter, numbers
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes import SceneInfo, inspect

if TYPE_CHECKING:
    from pathlib import Path

EARTH_SEARCH = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "cirrus", "swir16",
    "swir22",
)  # fmt: skip


def how(info: SceneInfo, field: str) -> tuple[str, str]:
    (finding,) = (finding for finding in info.findings if finding.field == field)
    return finding.how, finding.confidence


@pytest.mark.parametrize(
    "names",
    [
        [name.replace("B0", "B") for name in S2_BANDS],
        [f"{name} (reflectance)" for name in S2_BANDS],
        EARTH_SEARCH,
        [f"Band {name[1:].lstrip('0')}" for name in S2_BANDS],
    ],
)
def test_descriptions(tmp_path: Path, names: list[str]) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(), names))
    assert (info.sensor, info.bands, info.named) == ("S2", S2_BANDS, True)
    assert how(info, "bands")[0] == how(info, "sensor")[0] == "read"


def test_band_1_to_n_is_a_position_and_a_choice_of_numbers_is_not(tmp_path: Path) -> None:
    four = ["B02", "B03", "B04", "B08"]
    counted = inspect(write_raster(tmp_path / "a.tif", numbers(four), [f"Band {i}" for i in range(1, 5)]))
    assert counted.bands == (None,) * 4
    assert "have no names" in counted.needs[0]
    chosen = inspect(write_raster(tmp_path / "b.tif", numbers(four), ["Band 2", "Band 3", "Band 4", "Band 8"]))
    assert chosen.bands == tuple(four)
    assert how(chosen, "bands") == ("read", "likely")


def test_one_text_for_all_bands_says_nothing(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(["B04", "B08"]), ["red", "red"]))
    assert info.bands == (None, None)
    assert "have no names" in info.needs[0]


def test_wavelengths_and_lists_in_the_metadata(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "wave.tif", numbers(["B04", "B08"]), [None] * 2)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, wavelength="0.665", wavelength_units="Micrometers")
        dataset.update_tags(2, wavelength="832.8", wavelength_units="Nanometers")
    assert inspect(path).bands == ("B04", "B08")
    path = write_raster(tmp_path / "list.tif", numbers(["B04", "B08"]), [None] * 2, band_names="['B4', 'B8']")
    assert inspect(path).bands == ("B04", "B08")


@pytest.mark.parametrize(
    ("file", "name"),
    [("T33UUU_20170216T102101_B8A.tif", "B8A"), ("B02_10m.tif", "B02"), ("S2A_33UUU_0_L2A_red_edge_1.tif", "B05"),
     ("nir.tif", "B08"), ("elevation.tif", None), ("LC08_L2SP_SR_B4.tif", None)],
)  # fmt: skip
def test_the_name_of_a_file_with_one_band(tmp_path: Path, file: str, name: str | None) -> None:
    info = inspect(write_raster(tmp_path / file, numbers(["B08"]), [None]))
    assert info.bands == (name,)
    assert bool(info.needs) is (name is None)


def test_bands_that_are_no_reflectance_are_left_aside(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", numbers(S2_BANDS[:4]), ["B02", "B03", "SCL", "B04_std"]))
    assert info.bands == ("B02", "B03", None, None)
    assert info.needs == ()


def test_a_stack_of_both_sensors_is_read_as_sentinel_2(tmp_path: Path) -> None:
    values = np.concatenate([numbers(["B04", "B08"]).astype(np.float32), backscatter()])
    info = inspect(write_raster(tmp_path / "s.tif", values, ["B04", "B08", "VV", "VH"]))
    assert (info.sensor, info.bands) == ("S2", ("B04", "B08", None, None))
    assert any("VV and VH are left aside" in warning for warning in info.warnings)


def test_a_name_that_two_bands_bear_is_asked_for_and_can_be_told(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(["B02", "B04", "B04"]), ["B02", "B04", "red"])
    info = inspect(path)
    assert info.bands == ("B02", None, None)
    assert "Bands 2, 3" in info.needs[0]
    told = inspect(path, bands={3: "B04"})
    assert (told.bands, told.needs) == (("B02", None, "B04"), ())
    assert "band 2" in told.warnings[0]
    assert how(told, "bands") == ("told", "certain")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({9: "B02"}, "no band 9"),
        ({1: "Q7"}, "'Q7' is not a band"),
        ({1: "B02", 2: "B2"}, "Bands 1, 2 are all named B02"),
        ({1: "VV"}, "are of two sensors"),
    ],
)
def test_what_cannot_be_told(tmp_path: Path, told: dict[int, str], words: str) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(["B02", "B03", "B04"]), ["B02", "B03", "B04"])
    with pytest.raises(InputError, match=words):
        inspect(path, bands=told)


def test_complex_radar_is_asked_to_be_calibrated(tmp_path: Path) -> None:
    info = inspect(write_raster(tmp_path / "slc.tif", backscatter().astype(np.complex64), ["VV", "VH"]))
    assert info.sensor is None
    assert "complex" in info.needs[0]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(13)), offset=st.sampled_from([0, 1000]))
def test_the_order_of_named_bands_changes_nothing(tmp_path: Path, order: list[int], offset: int) -> None:
    values = numbers(offset=offset)
    straight = inspect(write_raster(tmp_path / "a.tif", values))
    mixed = inspect(write_raster(tmp_path / "b.tif", values[order], [S2_BANDS[i] for i in order]))
    assert mixed.bands == tuple(S2_BANDS[i] for i in order)
    for field in ("sensor", "level", "quantification", "offset", "unit", "nodata", "needs"):
        assert getattr(mixed, field) == getattr(straight, field)
    assert mixed.offset == -offset
