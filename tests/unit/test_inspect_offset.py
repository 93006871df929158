# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the +1000 of processing baseline 04.00 is in a Sentinel-2 image, and what to say where that is doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scene_files import write_raster
from spectra_files import numbers, reflectances
from ssl4eo.bands import S2_BANDS
from ssl4eo.scenes import inspect

if TYPE_CHECKING:
    from pathlib import Path

L2A = tuple(band for band in S2_BANDS if band != "B10")


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
    ("name", "found"),
    [
        ("mosaic_N5230_E0130", 0),
        ("mosaic_N0530_E0130_L2A", 0),
        ("S2A_MSIL2A_mosaic_N0530", 0),
        ("S2A_MSIL2A_20220301T102101_N0400_R065_T33UUU_20220301T140000", -1000),
        ("S2A_MSIL2A_20220301_N0510", -1000),
    ],
)
def test_a_latitude_is_no_baseline(tmp_path: Path, name: str, found: float) -> None:
    values = numbers(L2A, 1500, covers=("soil", "soil"))
    assert inspect(write_raster(tmp_path / f"{name}.tif", values, L2A)).offset == found


@pytest.mark.parametrize("scale", [1.0, 1000.0, 10000.0])
@pytest.mark.parametrize("tags", [{}, {"offset": "0"}])
def test_the_remedy_is_in_the_stored_unit(tmp_path: Path, scale: float, tags: dict[str, str]) -> None:
    names, covers = (L2A, ("forest", "water")) if tags else (L2A, ("soil", "soil"))
    values = (reflectances(names, covers=covers) + 0.1) * scale
    values = values.astype(np.float32) if scale == 1 else np.rint(values).astype(np.uint16)
    info = inspect(write_raster(tmp_path / "s.tif", values, names, scale=str(1 / scale), **tags))
    assert info.offset == 0
    (warning,) = (warning for warning in info.warnings if "+1000" in warning)
    assert f"--offset {-0.1 * scale:g} " in warning


def test_a_written_zero_is_doubted_without_cirrus_too(tmp_path: Path) -> None:
    for offset, doubted in ((1000, True), (0, False)):
        values = numbers(L2A, offset, covers=("forest", "field", "water"))
        info = inspect(write_raster(tmp_path / "s.tif", values, L2A, scale="0.0001", add_offset="0"))
        assert info.offset == 0
        assert any("no band goes below" in warning for warning in info.warnings) is doubted


@pytest.mark.parametrize(("level", "dark", "found"), [("L2A", 800, -1000), ("L2A", 300, 0), ("L1C", 800, 0)])
def test_level_2a_may_go_below_zero_with_the_offset_in(tmp_path: Path, level: str, dark: int, found: float) -> None:
    values = numbers(L2A, 1000, covers=("forest", "field"))
    values[L2A.index("B11"), :8] = dark
    product = f"S2A_MSI{level}_20220301T102101_N0400_R065_T33UUU_20220301T140000.tif"
    info = inspect(write_raster(tmp_path / product, values, L2A))
    assert info.offset == found
    assert any("B11 has values below 900" in warning and "--offset" in warning for warning in info.warnings)


def test_a_written_offset_of_level_2a_is_not_doubted_for_a_shadow(tmp_path: Path) -> None:
    for dark, doubted in ((800, False), (300, True)):
        values = numbers(L2A, 1000, covers=("forest", "field"))
        values[L2A.index("B11"), :8] = dark
        path = write_raster(tmp_path / "s.tif", values, L2A, level="L2A", scale="0.0001", boa_add_offset="-1000")
        info = inspect(path)
        assert info.offset == -1000
        assert any("B11 has values too low" in warning for warning in info.warnings) is doubted
