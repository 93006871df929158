# SPDX-License-Identifier: GPL-2.0-or-later
"""What a raster is found to hold, and the reflectance read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scene_files import landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.grid import Window
from ssl4eo.scenes import inspect, open_scene
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from pathlib import Path


def test_names_scale_and_level_are_read(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(), level="L1C", scale="0.0001", offset="0", date="2017-02-16")
    info = inspect(path).to_dict()
    assert info["bands"] == list(S2_BANDS)
    assert (info["sensor"], info["level"], info["quantification"], info["offset"]) == ("S2", "L1C", 10000, 0)
    assert (info["unit"], info["nodata"], info["date"]) == ("dn", 0, "2017-02-16")
    assert info["warnings"] == info["needs"] == []


@pytest.mark.parametrize(
    ("tags", "quantification", "offset"),
    [
        ({"scale": "0.001"}, 1000, 0),
        ({"scale": "0.0001", "offset": "-0.1"}, 10000, -1000),
        ({"scale": "10000", "offset": "-1000"}, 10000, -1000),
        ({"scale": "nonsense"}, 10000, 0),
    ],
)
def test_scale_and_offset_tags(tmp_path: Path, tags: dict[str, str], quantification: float, offset: float) -> None:
    info = inspect(write_raster(tmp_path / "s.tif", landscape(), **tags))
    assert (info.quantification, info.offset) == (quantification, offset)


def test_an_assumed_scale_is_said(tmp_path: Path) -> None:
    assert "assumed reflectance = DN / 10000" in inspect(write_raster(tmp_path / "s.tif", landscape())).warnings[0]


def test_reflectance_as_floating_point(tmp_path: Path) -> None:
    values = (landscape() / 10000).astype(np.float32)
    info = inspect(write_raster(tmp_path / "s.tif", values))
    assert (info.quantification, info.unit, info.nodata) == (1, "reflectance", None)


def test_the_offset_left_in_is_seen_in_the_cirrus_band(tmp_path: Path) -> None:
    plain = write_raster(tmp_path / "plain.tif", landscape())
    shifted = write_raster(tmp_path / "shifted.tif", (landscape() + 1000).astype(np.uint16))
    info = inspect(shifted)
    assert info.offset == -1000
    assert any("+1000" in warning for warning in info.warnings)
    window = Window(0, 0, 100, 100)
    with open_scene(plain) as a, open_scene(shifted) as b:
        np.testing.assert_allclose(a.read(window, S2_BANDS)[0], b.read(window, S2_BANDS)[0], atol=1e-6)


def test_overruling(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(3), [None] * 3)
    info = inspect(path, bands={1: "B4", 2: "green", 3: "B02"}, scale=0.001, offset=-5)
    assert info.bands == ("B04", "B03", "B02")
    assert (info.quantification, info.offset, info.needs) == (1000, -5, ())
    for wrong, words in (
        ({9: "B02"}, "no band 9"),
        ({1: "Q7"}, "'Q7' is not a band"),
        ({1: "B02", 2: "B2"}, "all named B02"),
    ):
        with pytest.raises(InputError, match=words):
            inspect(path, bands=wrong)
    with pytest.raises(InputError, match="scale -1 is not positive"):
        inspect(path, scale=-1)


def test_bands_are_found_by_name_and_not_by_position(tmp_path: Path) -> None:
    values = landscape()
    order = list(range(13))[::-1]
    write_raster(tmp_path / "a.tif", values)
    write_raster(tmp_path / "b.tif", values[order], [S2_BANDS[i] for i in order])
    window = Window(10, 20, 50, 40)
    with open_scene(tmp_path / "a.tif") as a, open_scene(tmp_path / "b.tif") as b:
        first, second = a.read(window, ["B08", "B02"]), b.read(window, ["B08", "B02"])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_allclose(first[0][0], values[7, 20:60, 10:60] / 10000, rtol=1e-5)


def test_missing_pixels_are_invalid_and_black_cirrus_is_not(tmp_path: Path) -> None:
    values = landscape()
    values[:, :10] = 0
    values[3, 50, 60] = 0
    values[S2_BANDS.index("B10"), 100:] = 0
    with open_scene(write_raster(tmp_path / "s.tif", values)) as scene:
        reflectance, valid = scene.read(scene.grid.window, S2_BANDS)
    assert not valid[:10].any()
    assert not valid[50, 60]
    assert valid.sum() == valid.size - 10 * 240 - 1
    assert (reflectance[:, ~valid] == 0).all()


def test_nan_is_invalid(tmp_path: Path) -> None:
    values = (landscape() / 10000).astype(np.float32)
    values[2, 5, 7] = np.nan
    with open_scene(write_raster(tmp_path / "s.tif", values, nodata=np.nan)) as scene:
        reflectance, valid = scene.read(scene.grid.window, S2_BANDS)
    assert np.isfinite(reflectance).all()
    assert np.argwhere(~valid).tolist() == [[5, 7]]


def test_beyond_the_border_pixels_are_mirrored_and_invalid(tmp_path: Path) -> None:
    with open_scene(write_raster(tmp_path / "s.tif", landscape())) as scene:
        whole, _ = scene.read(Window(0, 0, 240, 200), ["B02"])
        out, valid = scene.read(Window(-3, 195, 10, 10), ["B02"])
    np.testing.assert_array_equal(out[0, :5, 3:], whole[0, 195:, :7])
    np.testing.assert_array_equal(out[0, :5, :3], whole[0, 195:, :3][:, ::-1])
    assert valid[:5, 3:].all()
    assert valid.sum() == 5 * 7


def test_stand_ins_are_said_and_the_rest_is_refused(tmp_path: Path) -> None:
    ten = [band for band in S2_BANDS if band not in ("B01", "B09", "B10")]
    info = inspect(write_raster(tmp_path / "ten.tif", landscape(10), ten))
    plan = plan_bands(info, S2_BANDS)
    assert plan.sources == ("B02", *S2_BANDS[1:9], "B8A", None, "B11", "B12")
    assert plan.warnings == (
        "B01 is missing: B02 x 1.15 stands in for it.",
        "B09 is missing: B8A x 0.32 stands in for it.",
        "B10 is missing: zero stands in for it.",
    )
    with open_scene(tmp_path / "ten.tif") as scene:
        pixels, _ = scene.read(Window(0, 0, 8, 8), plan.sources)
    made = plan.apply(pixels)
    np.testing.assert_allclose(made[0] / pixels[1], 1612.9 / 1397.6, rtol=1e-5)
    np.testing.assert_allclose(made[9] / pixels[8], 837.7 / 2581.0, rtol=1e-5)
    np.testing.assert_array_equal(np.delete(made, [0, 9], axis=0), np.delete(pixels, [0, 9], axis=0))
    assert not made[10].any()
    few = inspect(write_raster(tmp_path / "few.tif", landscape(3), ["B02", "B03", "B04"]))
    with pytest.raises(InputError, match=r"lacks B05, B06, .* \(it holds B02, B03, B04\)"):
        plan_bands(few, S2_BANDS)


@pytest.mark.parametrize(
    ("values", "names", "crs", "words"),
    [
        (landscape(3).astype(np.uint8), [None] * 3, "EPSG:32633", "3 unnamed 8-bit bands, like a photo"),
        (landscape(), [None] * 13, "EPSG:32633", r"13 bands of .* have no names .* --bands \"1=B02"),
        (landscape(), S2_BANDS, None, "has no coordinate reference system"),
    ],
)
def test_scenes_of_which_something_must_be_said(
    tmp_path: Path, values: Any, names: Any, crs: str | None, words: str
) -> None:
    path = write_raster(tmp_path / "s.tif", values, names, crs=crs)
    assert inspect(path).needs
    with pytest.raises(InputError, match=words), open_scene(path):
        pass


def test_what_is_no_raster(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path, words in (
        (tmp_path / "gone.tif", "gone.tif does not exist"),
        (tmp_path / "notes.txt", "notes.txt is not a raster"),
        (tmp_path, "holds no band files"),
    ):
        with pytest.raises(InputError, match=words):
            inspect(path)
