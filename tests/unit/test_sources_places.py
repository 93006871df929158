# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that lie upside down, turned, without a CRS, in feet, or beside something that is no band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes import inspect, open_scene
from ssl4eo.scenes.folders import band_of_file
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UTM = CRS.from_epsg(32633)
# Row 0 lies at the bottom of 60 rows, where GDAL's ENVI and netCDF drivers may put it.
SOUTH_UP = ORIGIN @ Affine(1, 0, 0, 0, -1, 60)
# A quarter turn: columns run south and rows run west, from the upper right corner of 80 columns.
TURNED = ORIGIN @ Affine(0, -1, 80, 1, 0, 0)


def band(height: int = 60, width: int = 80) -> NDArray[np.uint16]:
    return landscape(1, height, width)


@pytest.mark.parametrize(
    ("transform", "turn"), [(SOUTH_UP, lambda a: a[:, ::-1]), (TURNED, lambda a: np.rot90(a, 1, (1, 2)))]
)
def test_upside_down_and_turned_files_lie_on_their_ground(tmp_path: Path, transform: Affine, turn: Any) -> None:
    values = band()
    grid = Grid(UTM, ORIGIN, 80, 60)
    path = write_raster(tmp_path / "s.tif", turn(values), ["B02"], transform=transform)
    with open_raster(path, grid) as raster:
        np.testing.assert_array_equal(raster.read([1]), values)
    with open_raster(path) as raster:
        own = raster.grid
        assert own.resolution == (10, 10)
        assert own.bounds == grid.bounds
    # The other way round: a plain file on the grid of the turned one.
    plain = write_raster(tmp_path / "plain.tif", values, ["B02"])
    with open_raster(plain, own) as raster:
        np.testing.assert_array_equal(raster.read([1]), turn(values))


def test_bands_of_a_turned_scene_share_its_grid(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    write_raster(folder / "B02.tif", np.rot90(band(), 1, (1, 2)), [None], transform=TURNED)
    coarse = np.full((1, 40, 30), 700, np.uint16)
    write_raster(folder / "B11.tif", coarse, [None], transform=TURNED @ Affine.scale(2))
    with open_raster(folder) as raster:
        assert (raster.grid.width, raster.grid.height) == (60, 80)
        assert [band.gsd for band in raster.bands] == [10, 20]
        assert (raster.read([2]) == 700).all()


@pytest.mark.parametrize("turn", [0, 30, 90])
def test_finer_pixels_are_averaged_whichever_way_the_grid_lies(tmp_path: Path, turn: float) -> None:
    frame = np.full((4, 4), 2000, np.uint16)
    frame[1:3, 1:3] = 1000
    values = np.tile(frame, (15, 60))[None]
    path = write_raster(tmp_path / "fine.tif", values, ["B02"], transform=ORIGIN @ Affine.scale(0.25))
    place = ORIGIN @ Affine.translation(30, 7) @ Affine.rotation(turn)
    with open_raster(path, Grid(UTM, place, 5, 5)) as raster:
        found = raster.read([1])
    # The mean is 1750; interpolated between the middle pixels of a 4 x 4 it would be 1000.
    assert (found > 1600).all()


def test_a_scene_of_the_whole_earth_takes_one_of_a_place(tmp_path: Path) -> None:
    """The middle of the one lies where the other's CRS ends."""
    path = write_raster(tmp_path / "s.tif", np.full((1, 60, 80), 900, np.uint16), ["B02"], crs="EPSG:32660")
    with open_raster(path, Grid(CRS.from_epsg(4326), Affine(1e-3, 0, -180, 0, -1e-3, 90), 360_000, 180_000)) as raster:
        col, row = (int(value[0]) for value in raster.grid.colrow([174.505], [52.527]))
        assert set(np.unique(raster.read([1], Window(col - 20, row - 20, 40, 40)))) == {0, 900}


def test_what_lies_elsewhere_is_refused_upside_down_too(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", band(), ["B02"], transform=Affine.translation(9000, 0) @ SOUTH_UP)
    with pytest.raises(InputError, match=r"s\.tif does not overlap"), open_raster(path, Grid(UTM, ORIGIN, 80, 60)):
        pass


@pytest.mark.parametrize("grid", [None, Grid(UTM, ORIGIN, 80, 60)])
def test_radar_in_its_own_geometry_must_be_terrain_corrected(tmp_path: Path, grid: Grid | None) -> None:
    path = write_raster(
        tmp_path / "s1a-iw-grd-vv.tif", band(), ["VV"], crs=None, transform=Affine.identity() @ Affine.scale(1, 2)
    )
    corners = [(0, 0), (0, 80), (60, 0), (60, 80)]
    points = [GroundControlPoint(row, col, 13 + col / 1e4, 52 - row / 1e4) for row, col in corners]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = points, CRS.from_epsg(4326)
    need = next(need for need in inspect(path).needs if "reference system" in need)
    assert "terrain-correct it first (in SNAP: Radiometric, Calibrate; then Terrain Correction)" in need
    assert "gdal_edit" not in need
    if grid is not None:
        with pytest.raises(InputError, match="terrain-correct it first"), open_raster(path, grid):
            pass


@pytest.mark.parametrize(("step", "warned"), [(32.808, None), (65.617, "Pixels are about 20 m")])
def test_pixels_in_feet_are_measured_in_metres(tmp_path: Path, step: float, warned: str | None) -> None:
    # NAD83 / New York Long Island, in US survey feet.
    place = Affine(step, 0, 1_000_000, 0, -step, 200_000)
    path = write_raster(tmp_path / "s.tif", landscape(), crs="EPSG:2263", transform=place, scale="0.0001", offset="0")
    found = [warning for warning in inspect(path).warnings if "Pixels are" in warning]
    assert [warned in warning for warning in found if warned] == ([True] if warned else [])
    assert len(found) == (warned is not None)


def test_what_has_no_band_s_name_does_not_decide_the_grid(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    write_raster(folder / "B02.tif", band(), [None])
    write_raster(folder / "B11.tif", band(30, 40), [None], transform=ORIGIN @ Affine.scale(2))
    write_raster(folder / "aspect_2m.tif", band(300, 400), [None], transform=ORIGIN @ Affine.scale(0.2))
    degrees = Affine(1e-4, 0, 12.5, 0, -1e-4, 52.6)
    write_raster(folder / "dem.tif", band(2000, 3000), [None], crs="EPSG:4326", transform=degrees)
    with open_raster(folder) as raster:
        assert raster.grid == Grid(UTM, ORIGIN, 80, 60)
        assert [band_of_file(band.file) for band in raster.bands] == ["B02", "B11", None, None]
        np.testing.assert_array_equal(raster.read([1]), band())
    info = inspect(folder)
    place = next(finding for finding in info.findings if finding.field == "resolution")
    assert place.because == "The grid is that of the finest bands (10); interpolated to it are B11 of 20."
    assert not [warning for warning in info.warnings if "Pixels are" in warning]
    with open_scene(folder, scale=1e-4, offset=0) as scene:
        assert scene.read(scene.grid.window, ["B02", "B11"])[1].all()


def test_a_file_is_left_out_for_a_picture_s_word_only_where_it_names_no_band(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("cloud_free_2020_B02", "cloud_free_2020_B03", "snow_2020", "visual", "mask_B04"):
        write_raster(folder / f"{name}.tif", band(), [None])
    with open_raster(folder) as raster:
        assert [band_of_file(band.file) for band in raster.bands] == ["B02", "B03"]
