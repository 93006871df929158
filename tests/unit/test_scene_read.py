# SPDX-License-Identifier: GPL-2.0-or-later
"""What `Scene.read` gives: reflectance, decibels of every radar unit, and which pixels count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S1_BANDS
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes import open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def backscatter(height: int = 60, width: int = 80) -> NDArray[np.float32]:
    """Return decibels (2, H, W) of VV and VH about as bright as SSL4EO-S12's."""
    rng = np.random.default_rng(1)
    means = np.asarray([-12.5, -20.2])[:, None, None]
    return (means + rng.normal(0, 3, (2, height, width))).astype(np.float32)


@pytest.mark.parametrize("unit", ["db", "linear", "amplitude", "db x 100"])
def test_every_radar_unit_is_read_as_decibels(tmp_path: Path, unit: str) -> None:
    decibels = backscatter()
    stored = {
        "db": decibels,
        "linear": 10 ** (decibels / 10),
        "amplitude": 10 ** (decibels / 20),
        "db x 100": np.rint(decibels * 100).astype(np.int16),
    }[unit]
    path = write_raster(tmp_path / "s1.tif", stored, S1_BANDS)
    said = unit.partition(" ")[0]
    scale = 0.01 if "x" in unit else 1.0
    with open_scene(path, unit=said, scale=scale, level="GRD") as scene:
        values, valid = scene.read(scene.grid.window, ["VV", "VH"])
        swapped, _ = scene.read(scene.grid.window, ["VH", "VV"])
    assert valid.all()
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, decibels, atol=0.006 if "x" in unit else 1e-4)
    np.testing.assert_array_equal(swapped, values[::-1])


def test_the_scale_of_an_amplitude_is_squared(tmp_path: Path) -> None:
    # sigma0 = (DN * scale)^2: DN 200 at 0.001 is 0.04, or -13.98 dB.
    path = write_raster(tmp_path / "grd.tif", np.full((2, 20, 20), 200, np.uint16), S1_BANDS)
    with open_scene(path, unit="amplitude", scale=0.001, level="GRD") as scene:
        values, valid = scene.read(scene.grid.window, ["VV"])
    assert valid.all()
    np.testing.assert_allclose(values, 10 * np.log10(0.04), atol=1e-4)


def test_no_power_is_no_data(tmp_path: Path) -> None:
    power = 10 ** (backscatter() / 10)
    power[0, 3, 4], power[1, 5, 6], power[0, 7, 8] = 0, -0.001, np.nan
    path = write_raster(tmp_path / "s1.tif", power, S1_BANDS)
    with open_scene(path, unit="linear", level="RTC") as scene:
        values, valid = scene.read(scene.grid.window, ["VV", "VH"])
    assert np.isfinite(values).all()
    assert np.argwhere(~valid).tolist() == [[3, 4], [5, 6], [7, 8]]
    assert (values[:, ~valid] == 0).all()


def test_each_file_of_a_folder_has_its_own_nodata(tmp_path: Path) -> None:
    values = landscape(3)
    values[0, 10, 10], values[1, 20, 20], values[2, 30, 30] = 0, 65535, 65535
    folder = tmp_path / "scene"
    folder.mkdir()
    for i, (band, nodata) in enumerate((("B02", 0), ("B03", 65535), ("B04", 0))):
        write_raster(folder / f"{band}.tif", values[i : i + 1], [None], nodata=nodata, scale="0.0001", offset="0")
    with open_scene(folder) as scene:
        reflectance, valid = scene.read(scene.grid.window, ["B04", "B03", "B02"])
    assert np.argwhere(~valid).tolist() == [[10, 10], [20, 20]]
    assert reflectance[0, 30, 30] == pytest.approx(6.5535)
    with open_scene(folder, nodata=65535) as scene:
        assert np.argwhere(~scene.read(scene.grid.window, ["B04", "B03", "B02"])[1]).tolist() == [[20, 20], [30, 30]]


def test_a_coarse_band_that_ends_early_is_invalid_there_and_black_cirrus_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    write_raster(folder / "B02.tif", landscape(1, 60, 60), [None], scale="0.0001", offset="0", nodata=65535)
    coarse = ORIGIN @ Affine.scale(2)
    write_raster(folder / "B11.tif", landscape(1, 30, 20), [None], transform=coarse, scale="0.0001", offset="0")
    black = np.zeros((1, 30, 30), np.uint16)
    write_raster(folder / "B10.tif", black, [None], transform=coarse, scale="0.0001", offset="0")
    with open_scene(folder) as scene:
        _, valid = scene.read(scene.grid.window, ["B02", "B10", "B11"])
    assert valid[:, :40].all()
    assert not valid[:, 41:].any()


def test_a_scene_on_the_grid_of_another(tmp_path: Path) -> None:
    """The file tells what it holds; the other scene says where its pixels lie."""
    decibels = backscatter()
    crs = CRS.from_epsg(32633)
    path = write_raster(tmp_path / "s1.tif", decibels, S1_BANDS, unit="db", level="RTC")
    grid = Grid(crs, ORIGIN @ Affine.translation(10, -5), 50, 40)
    with open_scene(path, grid) as scene:
        assert scene.grid is grid
        info = scene.info
        assert (info.width, info.height, info.bounds, info.level, info.unit) == (50, 40, grid.bounds, "RTC", "db")
        values, valid = scene.read(Window(-2, 0, 52, 40), ["VV", "VH"])
    assert not valid[:, :2].any()
    assert not valid[:5].any()
    assert valid[5:, 2:].all()
    np.testing.assert_allclose(values[:, 5:, 2:], decibels[:, :35, 10:60], atol=1e-4)


def test_a_file_that_breaks_off_is_one_sentence(tmp_path: Path) -> None:
    # Large enough that looking at it leaves most rows unread and so out of GDAL's cache.
    path = write_raster(tmp_path / "s.tif", landscape(2, 1200, 1200), ["B03", "B04"], scale="0.0001", offset="0")
    with open_scene(path) as scene:
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(InputError, match=r"s\.tif cannot be read any more \(.*\); check the file"):
            scene.read(scene.grid.window, ["B03", "B04"])
