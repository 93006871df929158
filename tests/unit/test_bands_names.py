# SPDX-License-Identifier: GPL-2.0-or-later
"""What others call the bands, and what is no band."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ssl4eo.bands import NATIVE_GSD, S1_BANDS, S2_BANDS, band_at_wavelength, canonical_band


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("B1", "B01"), ("B01", "B01"), ("b8a", "B8A"), ("B08 (842 nm)", "B08"), ("B08_10m", "B08"), ("B12,", "B12"),
        ("B4, central wavelength 665 nm", "B04"), ("Band 4: B08", "B08"), ("Sentinel-2 B4", "B04"),
        ("B4_median", "B04"),
        ("nir", "B08"), ("nir08", "B8A"), ("nir09", "B09"), ("swir16", "B11"), ("swir22", "B12"), ("rededge2", "B06"),
        ("red edge 1", "B05"), ("Red Edge 4 (864.7nm)", "B8A"), ("SWIR 1", "B11"), ("swir_2", "B12"),
        ("narrow NIR", "B8A"), ("NIR narrow", "B8A"), ("Near-Infrared", "B08"), ("Coastal aerosol", "B01"),
        ("Water vapour", "B09"), ("Band 4 - Red", "B04"), ("S2 L2A green", "B03"),
        ("nbart_nir_1", "B08"), ("nbart_nir_2", "B8A"), ("nbart_swir_2", "B11"), ("nbart_swir_3", "B12"),
        ("842 nm", "B08"), ("0.865 um", "B8A"), ("0.49 \N{MICRO SIGN}m", "B02"), ("1613.7 nanometers", "B11"),
        ("T33UUU_20170216T102101_B8A", "B8A"), ("S2A_MSIL2A_20170617T113321_36_85_B01", "B01"), ("20200101_B4", "B04"),
        ("VV", "VV"), ("vh", "VH"), ("Sigma0_VV_db", "VV"), ("Gamma0_VH", "VH"), ("Amplitude_VV", "VV"),
        ("s1a-iw-grd-vv-20200101t054500-20200101t054525-030000-037000-001", "VV"),
    ],
)  # fmt: skip
def test_names_in_every_common_form(text: str, name: str) -> None:
    assert canonical_band(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "Band 4", "4", "", None, "B13", "B00", "B8B", "HV", "swir", "red edge",
        "SR_B4", "LC08_L2SP_192024_B5", "HLS.L30.T33UUU.B05", "B5 (865 nm)", "655 nm", "482 nm",
        "B8/B4", "NDVI (B8,B4)", "VV/VH ratio", "view_zenith_B4", "B_detector_footprint_B4", "B04_std", "VV VH",
    ],
)  # fmt: skip
def test_a_position_another_satellite_or_something_derived_is_no_band(text: str | None) -> None:
    assert canonical_band(text) is None


@pytest.mark.parametrize(("text", "name"), [("Band 8A", "B8A"), ("band_4", "B04"), ("12", "B12"), ("Band 14", None)])
def test_numbers_are_bands_where_the_caller_knows_that(text: str, name: str | None) -> None:
    assert canonical_band(text, numbers=True) == name


def test_wavelengths_of_both_satellites_and_no_other() -> None:
    assert [band_at_wavelength(value) for value in (832.8, 842, 864, 2185.7, 2202.4)] == (
        ["B08", "B08", "B8A", "B12", "B12"]
    )
    assert [band_at_wavelength(value) for value in (482, 655, 853, 1240)] == [None] * 4


@given(
    st.sampled_from(S2_BANDS),
    st.sampled_from(["{}", " {} ", "{}_10m", "S2_{}", "{} (band)", "2017-02-16 {}", "T33UUU_20170216T102101_{}_60m"]),
    st.booleans(),
    st.booleans(),
)
def test_every_band_keeps_its_name_however_it_is_written(name: str, form: str, lower: bool, short: bool) -> None:
    code = f"B{int(name[1:])}" if short and name != "B8A" else name
    text = form.format(code.lower() if lower else code)
    assert canonical_band(text) == name


@given(st.text(max_size=30) | st.lists(st.sampled_from(["red", "infra", "edge", "1", "b4", "B8A", "s2"])).map("_".join))
def test_any_text_is_a_known_band_or_none(text: str) -> None:
    for tail in (False, True):
        assert canonical_band(text, tail=tail) in (*S2_BANDS, *S1_BANDS, None)


def test_every_band_has_a_ground_sampling_distance() -> None:
    assert set(NATIVE_GSD) == set(S2_BANDS)
    assert len(S2_BANDS) == 13
