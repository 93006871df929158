# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that break while they are read, and images of odd shape and place, end in a sentence or in right values."""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.scene import reopen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.scenes import Scene

TOLD: dict[str, Any] = {"scale": 0.0001, "offset": 0.0, "level": "L1C"}
BANDS = ("B02", "B03", "B04")

FORMATS: dict[str, dict[str, Any]] = {
    "plain.tif": {"driver": "GTiff"},
    "strips.tif": {"driver": "GTiff", "compress": "deflate"},
    "tiles.tif": {"driver": "GTiff", "compress": "deflate", "tiled": True, "blockxsize": 128, "blockysize": 128},
    "lzw.tif": {"driver": "GTiff", "compress": "lzw", "tiled": True, "interleave": "band"},
    "s.jp2": {"driver": "JP2OpenJPEG", "quality": 100, "reversible": "yes", "blockxsize": 256, "blockysize": 256},
}


def made(path: Path, values: NDArray[np.uint16] | None = None, **place: Any) -> Path:
    """Write three named bands in the format of the file's name, large enough that opening reads little of it."""
    values = landscape(3, 1100, 1000) if values is None else values
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "dtype": "uint16"}
    place = {"crs": "EPSG:32633", "transform": ORIGIN, **place}
    with rasterio.open(path, "w", **FORMATS[path.name], **shape, **place) as dataset:
        dataset.write(values)
    return path


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    """Overwrite bytes in the middle, in place, and keep the size."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(np.random.default_rng(0).bytes(5000))


def empty(path: Path) -> None:
    """Lose all of a file."""
    path.write_bytes(b"")


def remove(path: Path) -> None:
    """Delete a file, which GDAL goes on reading where the system lets it."""
    path.unlink()


def told(count: int = 3) -> dict[str, Any]:
    """Return what must be said of unnamed bands."""
    return {**TOLD, "bands": dict(enumerate(BANDS[:count], start=1))}


def refused(scene: Scene, window: Window | None = None) -> str:
    """Return the sentence that reading ends in."""
    with pytest.raises(InputError) as caught:
        scene.read(window or scene.grid.window, [band for band in scene.info.bands if band])
    sentence = str(caught.value)
    assert sentence.count("\n") == 0
    assert sentence.endswith("; check the file.")
    return sentence


@pytest.mark.parametrize("harm", [cut, garble, empty, remove])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_breaks_after_it_was_opened(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    path = made(tmp_path / name)
    with open_scene(path, **told()) as scene, reopen(scene) as other:
        harm(path)
        assert name in refused(scene)
        # In another thread, which has datasets of its own, and by a third that would open the file now.
        with ThreadPoolExecutor(1) as pool:
            assert name in pool.submit(refused, other).result()
        with (
            pytest.raises(InputError, match=rf"{name}.* cannot be read any more \(.*\); check the file"),
            reopen(scene),
        ):
            pass


@pytest.mark.parametrize("harm", [cut, garble])
@pytest.mark.parametrize("name", ["strips.tif", "tiles.tif", "lzw.tif"])
def test_a_file_that_is_broken_already_says_where(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    path = made(tmp_path / name)
    harm(path)
    with (
        pytest.raises(InputError, match=rf"{name}.*band \d+: IRead.*; check the"),
        open_scene(path, **told()) as scene,
    ):
        scene.read(scene.grid.window, BANDS)


@pytest.mark.parametrize("harm", [cut, remove])
def test_a_band_of_a_folder_that_breaks_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Also one that is interpolated on its way."""
    folder = tmp_path / "scene"
    folder.mkdir()
    for band, step in (("B02", 1), ("B03", 1), ("B11", 2)):
        values = landscape(1, 1200 // step, 1200 // step)
        write_raster(folder / f"{band}.tif", values, [None], transform=ORIGIN @ Affine.scale(step))
    with open_scene(folder, **TOLD) as scene:
        harm(folder / "B11.tif")
        sentence = refused(scene, Window(900, 900, 200, 200))
        assert f"{folder} cannot be read any more" in sentence
        assert "B11.tif" in sentence


def test_a_virtual_raster_whose_file_is_gone(tmp_path: Path) -> None:
    path = made(tmp_path / "tiles.tif")
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{i}"><Description>{band}</Description><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">tiles.tif</SourceFilename><SourceBand>{i}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for i, band in enumerate(BANDS, start=1)
    )
    place = "<SRS>EPSG:32633</SRS><GeoTransform>330000,10,0,5822040,0,-10</GeoTransform>"
    vrt = tmp_path / "s.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="1000" rasterYSize="1100">{place}{bands}</VRTDataset>', encoding="utf-8")
    with open_scene(vrt, **TOLD) as scene:
        # A list of files that is written anew changes no pixel.
        vrt.write_text(vrt.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        assert scene.read(scene.grid.window, BANDS)[1].all()
        path.unlink()
        assert "tiles.tif" in refused(scene)
    gone = pytest.raises(InputError, match=r"s\.vrt cannot be read \(.*tiles\.tif.*\); check the file")
    with gone, open_scene(vrt, **TOLD):
        pass


def test_a_zipped_product_that_is_written_to_while_it_is_read(tmp_path: Path) -> None:
    archive, file = tmp_path / "s.zip", tmp_path / "B02.tif"
    write_raster(file, landscape(1, 600, 600), [None])
    with zipfile.ZipFile(archive, "w") as target:
        target.write(file, "S2A.SAFE/GRANULE/L1C_T33UUU/IMG_DATA/T33UUU_20220601T102031_B02.tif")
    with open_scene(archive, **TOLD) as scene:
        archive.write_bytes(archive.read_bytes() + b"more")
        assert "s.zip was changed since it was opened" in refused(scene)


def test_what_other_programs_write_beside_an_image_disturbs_nobody(tmp_path: Path) -> None:
    path = made(tmp_path / "tiles.tif")
    beside = tmp_path / "tiles.tif.aux.xml"
    beside.write_text("<PAMDataset/>", encoding="utf-8")
    with open_scene(path, **told()) as scene:
        beside.write_text("<PAMDataset><Metadata/></PAMDataset>", encoding="utf-8")
        assert scene.read(scene.grid.window, BANDS)[1].all()


@pytest.mark.parametrize("shape", [(1, 1), (300, 1), (1, 300), (2, 3)])
def test_an_image_of_one_pixel_across_fills_windows_many_times_its_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = landscape(13, *shape)
    height, width = shape
    around = Window(-200, -100, 200 + width + 90, 100 + height + 280)
    with open_scene(write_raster(tmp_path / "s.tif", values), **TOLD) as scene:
        read, valid = scene.read(around, S2_BANDS)
    rows, cols = (100, 280), (200, 90)
    wanted = np.pad(values, ((0, 0), rows, cols), mode="symmetric").astype(np.float32) / np.float32(10000)
    np.testing.assert_array_equal(read, wanted)
    np.testing.assert_array_equal(valid, np.pad(np.ones(shape, np.bool_), (rows, cols)))


def test_an_image_without_a_valid_pixel_says_so_and_is_zero(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.full((13, 50, 60), 7, np.uint16), nodata=7)
    with open_scene(path, **TOLD) as scene:
        values, valid = scene.read(scene.grid.window.grow(20), S2_BANDS)
    assert any(warning.startswith("No pixel is valid") for warning in scene.info.warnings)
    assert not valid.any()
    assert not values.any()


@pytest.mark.parametrize("degrees", [30, 90, -45, 180])
def test_a_turned_image_is_read_as_it_lies_and_by_place(tmp_path: Path, degrees: int) -> None:
    # A plane over easting and northing: bilinear interpolation gives it back exactly.
    turned = Grid(CRS.from_epsg(32633), ORIGIN @ Affine.rotation(degrees), 90, 80)
    rows, cols = np.mgrid[:80, :90] + 0.5
    xs, ys = turned.xy(cols, rows)
    plane = (xs - 330000) * 2 + (ys - 5822040) + 9000
    path = write_raster(tmp_path / "s.tif", plane[None].astype(np.float32), ["B04"], transform=turned.transform)
    told: dict[str, Any] = {"scale": 10000.0, "offset": 0.0}
    with open_scene(path, **told) as scene:
        values, valid = scene.read(Window(20, 30, 40, 10), ["B04"])
    assert valid.all()
    np.testing.assert_allclose(values[0], plane[30:40, 20:60] / 10000, rtol=1e-6)
    (east,), (north,) = turned.xy([45.0], [40.0])
    upright = Grid(turned.crs, Affine(10, 0, east - 100, 0, -10, north + 100), 20, 20)
    with open_scene(path, upright, **told) as scene, reopen(scene) as other:
        placed, valid = other.read(Window(0, 0, 20, 20), ["B04"])
    xs, ys = upright.xy(*(np.mgrid[:20, :20][::-1] + 0.5))
    assert valid.all()
    np.testing.assert_allclose(placed[0], ((xs - 330000) * 2 + (ys - 5822040) + 9000) / 10000, rtol=1e-5)


def test_a_system_that_no_other_can_be_converted_into(tmp_path: Path) -> None:
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    path = write_raster(tmp_path / "s.tif", landscape())
    refused = pytest.raises(InputError, match=r"system of .*s\.tif cannot be converted into that of the image")
    with refused, open_scene(path, Grid(local, ORIGIN, 50, 50), **TOLD):
        pass
