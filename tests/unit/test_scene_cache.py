# SPDX-License-Identifier: GPL-2.0-or-later
"""GDAL's block cache holds what the windows of a scene share, and no more."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.env import get_gdal_config
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.cache import block_cache, block_cache_bytes, readers
from ssl4eo.scenes.sources import open_raster

MB = 1 << 20
TOLD: dict[str, Any] = {"scale": 0.0001, "offset": 0.0, "level": "L1C"}


def empty(path: Path, height: int, width: int, **options: Any) -> Path:
    """Write a file of 13 bands that has blocks but no pixels."""
    shape = {"height": height, "width": width, "count": len(S2_BANDS)}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        **shape,
        dtype="uint16",
        crs="EPSG:32633",
        transform=ORIGIN,
        sparse_ok=True,
        **options,
    ):
        pass
    return path


def blocks(path: Path, height: int, width: int, bands: tuple[str, ...] = S2_BANDS, **options: Any) -> Path:
    """Write a scene whose rows of 100 hold their number, from 1, in blocks as told by `options`; fast and small."""
    shape = {"height": height, "width": width, "count": len(bands)}
    options = {"compress": "deflate", "zlevel": 1, **options}
    with rasterio.open(
        path, "w", driver="GTiff", **shape, dtype="uint16", crs="EPSG:32633", transform=ORIGIN, **options
    ) as dataset:
        rows = options["blockysize"]
        for row in range(0, height, rows):
            numbers = np.arange(row, min(row + rows, height)) // 100 + 1
            values = np.broadcast_to(numbers[:, None], (len(bands), len(numbers), width)).astype(np.uint16)
            dataset.write(values, window=rasterio.windows.Window(0, row, width, len(numbers)))
        for number, band in enumerate(bands, start=1):
            dataset.set_band_description(number, band)
    return path


def size_now() -> int:
    """Return the bytes that GDAL's block cache may hold."""
    return int(get_gdal_config("GDAL_CACHEMAX"))


def test_the_cache_has_the_size_that_is_needed_in_every_thread_and_its_old_one_after(tmp_path: Path) -> None:
    path = blocks(tmp_path / "s.tif", 64, 11000, blockysize=64, tiled=False)
    before = size_now()
    with open_scene(path, **TOLD) as scene, block_cache([scene]):
        seen = [size_now()]
        thread = threading.Thread(target=lambda: seen.append(size_now()))
        thread.start()
        thread.join()
        # rasterio puts the options of an environment back when one within it ends.
        with rasterio.Env(), rasterio.open(path):
            seen.append(size_now())
        seen.append(size_now())
    assert seen == [64 * MB] * 4
    assert size_now() == before


def test_the_old_size_comes_back_after_an_error() -> None:
    before = size_now()
    with pytest.raises(ZeroDivisionError), block_cache([]):
        raise ZeroDivisionError
    assert size_now() == before


def test_several_at_once_share_one_cache_whoever_ends_first(tmp_path: Path) -> None:
    path = empty(tmp_path / "s.tif", 2000, 4000, blockysize=64, tiled=False)
    before = size_now()
    with open_raster(path) as scene:
        one = block_cache_bytes(scene)
        assert 64 * MB < one < 256 * MB
        with ExitStack() as second:
            with ExitStack() as first:
                first.enter_context(block_cache([scene, scene]))
                assert size_now() == one
                second.enter_context(block_cache([scene]))
                assert size_now() == 2 * one
                for _ in range(9):
                    first.enter_context(block_cache([scene]))
                assert size_now() == 768 * MB
            assert size_now() == one
    assert size_now() == before


# Rows of blocks that windows of 1280 or of 224 rows touch at most x the bytes of one, and what is added for safety.
@pytest.mark.parametrize(
    ("options", "height", "rows"),
    [
        ({"tiled": True, "blockxsize": 512, "blockysize": 512}, 1280, 4 * 512),
        ({"tiled": True, "blockxsize": 512, "blockysize": 512}, 224, 2 * 512),
        ({"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "band"}, 1280, 6 * 256),
        ({"tiled": False, "blockysize": 1}, 1280, 1281),
        ({"tiled": False, "blockysize": 700}, 224, 2 * 700),
        ({"tiled": False, "blockysize": 700, "interleave": "band"}, 1280, 3 * 700),
    ],
)
def test_the_blocks_of_a_row_of_windows_are_kept(
    tmp_path: Path, options: dict[str, Any], height: int, rows: int
) -> None:
    with open_raster(empty(tmp_path / "s.tif", 2100, 2048, **options)) as scene:
        needed = block_cache_bytes(scene, height=height)
        wide = block_cache_bytes(scene, width=8 * 2048, height=height)
    assert needed == pytest.approx(max(64 * MB, 1.1 * rows * 2048 * 13 * 2), abs=1)
    # An area is never wider than its blocks.
    assert wide == needed


def test_where_a_row_is_too_much_what_one_window_touches_is_kept(tmp_path: Path) -> None:
    path = empty(tmp_path / "s.tif", 4096, 20000, tiled=True, blockxsize=512, blockysize=512)
    with open_raster(path) as scene:
        assert block_cache_bytes(scene) == pytest.approx(1.1 * (4 * 512) ** 2 * 26, abs=1)
        assert block_cache_bytes(scene, width=3000, height=500) == pytest.approx(1.1 * 2 * 512 * 7 * 512 * 26, abs=1)
        assert block_cache_bytes(scene, height=20000) == 768 * MB


def test_files_of_a_folder_count_each_with_its_own_blocks_and_what_they_are_warped_to(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    write_raster(folder / "B02.tif", landscape(1, 60, 6000), [None])
    blocks(folder / "B03.tif", 60, 6000, ("B03",), blockysize=60, tiled=False)
    coarse = {"transform": ORIGIN @ Affine.scale(2), "blockysize": 30, "tiled": False}
    write_raster(folder / "B11.tif", landscape(1, 30, 3000), [None], transform=coarse["transform"])
    with open_scene(folder, **TOLD) as scene, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl4eo.scenes.cache._LEAST", 0)
        needed = block_cache_bytes(scene, height=10)
        shapes = [dataset.block_shapes[0] for dataset in scene.raster.datasets]
        source = scene.raster.datasets[2].src_dataset.block_shapes[0]
    assert shapes == [(1, 6000), (60, 6000), (60, 512)]
    assert source == (1, 3000)
    assert needed == pytest.approx(1.1 * 2 * (11 * 6000 + 60 * 6000 + 60 * 12 * 512 + 6 * 3000), abs=1)


def test_a_vrt_counts_with_the_blocks_of_its_files(tmp_path: Path) -> None:
    strips = empty(tmp_path / "strips.tif", 1400, 4000, blockysize=700, tiled=False)
    text = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{number}"><Description>{band}</Description><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">strips.tif</SourceFilename><SourceBand>{number}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for number, band in enumerate(S2_BANDS, start=1)
    )
    place = "<SRS>EPSG:32633</SRS><GeoTransform>330000,10,0,5822040,0,-10</GeoTransform>"
    vrt = tmp_path / "s.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="4000" rasterYSize="1400">{place}{text}</VRTDataset>', encoding="utf-8")
    with open_raster(strips) as scene, open_raster(vrt) as virtual:
        assert block_cache_bytes(virtual) == block_cache_bytes(scene) > 64 * MB
        assert readers(virtual, 4) == readers(scene, 4) == 1


def test_strips_are_read_by_one_thread_and_tiles_by_many(tmp_path: Path) -> None:
    with open_raster(empty(tmp_path / "strips.tif", 2000, 10980, blockysize=1, tiled=False)) as raster:
        assert readers(raster, 4) == 1
    with open_raster(empty(tmp_path / "s.tif", 2000, 10980, blockxsize=512, blockysize=512, tiled=True)) as raster:
        assert readers(raster, 4) == 4
    with open_raster(empty(tmp_path / "small.tif", 2000, 1500, blockysize=1, tiled=False)) as raster:
        assert readers(raster, 4) == 4


_MEASURE = """
import sys
from rasterio.env import set_gdal_config
from ssl4eo.bands import S2_BANDS
from ssl4eo.grid import tiles
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.cache import block_cache

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

def read_bytes():
    return int(open("/proc/self/io").readline().split()[1])

path, side, bounded = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "bounded"
with open_scene(path, scale=0.0001, offset=0.0, level="L1C") as scene:
    before, first = peak(), read_bytes()
    with block_cache([scene], height=side):
        if not bounded:
            set_gdal_config("GDAL_CACHEMAX", int(sys.argv[3]))
        for window in tiles(scene.grid.window, side):
            values, valid = scene.read(scene.grid.clip(window), S2_BANDS)
            row = min(window.row_stop, scene.grid.height) - 1
            assert round(float(values[12, -1, -1]) * 10000) == row // 100 + 1, row
print(peak() - before, read_bytes() - first)
"""


def measured(path: Path, side: int, cache: str | int) -> tuple[int, int]:
    """Return by how much reading a scene in windows raised the peak of memory, and the bytes that came from files."""
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path), str(side), str(cache)], capture_output=True, text=True, check=True
    )
    grown, read = run.stdout.split()
    return int(grown), int(read)


needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="memory is measured by Linux's /proc")


@needs_proc
def test_reading_a_large_file_holds_no_more_than_the_cache(tmp_path: Path) -> None:
    path = blocks(tmp_path / "s.tif", 3072, 4096, blockxsize=256, blockysize=256, tiled=True)
    decoded = 3072 * 4096 * 26
    # Two rows of blocks are 61 MB, so the cache is 67 MB; opening the scene may have filled it already.
    assert measured(path, 256, "bounded")[0] < 100 * MB
    assert measured(path, 256, 1024 * MB)[0] > decoded - 100 * MB


@needs_proc
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_strips_of_two_hundred_megabytes_are_decoded_once_in_sane_memory(tmp_path: Path, interleave: str) -> None:
    path = blocks(tmp_path / "s.tif", 1400, 10980, blockysize=700, tiled=False, interleave=interleave)
    on_disk = path.stat().st_size
    grown, read = measured(path, 512, "bounded")
    # Two strips, and the one that libtiff holds decoded. The second row of windows touches both: with less cache each
    # of its 22 windows decodes them again.
    assert grown < 900 * MB
    assert read < 1.2 * on_disk
