# SPDX-License-Identifier: GPL-2.0-or-later
"""Write a scene as one 10 m GeoTIFF that needs no explanation: named bands, one unit, no offset."""

from __future__ import annotations

import os
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError, OutputError
from ssl4eo.files import atomic_file, require_space
from ssl4eo.grid import Grid, Window, tiles
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.scenes.cache import block_cache
from ssl4eo.scenes.place import GSD, GSD_TOLERANCE, metres_per_pixel
from ssl4eo.scenes.scene import Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from typing import Unpack

    from numpy.typing import NDArray

    from ssl4eo.scenes.overrules import Overrules

__all__ = ["harmonise"]

# ESA's Level-1C and Level-2A products store reflectance x 10000, and 0 where there is no data
# (QUANTIFICATION_VALUE and SPECIAL_VALUE_INDEX in the product metadata).
_QUANTIFICATION, _NODATA, _LARGEST = 10000, 0, 65535
# ESA's 10 m JPEG 2000 files are cut into tiles of 1024 pixels, which are decoded whole; thirteen bands of one take
# about 250 MB on their way.
_BLOCK, _TILE = 256, 1024
_COLOURS = {"B04": ColorInterp.red, "B03": ColorInterp.green, "B02": ColorInterp.blue}


def harmonise(
    scene: str | PathLike[str],
    out: str | PathLike[str],
    *,
    progress: Progress = no_progress,
    **overrules: Unpack[Overrules],
) -> dict[str, Any]:
    """Write a scene as one GeoTIFF that every other command takes without a question.

    Sentinel-2 becomes 16-bit reflectance x 10000 without offset, at least 1 where valid and 0 where not; Sentinel-1
    becomes decibels, NaN where not valid. A pixel is valid when all bands are. Pixels of 10 m +- 20 % are kept, others
    are brought to 10 m; an image in degrees keeps its pixels. Bands without a known name, and those that hold nothing,
    are left out.

    Args:
        scene: a raster, a folder of bands or a SAFE product.
        out: the GeoTIFF to write.
        progress: told how far the work is; may raise Cancelled, then nothing is left.
        **overrules: what the user knows better than the file, as in `scenes.inspect`.

    Returns:
        scene, source, sensor, level, bands, width, height, resolution, warnings, seconds.

    Raises:
        InputError: for a scene of which something must be said first or no pixel is valid, or a file name that cannot
            be used.
        OutputError: when the file cannot be written.
    """
    started = time.perf_counter()
    target = Path(out)
    if target.suffix.lower() not in {".tif", ".tiff"}:
        raise InputError(f"{target} is written as a GeoTIFF; give it a name that ends in .tif.")
    progress(0.0, "Opening the scene")
    with _at_ten_metres(scene, overrules) as (opened, warnings), block_cache([opened], height=_TILE):
        _keep_source(opened, target)
        bands = [band for band in opened.info.bands if band]
        with atomic_file(target) as temporary:
            require_space(target.parent, opened.grid.width * opened.grid.height * len(bands) * _dtype(opened).itemsize)
            sums = _write(opened, bands, temporary, part(progress, 0.01, 0.9))
            _verify(temporary, target, sums, part(progress, 0.9, 0.99))
            progress(1.0, "Done")
    return {
        "scene": str(target),
        "source": os.fspath(scene),
        "sensor": opened.info.sensor,
        "level": opened.info.level,
        "bands": bands,
        "width": opened.grid.width,
        "height": opened.grid.height,
        "resolution": list(opened.info.resolution),
        "warnings": warnings,
        "seconds": round(time.perf_counter() - started, 2),
    }


@contextmanager
def _at_ten_metres(scene: str | PathLike[str], overrules: Overrules) -> Iterator[tuple[Scene, list[str]]]:
    with open_scene(scene, **overrules) as opened:
        warnings = [*opened.info.warnings, *_left_out(opened)]
        grid = _ten_metre_grid(opened.grid)
        if grid is None:
            yield opened, warnings
            return
    with open_scene(scene, grid, **overrules) as opened:
        yield opened, [*warnings, f"The pixels were interpolated to {GSD:g} m."]


def _left_out(scene: Scene) -> list[str]:
    numbers = [str(number) for number, band in enumerate(scene.info.bands, start=1) if band is None]
    if not numbers:
        return []
    return [f"Left out for want of a known name or of content: band {', '.join(numbers)}."]


def _ten_metre_grid(grid: Grid) -> Grid | None:
    """Return the grid over the same ground with 10 m pixels; None where they are about that already, or in degrees."""
    metres = metres_per_pixel(grid)
    if metres is None:
        return None
    across, down = (step / GSD for step in metres)
    if max(abs(across - 1), abs(down - 1)) <= GSD_TOLERANCE:
        return None
    size = max(1, round(grid.width * across)), max(1, round(grid.height * down))
    return Grid(grid.crs, grid.transform @ Affine.scale(1 / across, 1 / down), *size)


def _keep_source(scene: Scene, target: Path) -> None:
    source = Path(scene.info.path)
    # Names such as "/vsicurl/..." are no files and cannot be overwritten.
    files = [file for file in map(Path, scene.files) if file.exists()]
    if target.exists() and any(target.samefile(file) for file in (source, *files) if file.exists()):
        raise InputError(f"{target} is the scene itself or a part of it; give the harmonised one another name.")
    among = {file.parent.resolve() for file in files if len(scene.info.files) > 1}
    if target.parent.resolve() in ({*among, source.resolve()} if source.is_dir() else among):
        raise InputError(f"{target} would lie among the bands of {source}; write it to another folder.")


def _dtype(scene: Scene) -> np.dtype[Any]:
    return np.dtype("float32" if scene.info.sensor == "S1" else "uint16")


def _write(scene: Scene, bands: list[str], path: Path, progress: Progress) -> dict[Window, int]:
    """Write all windows and return the checksum of each.

    Raises:
        InputError: when no pixel is valid.
    """
    grid, radar = scene.grid, scene.info.sensor == "S1"
    profile = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": len(bands), "dtype": _dtype(scene),
        "crs": grid.crs, "transform": grid.transform, "nodata": np.nan if radar else _NODATA,
        "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "interleave": "band",
        "compress": "deflate", "predictor": 3 if radar else 2, "photometric": "minisblack", "BIGTIFF": "IF_SAFER",
        "num_threads": "all_cpus",
    }  # fmt: skip
    windows = [grid.clip(tile) for tile in tiles(grid.window, _TILE)]
    sums: dict[Window, int] = {}
    any_valid = False
    with rasterio.open(path, "w", **profile) as dataset:
        for number, name in enumerate(bands, start=1):
            dataset.set_band_description(number, name)
        dataset.colorinterp = [
            _COLOURS.get(name, ColorInterp.gray if radar else ColorInterp.undefined) for name in bands
        ]
        dataset.update_tags(**_tags(scene))
        for done, window in enumerate(windows):
            progress(done / len(windows), f"Writing window {done + 1} of {len(windows)}")
            values, valid = scene.read(window, bands)
            any_valid |= bool(valid.any())
            stored = _decibels(values, valid) if radar else _digital(values, valid)
            dataset.write(stored, window=RasterioWindow(window.col, window.row, window.width, window.height))
            sums[window] = zlib.crc32(stored.tobytes())
    if not any_valid:
        raise InputError(
            f"{scene.info.path} holds no pixel that is valid in all of {', '.join(bands)}; "
            "say which value means no data (--nodata), or use another image."
        )
    return sums


def _verify(path: Path, out: Path, sums: dict[Window, int], progress: Progress) -> None:
    """Read the file back: a full disk can go unnoticed until the last block is flushed at closing."""
    with rasterio.open(path) as dataset:
        for done, (window, expected) in enumerate(sums.items()):
            progress(done / len(sums), "Checking what was written")
            stored = dataset.read(window=RasterioWindow(window.col, window.row, window.width, window.height))
            if zlib.crc32(stored.tobytes()) != expected:
                raise OutputError(f"Cannot write {out}: what was written reads back differently; check the disk.")


def _digital(reflectance: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    stored = np.clip(np.rint(reflectance * _QUANTIFICATION), _NODATA + 1, _LARGEST)
    return np.where(valid, stored, _NODATA).astype(np.uint16)


def _decibels(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(valid, values, np.nan).astype(np.float32)


def _tags(scene: Scene) -> dict[str, str]:
    info = scene.info
    unit = {"unit": "db"} if info.sensor == "S1" else {"scale": str(1 / _QUANTIFICATION), "offset": "0"}
    known = {"level": info.level, "date": info.date, "simulated": "YES" if info.simulated else None}
    return {**unit, **{key: value for key, value in known.items() if value}}
