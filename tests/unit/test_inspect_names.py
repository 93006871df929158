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


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["HH", "HV"], "are HH and HV; use an image of VV and VH"),
        (["SR_QA", *[f"SR_B{i}" for i in range(1, 13)]], "are called SR_QA, SR_B1, SR_B2, SR_B3 ..., as no bands"),
        ([f"SR_B{i}" for i in range(1, 14)], "are called SR_B1"),
        ([None, "elevation", *[None] * 10], "are called elevation, as no bands"),
        (["elevation"], "is called elevation, which is no band"),
    ],
)
def test_foreign_names_are_asked_about_by_name(tmp_path: Path, names: list[str | None], words: str) -> None:
    values = backscatter() if len(names) == 2 else numbers([b for b in S2_BANDS if b != "B10" or len(names) == 13])
    info = inspect(write_raster(tmp_path / "s.tif", values[: len(names)], names))
    assert (info.sensor, info.bands) == (None, (None,) * len(names))
    assert words in info.needs[0]
    assert "no name" not in info.needs[0]


def test_foreign_names_of_lists_tags_and_files_are_asked_about(tmp_path: Path) -> None:
    listed = write_raster(tmp_path / "l.tif", backscatter(), [None] * 2, band_names="HH,HV")
    tagged = write_raster(tmp_path / "t.tif", backscatter(), [None] * 2)
    with rasterio.open(tagged, "r+") as dataset:
        dataset.update_tags(1, name="HH")
    (tmp_path / "files").mkdir()
    for name, value in zip(("a_hh", "a_hv"), backscatter(), strict=True):
        write_raster(tmp_path / "files" / f"{name}.tif", value[None], [None])
    assert [inspect(path).sensor for path in (listed, tagged, tmp_path / "files")] == [None] * 3


@pytest.mark.parametrize("text", ["{}", "Band {}", "layer.{}", "stack_{}", "x", "Gray"])
def test_numbers_and_one_text_for_all_leave_the_order_to_the_values(tmp_path: Path, text: str) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(), [text.format(i) for i in range(1, 14)])
    assert inspect(path).bands == S2_BANDS


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


@pytest.mark.parametrize(
    ("descriptions", "sure"),
    [(["blue", None, None], "likely"), ([None, "Gray", "red"], "likely"), (["Band 1"] * 3, "likely"),
     (["B2", "B3", "B4"], "certain"), (["Band 2", None, "Band 9"], "likely")],
)  # fmt: skip
def test_each_file_of_a_folder_is_called_by_what_speaks_of_it(
    tmp_path: Path, descriptions: list[str | None], sure: str
) -> None:
    for name, description in zip(("B02", "B03", "B04"), descriptions, strict=True):
        write_raster(tmp_path / f"{name}.tif", numbers([name]), [description])
    info = inspect(tmp_path)
    assert (info.bands, info.needs, info.named) == (("B02", "B03", "B04"), (), True)
    assert how(info, "bands") == ("read", sure)


def test_what_a_file_describes_as_something_else_is_not_called_otherwise(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(["B02", "B03", "B04", "B08"]), ["B02", "B03_std", None, None])
    with rasterio.open(path, "r+") as dataset:
        for number, wavelength in enumerate(("560", "490", "842"), start=2):
            dataset.update_tags(number, wavelength=wavelength)
    info = inspect(path)
    assert (info.bands, info.needs) == (("B02", None, None, "B08"), ())
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(3, wavelength="665")
    info = inspect(path)
    assert (info.bands, info.needs) == (("B02", None, "B04", "B08"), ())
    assert how(info, "bands") == ("read", "likely")


def test_a_guess_is_told_only_when_all_of_it_is(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(), [None] * 13)
    part = inspect(path, bands={1: "B01"})
    assert (part.bands, part.named, how(part, "bands")) == (S2_BANDS, False, ("inferred", "likely"))
    assert how(part, "sensor") == ("inferred", "likely")
    assert any("have no names" in warning for warning in part.warnings)
    whole = inspect(path, bands=dict(enumerate(S2_BANDS, start=1)))
    assert (whole.bands, whole.named, how(whole, "bands")) == (S2_BANDS, True, ("told", "certain"))


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
