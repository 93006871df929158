# SPDX-License-Identifier: GPL-2.0-or-later
"""What `inspect` finds in real images is what they are, and what the documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tabulate_inputs
from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.scenes import inspect

if TYPE_CHECKING:
    from pathlib import Path

ESA = S2_BANDS
EUROSAT = (*(band for band in ESA if band != "B8A"), "B8A")
L2A = tuple(band for band in ESA if band != "B10")
TEN = tuple(band for band in L2A if band not in ("B01", "B09"))
FILES = tuple(sorted(ESA))
L2A_FILES = tuple(sorted(L2A))

# From the data's own description: level, bands in file order, quantification, offset.
TRUTH = {
    "aberystwyth/s2_10band_mosaic.tif": ("L2A", TEN, 1000, 0),
    "bigearthnet/S2A_MSIL2A_20170617T113321_36_85": ("L2A", L2A_FILES, 10000, 0),
    "boadella/Boadella_2020-01-13.tif": ("L2A", L2A, 10000, 0),
    "boadella/Boadella_2020-01-28.tif": ("L2A", L2A, 10000, 0),
    "havel_l1c/bands": ("L1C", FILES, 10000, 0),
    "havel_l1c/s2l1c_13band_10m.tif": ("L1C", ESA, 10000, 0),
    "sen1floods11/India_900498_S2Hand.tif": ("L1C", ESA, 10000, 0),
    "sen1floods11/Spain_7370579_S2Hand.tif": ("L1C", ESA, 10000, 0),
    "sen1floods11/Spain_7370579_S1Hand.tif": ("GRD", S1_BANDS, 1, 0),
    "ssl4eo_patch/20201002T221611_20201002T221610_T60HWB.tif": ("L1C", ESA, 10000, 0),
    "terramesh/S1RTC/282D_485L_3_3.tif": ("RTC", S1_BANDS, 1, 0),
    "terramesh/S1RTC/433D_629L_3_1.tif": ("RTC", S1_BANDS, 1, 0),
    "terramesh/S1RTC/637U_59R_1_3.tif": ("RTC", S1_BANDS, 1, 0),
    "terramesh/S2L1C/282D_485L_3_3.tif": ("L1C", ESA, 10000, -1000),
    "terramesh/S2L1C/433D_629L_3_1.tif": ("L1C", ESA, 10000, -1000),
    "terramesh/S2L1C/637U_59R_1_3.tif": ("L1C", ESA, 10000, 0),
    "terramesh/S2L2A/282D_485L_3_3.tif": ("L2A", L2A, 10000, 0),
    "terramesh/S2L2A/433D_629L_3_1.tif": ("L2A", L2A, 10000, -1000),
    "terramesh/S2L2A/637U_59R_1_3.tif": ("L2A", L2A, 10000, 0),
}
NO_IMAGES = ("sen1floods11/Spain_7370579_LabelHand.tif", "terramesh/DEM", "terramesh/LULC")


@pytest.mark.parametrize("name", TRUTH)
def test_level_bands_scale_and_offset_of_real_images(shared_data: Path, name: str) -> None:
    level, bands, quantification, offset = TRUTH[name]
    info = inspect(shared_data / name)
    assert (info.level, info.bands, info.quantification, info.offset) == (level, bands, quantification, offset)
    assert info.needs == ()
    assert info.unit == ("db" if bands == S1_BANDS else "dn")
    # Names that the file does not carry are never taken for granted.
    assert info.named or any("have no names" in warning for warning in info.warnings)


def test_every_eurosat_patch(shared_data: Path) -> None:
    patches = sorted((shared_data / "eurosat").rglob("*.tif"))
    assert len(patches) == 100
    for patch in patches:
        info = inspect(patch)
        assert (info.level, info.bands, info.quantification, info.offset) == ("L1C", EUROSAT, 10000, 0), patch
        assert info.needs == ()
        assert "have no names" in info.warnings[0]


def test_no_image_is_left_out_and_labels_and_heights_are_asked_for(shared_data: Path) -> None:
    others = []
    for path in tabulate_inputs.scenes(shared_data):
        name = path.relative_to(shared_data).as_posix()
        if name.startswith(NO_IMAGES):
            assert inspect(path).needs
        elif not name.startswith("eurosat/"):
            others.append(name)
    assert sorted(others) == sorted(TRUTH)


def test_the_documented_table_is_what_inspect_finds(shared_data: Path) -> None:
    text = tabulate_inputs.PAGE.read_text("utf-8")
    documented = text.split(tabulate_inputs.BEGIN)[1].split(tabulate_inputs.END)[0].strip()
    assert tabulate_inputs.table(shared_data) == documented
