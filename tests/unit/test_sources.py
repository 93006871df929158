# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies on disk as several files is opened as one raster on one grid."""

from __future__ import annotations

import tracemalloc
import zipfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from scene_files import ORIGIN, write_raster
from scipy import ndimage
from ssl4eo.bands import NATIVE_GSD, S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid, Window
from ssl4eo.scenes.folders import band_of_file, product_tags
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from ssl4eo.scenes.raster import Raster

METADATA = """<n1:Level-1C_User_Product xmlns:n1="https://example.org"><n1:General_Info><Product_Info>
<PRODUCT_START_TIME>2022-06-01T10:20:31.024Z</PRODUCT_START_TIME>
<PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE></Product_Info>
<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
<RADIO_ADD_OFFSET band_id="0">-1000</RADIO_ADD_OFFSET><RADIO_ADD_OFFSET band_id="1">-1000</RADIO_ADD_OFFSET>
</n1:General_Info></n1:Level-1C_User_Product>"""


def band_file(folder: Path, name: str, gsd: int = 10, *, side: int = 120, seed: int = 0, **more: Any) -> Path:
    """Write one band over `side` x `side` pixels of 10 m, at its own resolution."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng([seed, gsd]).integers(1, 5000, (1, side * 10 // gsd, side * 10 // gsd))
    transform = ORIGIN @ Affine.scale(gsd / 10)
    return write_raster(folder / name, values.astype(np.uint16), [None], **{"transform": transform, **more})


def patch(folder: Path) -> Path:
    """Write a folder of the thirteen bands at their own resolutions."""
    for seed, band in enumerate(S2_BANDS):
        band_file(folder, f"T33UUU_20220601T102031_{band}.tif", NATIVE_GSD[band], seed=seed, level="L1C", band=band)
    return folder


def safe(folder: Path) -> Path:
    """Write the skeleton of a SAFE product: bands at several resolutions and what lies beside them."""
    images = folder / "GRANULE" / "L2A_T33UUU_A000001_20220601T102031" / "IMG_DATA"
    for gsd, bands in {10: ("B02", "B08", "TCI"), 20: ("B02", "B8A", "SCL"), 60: ("B02", "B8A", "B09", "AOT")}.items():
        for band in bands:
            band_file(images / f"R{gsd}m", f"T33UUU_20220601T102031_{band}_{gsd}m.tif", gsd)
    band_file(images.parent / "QI_DATA", "MSK_CLDPRB_60m.tif", 60)
    (folder / "MTD_MSIL1C.xml").write_text(METADATA, encoding="utf-8")
    return folder


def interpolated(values: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Bilinear between pixel centres, the border continued: what cv2.resize does with INTER_LINEAR."""
    for axis in (0, 1):
        length = values.shape[axis]
        place = (np.arange(length * factor) + 0.5) / factor - 0.5
        low = np.floor(place).astype(int)
        weight = (place - low).reshape(-1, 1) if axis == 0 else place - low
        first, second = (np.take(values, index.clip(0, length - 1), axis) for index in (low, low + 1))
        values = first * (1 - weight) + second * weight
    return values


def read_in_tiles(raster: Raster, width: int, height: int) -> NDArray[Any]:
    numbers = list(range(1, raster.count + 1))
    whole = np.zeros_like(raster.read(numbers))
    for row, col in product(range(0, raster.grid.height, height), range(0, raster.grid.width, width)):
        window = raster.grid.clip(Window(col, row, width, height))
        whole[:, *window.slices] = raster.read(numbers, window)
    return whole


def open_files(folder: Path) -> list[str]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(link.readlink()) for link in links if link.exists() and str(folder) in str(link.readlink())]


def test_bands_come_in_the_order_of_file_names_on_the_finest_grid(tmp_path: Path) -> None:
    folder = patch(tmp_path / "patch")
    (folder / "notes.txt").write_text("no band")
    with open_raster(folder) as raster:
        assert raster.grid == Grid(CRS.from_epsg(32633), ORIGIN, 120, 120)
        assert [band_of_file(band.file) for band in raster.bands] == sorted(S2_BANDS)
        assert [band.gsd for band in raster.bands] == [NATIVE_GSD[band] for band in sorted(S2_BANDS)]
        assert (raster.tags["level"], "band" in raster.tags) == ("L1C", False)
        assert {(band.number, band.dtype, band.nodata, band.scale, band.offset) for band in raster.bands} == {
            (1, "uint16", None, 1.0, 0.0)
        }
    assert not open_files(tmp_path)


@pytest.mark.parametrize("factor", [2, 6])
def test_coarser_bands_are_interpolated_between_pixel_centres(tmp_path: Path, factor: int) -> None:
    band_file(tmp_path / "s", "B02.tif")
    coarse = band_file(tmp_path / "s", "B11.tif", 10 * factor)
    with open_raster(coarse) as raster:
        stored = raster.read([1])[0]
    with open_raster(tmp_path / "s") as raster:
        found = raster.read([2])[0]
    # Stored as whole numbers.
    assert np.abs(found - interpolated(stored.astype(float), factor)).max() <= 0.5 + 1e-3


def test_a_read_in_tiles_is_the_read_in_one_go(tmp_path: Path) -> None:
    with open_raster(patch(tmp_path / "patch")) as raster:
        whole = raster.read(list(range(1, 14)))
        for width, height in ((120, 7), (13, 31), (64, 64)):
            np.testing.assert_array_equal(read_in_tiles(raster, width, height), whole)


def test_on_the_grid_of_a_scene_in_another_crs(tmp_path: Path) -> None:
    folder = tmp_path / "patch"
    for seed, band in enumerate(("B02", "B05", "B09")):
        # Larger than a block of GDAL's warped rasters.
        band_file(folder, f"{band}.tif", NATIVE_GSD[band], side=480, seed=seed)
    with open_raster(folder) as raster:
        own, plain = raster.grid, raster.read([1])[0]
    crs = CRS.from_epsg(4326)
    west, south, east, north = transform_bounds(own.crs, crs, *own.bounds)
    # About 9.5 m by 15.5 m at this latitude, with 30 pixels around.
    width, height = round((east - west) / 1.4e-4), round((north - south) / 1.4e-4)
    grid = Grid(crs, Affine(1.4e-4, 0, west - 42e-4, 0, -1.4e-4, north + 42e-4), width + 60, height + 60)
    with open_raster(folder, grid) as raster:
        assert raster.grid is grid
        whole = raster.read([1, 2, 3])
        # A value that lies on the half is rounded up or down.
        assert np.abs(read_in_tiles(raster, 97, 61).astype(int) - whole).max() <= 1
        assert [raster.fill(number) for number in (1, 2, 3)] == [0, 0, 0]
    assert (whole[:, :25] == 0).all()
    assert (whole[:, :, :25] == 0).all()
    middle = whole[0, 60:-60, 60:-60]
    assert (middle > 0).all()
    assert abs(middle.mean() - plain.mean()) < 0.03 * plain.mean()


def test_floating_point_is_nan_outside_its_file(tmp_path: Path) -> None:
    values = np.full((2, 40, 40), -12.0, np.float32)
    path = write_raster(tmp_path / "s1.tif", values, ["VV", "VH"])
    with open_raster(path, Grid(CRS.from_epsg(32633), ORIGIN @ Affine.translation(-10.5, 0.5), 60, 30)) as raster:
        found = raster.read([1, 2])
    assert np.isnan(found[:, :, :10]).all()
    assert (found[:, :, 11:50] == -12).all()


def test_no_value_is_interpolated_with_a_hole(tmp_path: Path) -> None:
    values = np.full((2, 60, 60), 1000, np.uint16)
    values[0, 20:30, 20:30] = 0
    path = write_raster(tmp_path / "s.tif", values, ["B11", "B12"], transform=ORIGIN @ Affine.scale(2))
    grid = Grid(CRS.from_epsg(32633), ORIGIN, 120, 120)
    with open_raster(path, grid) as raster:
        found = raster.read([1, 2])
    assert set(np.unique(found[0])) == {0, 1000}
    # The hole of one band is none in the other.
    assert (found[1] == 1000).all()
    with open_raster(
        write_raster(tmp_path / "h.tif", np.where(values == 0, 9, values), [None] * 2), nodata=9
    ) as raster:
        assert raster.fill(1) is None
    with open_raster(tmp_path / "h.tif", grid, nodata=9) as raster:
        assert set(np.unique(raster.read([1]))) == {9, 1000}


def test_pixels_smaller_than_the_grid_are_averaged(tmp_path: Path) -> None:
    frame = np.full((4, 4), 2000, np.uint16)
    frame[1:3, 1:3] = 1000
    path = write_raster(
        tmp_path / "fine.tif", np.tile(frame, (20, 20))[None], ["B02"], transform=ORIGIN @ Affine.scale(0.25)
    )
    with open_raster(path, Grid(CRS.from_epsg(32633), ORIGIN, 20, 20)) as raster:
        found = raster.read([1])[:, 1:-1, 1:-1]
    # The mean is 1750; between the four pixels in the middle of each 4 x 4 it would be 1000.
    assert (found > 1600).all()


def test_thinning_takes_pixels_of_the_file(tmp_path: Path) -> None:
    band_file(tmp_path / "s", "B02.tif")
    coarse = band_file(tmp_path / "s", "B11.tif", 20)
    with open_raster(coarse) as raster:
        stored = raster.read([1])
    with open_raster(tmp_path / "s") as raster:
        np.testing.assert_array_equal(raster.read([2], shape=(60, 60)), stored)
        part = raster.read([1, 2], Window(40, 20, 40, 60), shape=(15, 10))
        assert part.shape == (2, 15, 10)
        assert set(part[1].ravel()) <= set(stored[0, 10:40, 20:40].ravel())


def test_a_safe_product_whole_zipped_and_by_its_metadata(tmp_path: Path) -> None:
    folder = safe(tmp_path / "S2A_MSIL2A_20220601T102031_N0400_R065_T33UUU_20220601T140000.SAFE")
    archive = tmp_path / "product.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in folder.rglob("*"):
            target.write(file, file.relative_to(tmp_path))
    seen = []
    for path in (folder, folder / "MTD_MSIL1C.xml", tmp_path, archive):
        with open_raster(path) as raster:
            seen.append(raster.read([1, 2, 3, 4]))
            assert [(band_of_file(band.file), band.gsd) for band in raster.bands] == [
                ("B02", 10), ("B08", 10), ("B09", 60), ("B8A", 20)
            ]  # fmt: skip
            assert raster.tags | {
                "processing_level": "Level-1C", "processing_baseline": "04.00", "radio_add_offset": "-1000",
                "scale": "10000", "date": "2022-06-01",
            } == raster.tags  # fmt: skip
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])
    with open_raster(next(folder.glob("GRANULE/*/IMG_DATA/R20m"))) as raster:
        assert [band_of_file(band.file) for band in raster.bands] == ["B02", "B8A"]


@pytest.mark.parametrize("zipped", [False, True])
def test_metadata_that_are_made_to_hang_are_read_at_once(tmp_path: Path, zipped: bool) -> None:
    folder = safe(tmp_path / "S2A.SAFE")
    # Whitespace over which two greedy halves would quarrel, tags that never end, and far more than a product has.
    junk = "<SPOILT>" + f"<PROCESSING_LEVEL>{' ' * 200_000}<" + "<PRODUCT_TYPE " * 200_000
    (folder / "MTD_MSIL1C.xml").write_text(METADATA + junk + "\n" * 20_000_000, encoding="utf-8")
    path = folder
    if zipped:
        path = tmp_path / "s.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for file in folder.rglob("*"):
                target.write(file, file.relative_to(tmp_path))
    tracemalloc.start()
    tags = product_tags(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tags["processing_level"], tags["date"]) == ("Level-1C", "2022-06-01")
    assert peak < 10_000_000


def test_a_zip_whose_metadata_are_damaged_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("S2A.SAFE/MTD_MSIL1C.xml", METADATA)
    stored = bytearray(path.read_bytes())
    stored[80:120] = bytes(40)
    path.write_bytes(stored)
    with pytest.raises(InputError, match=r"MTD_MSIL1C\.xml cannot be read \(.*\); fetch the product again"):
        product_tags(str(path))


def test_polarisations_in_files_of_their_own(tmp_path: Path) -> None:
    for name in ("s1a-iw-grd-vh-20220601.tif", "s1a-iw-grd-vv-20220601.tif", "preview.tif"):
        band_file(tmp_path / "S1A.SAFE" / "measurement", name)
    with open_raster(tmp_path / "S1A.SAFE") as raster:
        assert [band_of_file(band.file) for band in raster.bands] == ["VH", "VV"]


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("S2A_MSIL2A_20170617T113321_36_85_B8A.tif", "B8A"),
        ("T33UUU_20170216T102101_B02_10m.jp2", "B02"),
        ("/vsizip/{/data/a.zip}/x/B11.jp2", "B11"),
        ("S1_20200101_VV.tif", "VV"),
        ("blue.tif", "B02"),
        ("red_edge_1.tif", "B05"),
        ("S2A_33UUU_20170216_0_L2A_red_edge_1_20m.tif", "B05"),
        ("berlin_2020_near_infra_red.tif", "B08"),
        ("landsat8_20200101_red.tif", None),
        ("LC08_L2SP_20200101_nir.tif", None),
        ("ndvi_red.tif", None),
        ("B_std_red.tif", None),
        ("B4_B8_red.tif", None),
        ("incidence_angle_blue.tif", None),
        ("infra_red.tif", None),
        ("20170216.tif", None),
        ("36_85.tif", None),
        ("dem_10m.tif", None),
    ],
)
def test_bands_in_file_names(name: str, band: str | None) -> None:
    assert band_of_file(name) == band


def other_place(folder: Path) -> None:
    band_file(folder, "B02.tif")
    band_file(folder, "B03.tif", transform=ORIGIN @ Affine.translation(1000, 0))


def other_crs(folder: Path) -> None:
    band_file(folder, "B02.tif")
    band_file(folder, "B03.tif", crs="EPSG:32632")


def same_band(folder: Path) -> None:
    band_file(folder, "a_B02.tif")
    band_file(folder, "b_B02.tif")


def no_crs(folder: Path) -> None:
    band_file(folder, "B02.tif", crs=None)
    band_file(folder, "B11.tif", 20, crs=None)


def damaged(folder: Path) -> None:
    band_file(folder, "B02.tif")
    (folder / "B03.tif").write_bytes(b"II*\0 nothing more")


def crowd(folder: Path) -> None:
    folder.mkdir()
    for number in range(70):
        (folder / f"{number}.tif").touch()


def no_band(folder: Path) -> None:
    band_file(folder, "TCI.tif")
    (folder / "notes.txt").touch()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_place, r"B03\.tif does not overlap the area that it belongs to \(330000, .* use files of one place"),
        (other_crs, r"B02\.tif is in EPSG:32633 and .*B03\.tif in EPSG:32632; bring"),
        (same_band, r"a_B02\.tif and .*b_B02\.tif both hold B02 at 10; keep one"),
        (no_crs, r"B11\.tif has no coordinate reference system; assign"),
        (damaged, r"B03\.tif \(in .*s\) is not a raster that GDAL can read"),
        (crowd, r"s holds 70 raster files, too many for the bands of one scene; name"),
        (no_band, r"s holds no band files \(TIFF, JPEG 2000\); name"),
    ],
)
def test_folders_that_are_no_scene(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "s")
    with pytest.raises(InputError, match=words), open_raster(tmp_path / "s"):
        pass
    assert not open_files(tmp_path)


def test_other_things_that_cannot_be_opened(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.ones((1, 8, 8), np.uint16))
    (tmp_path / "x.zip").write_bytes(b"no zip")
    far = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 100, 0, -1e-4, 10), 50, 50)
    for name, grid, words in (
        ("gone.tif", None, "gone.tif does not exist; check the path"),
        ("x.zip", None, "x.zip is not a zip archive that can be read"),
        (path.name, far, r"s\.tif does not overlap the area that it belongs to \(100, 9\.995, .* in EPSG:4326"),
    ):
        with pytest.raises(InputError, match=words), open_raster(tmp_path / name, grid):
            pass
    with pytest.raises(RuntimeError), open_raster(path):
        raise RuntimeError
    assert not open_files(tmp_path)


def test_a_bigearthnet_patch(shared_data: Path) -> None:
    with open_raster(shared_data / "bigearthnet/S2A_MSIL2A_20170617T113321_36_85") as raster:
        assert (raster.count, raster.grid.width, raster.grid.height) == (12, 120, 120)
        assert abs(raster.grid.transform.a) == 10
        assert raster.read([1, 12]).min() > 0


def test_native_bands_against_their_nearest_copy(shared_data: Path) -> None:
    havel = shared_data / "havel_l1c"
    with open_raster(havel / "bands") as bands, open_raster(havel / "s2l1c_13band_10m.tif") as stack:
        assert bands.grid == stack.grid
        for number, band in enumerate(bands.bands, start=1):
            name = band_of_file(band.file)
            assert name is not None
            ours = bands.read([number])[0].astype(int)
            theirs = stack.read([S2_BANDS.index(name) + 1])[0].astype(int)
            if NATIVE_GSD[name] == 10:
                np.testing.assert_array_equal(ours, theirs)
                continue
            factor = NATIVE_GSD[name] // 10
            # Between the least and the greatest of the coarse pixels around, and the same on average.
            around = 2 * factor + 1
            assert (ours >= ndimage.minimum_filter(theirs, around, mode="nearest")).all()
            assert (ours <= ndimage.maximum_filter(theirs, around, mode="nearest")).all()
            assert abs((ours - theirs).mean()) < 0.5
