# SPDX-License-Identifier: GPL-2.0-or-later
"""Gaps that no file declares, and bands that hold nothing, leave the rest of an image as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from encoder_files import random_encoders
from rasterio.crs import CRS
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.features import FeatureSet, encode, tiling
from ssl4eo.features.engine import sample
from ssl4eo.features.engine.work import Work
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes import harmonise, inspect, open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UTM = CRS.from_epsg(32633)
COLOURS = "moco-resnet18-rgb"


def decibels(height: int = 60, width: int = 80) -> NDArray[np.float32]:
    """Return VV and VH about as bright as SSL4EO-S12's, all between -40 and 0."""
    noise = np.random.default_rng(1).uniform(-3, 3, (2, height, width))
    return (np.asarray([-12.5, -20.2])[:, None, None] + noise).astype(np.float32)


@pytest.mark.parametrize(("dtype", "factor", "fill"), [("float32", 1, -9999), ("int16", 100, -32768)])
def test_an_undeclared_fill_is_not_interpolated_with(tmp_path: Path, dtype: str, factor: float, fill: float) -> None:
    stored = np.rint(decibels() * factor).astype(dtype)
    stored[:, 20:30] = fill
    # Of one band only, and less than thinning would have to show.
    stored[0, 50, 60] = fill
    path = write_raster(tmp_path / "s1.tif", stored, S1_BANDS, level="RTC")
    info = inspect(path)
    assert info.nodata == fill
    for shift, gap in ((0, 10 * 80 + 1), (0.5, 9 * 79)):
        with open_scene(path, Grid(UTM, ORIGIN @ Affine.translation(shift, shift), 79, 59)) as scene:
            values, valid = scene.read(scene.grid.window, S1_BANDS)
        assert -40 < values[:, valid].min() < values[:, valid].max() < 0
        assert gap - 200 < (~valid).sum() < gap + 200
    assert harmonise(path, tmp_path / "out.tif")["bands"] == ["VV", "VH"]
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert np.nanmin(dataset.read()) > -40


def test_radar_of_20_m_with_an_undeclared_fill_is_brought_to_10(tmp_path: Path) -> None:
    stored = decibels()
    stored[:, 20:30] = -9999
    path = write_raster(tmp_path / "s1.tif", stored, S1_BANDS, transform=ORIGIN @ Affine.scale(2), level="RTC")
    harmonise(path, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as dataset:
        found = dataset.read()
    assert np.nanmin(found) > -40
    assert np.isnan(found[:, 42:58]).all()


@pytest.mark.parametrize("stated", [None, -9999])
def test_bands_of_two_resolutions_with_an_undeclared_fill(tmp_path: Path, stated: float | None) -> None:
    """`stated` is what the finer file says: of the coarser one it then holds too."""
    folder = tmp_path / "s"
    folder.mkdir()
    fine, coarse = (landscape(1, *size).astype(np.float32) / 10000 for size in ((60, 80), (30, 40)))
    fine[:, 20:40] = coarse[:, 10:20] = -9999
    write_raster(folder / "B02.tif", fine, [None], nodata=stated)
    write_raster(folder / "B11.tif", coarse, [None], transform=ORIGIN @ Affine.scale(2))
    for grid in (None, Grid(UTM, ORIGIN @ Affine.translation(0.5, 0.5), 79, 59)):
        with open_scene(folder, grid, offset=0) as scene:
            values, valid = scene.read(scene.grid.window, ["B02", "B11"])
        assert values.min() >= 0
        assert valid[:18].all()
        assert not valid[21:38].any()


def test_a_fill_that_a_file_s_type_cannot_hold_is_not_its_fill(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    write_raster(folder / "B02.tif", landscape(1, 60, 80).astype(np.float32), [None], nodata=-9999)
    whole = landscape(1, 30, 40)
    whole[:, 10:20] = 0
    write_raster(folder / "B11.tif", whole, [None], transform=ORIGIN @ Affine.scale(2))
    for told in (None, -9999.0, float("nan")):
        with open_scene(folder, scale=1e-4, offset=0, nodata=told) as scene:
            values, valid = scene.read(scene.grid.window, ["B02", "B11"])
        assert valid.sum() == 40 * 80
        assert values[1][valid].min() >= whole[whole > 0].min() / 10000


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_an_empty_band_is_left_aside_aloud(tmp_path: Path, dtype: str) -> None:
    values = landscape(13, 60, 80).astype(dtype)
    values[[S2_BANDS.index("B09"), S2_BANDS.index("B10")]] = 0
    path = write_raster(tmp_path / "s.tif", values, level="L1C", scale="0.0001", offset="0")
    info = inspect(path)
    # Cirrus may be zero everywhere.
    assert info.bands == tuple(None if band == "B09" else band for band in S2_BANDS)
    assert info.warnings == ("B09 (band 10) holds nothing but 0 and no data; it is left aside.",)
    result = harmonise(path, tmp_path / "out.tif")
    assert result["bands"] == [band for band in S2_BANDS if band != "B09"]
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert (dataset.read(2) == values[1]).all()


def test_a_band_that_covers_a_corner_is_not_empty(tmp_path: Path) -> None:
    values = landscape(2, 1100, 1100)
    # Every fifth pixel is looked at when an image of this size is thinned.
    values[1, :1099] = values[1, :, :1099] = 0
    path = write_raster(tmp_path / "s.tif", values, ["B02", "B03"], scale="0.0001", offset="0")
    assert inspect(path).bands == ("B02", "B03")
    values[1] = 0
    write_raster(path, values, ["B02", "B03"], scale="0.0001", offset="0")
    assert inspect(path).bands == ("B02", None)


def test_an_image_that_is_empty_keeps_its_names(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.zeros((3, 20, 20), np.uint16), ["B02", "B03", "B04"], scale="0.0001")
    assert inspect(path).bands == ("B02", "B03", "B04")


@pytest.mark.parametrize(("aerosol", "held"), [("none", 2), ("a few pixels", 1)])
def test_tiles_without_pixels_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aerosol: str, held: int
) -> None:
    """The encoder sees the colours; B01, which it does without, holds nothing or a corner of the last of four tiles."""
    monkeypatch.setattr(tiling, "TILE", 128)
    monkeypatch.setattr(sample, "_TILES", 2)
    values = landscape(4, 20, 3 * 128 + 100)
    values[3] = 0
    if aerosol != "none":
        values[3, -4:, -4:] = 500
    path = write_raster(tmp_path / "s.tif", values, ["B02", "B03", "B04", "B01"], scale="0.0001", offset="0")
    kept: list[int] = []
    encode_all = Work.encode

    def spy(self: Work, sampled: dict[Window, Any], *arguments: Any) -> Any:
        kept.append(len(sampled))
        return encode_all(self, sampled, *arguments)

    monkeypatch.setattr(Work, "encode", spy)
    with random_encoders(tmp_path / "weights", (COLOURS,)):
        encode(path, tmp_path / "set", encoder=COLOURS, device="cpu", precision="fp32")
    assert kept == [held]
    pixels, around, *deep = (level.read(level.grid.window)[0] for level in FeatureSet.open(tmp_path / "set").levels)
    assert np.isfinite(pixels).sum() == (pixels.size if aerosol == "none" else 16)
    assert np.isfinite(around).sum() == (around.size if aerosol == "none" else 1)
    # A gap in a band that the encoder does without is none to it.
    assert len(deep) == 4
    assert all(np.isfinite(level).all() for level in deep)
