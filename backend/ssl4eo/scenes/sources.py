# SPDX-License-Identifier: GPL-2.0-or-later
"""Open what lies on disk (a raster, a folder of bands, a SAFE product) as one raster on one pixel grid."""

from __future__ import annotations

import math
import os
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from ssl4eo.bands import canonical_band
from ssl4eo.errors import InputError
from ssl4eo.grid import Grid
from ssl4eo.scenes.folders import band_files, band_of_file, is_collection, product_tags
from ssl4eo.scenes.place import need_of_crs
from ssl4eo.scenes.raster import Raster, RasterBand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rasterio.io import DatasetReader

__all__ = ["open_raster"]

# Two grids are one when their corners lie within a thousandth of a pixel: less than a float32 coordinate resolves.
_SAME = 1e-3
# In source pixels; rasterio 1.4 fails on 0, which GDAL takes for "no approximation".
_EXACT = 1e-6
# Between CRSs a pixel of like size comes out a little smaller or larger: that is no reason to average.
_INTERPOLATED = 0.7


@dataclass(frozen=True)
class _Layer:
    """One band of an open file; `name` is the canonical one when the file tells."""

    dataset: DatasetReader
    number: int
    name: str | None

    @property
    def gsd(self) -> float:
        return _grid(self.dataset).resolution[1]


@contextmanager
def open_raster(
    path: str | os.PathLike[str],
    grid: Grid | None = None,
    *,
    nodata: float | None = None,
    unstated: float | None = None,
) -> Iterator[Raster]:
    """Open a raster, a folder of band files or a SAFE product (also zipped) for reading.

    Bands of several files lie on the grid of the finest file that names its band, or of the finest of all where none
    does; where a band comes at several resolutions the finest is taken. What lies on another grid is put on the common
    one by bilinear interpolation between pixel centres, as the 20 m and 60 m bands were that the encoders were trained
    on (cv2.INTER_LINEAR, zhu-xlab/SSL4EO-S12@2156913c, ssl4eo_dataset.py), and holds `Raster.fill` outside its file.

    Args:
        path: what GDAL reads, a folder, a zip, or the metadata file of a SAFE product.
        grid: the pixel grid of another scene to put this one on, in whatever CRS; its own when None.
        nodata: the value that must not be interpolated with; what each file says when None.
        unstated: the same for files that say nothing; 0 for integers and NaN for others when None, or where the
            file's type cannot hold it.

    Raises:
        InputError: when something is missing, is no raster, or the files do not make up one scene.
    """
    text = os.fspath(path)
    with ExitStack() as stack:
        files, tags = _files(text)
        datasets = [stack.enter_context(_opened(file, text)) for file in files]
        layers = _chosen([layer for dataset in datasets for layer in _layers(dataset)])
        # A slope or a mask that lies beside the bands does not decide where they lie.
        deciding = [layer for layer in layers if layer.name] or layers
        _check_same_crs(deciding)
        target = grid or _grid(min(deciding, key=lambda layer: layer.gsd).dataset)
        placed = {
            id(dataset): stack.enter_context(_placed(dataset, target, _hole(dataset, nodata, unstated)))
            for dataset in {id(layer.dataset): layer.dataset for layer in layers}.values()
        }
        yield Raster(
            text,
            target,
            [_describe(layer) for layer in layers],
            {**_common_tags([layer.dataset for layer in layers]), **tags},
            [(placed[id(layer.dataset)], layer.number) for layer in layers],
        )


def _files(text: str) -> tuple[list[str], dict[str, str]]:
    # GDAL also reads "/vsicurl/..." and "DRIVER:..." names, which are no files; only a plain path can be looked up.
    if not text.startswith("/vsi") and ":" not in text[2:] and not Path(text).exists():
        raise InputError(f"{text} does not exist; check the path.")
    return (band_files(text), product_tags(text)) if is_collection(text) else ([text], {})


@contextmanager
def _opened(file: str, path: str) -> Iterator[DatasetReader]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(file)
    except RasterioIOError as error:
        inside = "" if file == path else f" (in {path})"
        raise InputError(
            f"{file}{inside} is not a raster that GDAL can read; use a GeoTIFF with named bands."
        ) from error
    with dataset:
        if dataset.count == 0:
            raise InputError(f"{file} holds no raster band; name one of its subdatasets or another file.")
        yield dataset


def _layers(dataset: DatasetReader) -> list[_Layer]:
    names = [canonical_band(text) for text in dataset.descriptions]
    if dataset.count == 1:
        # Writers put "Band 1" or "Gray" into a lone band's description; its file's name is chosen with care.
        names = [band_of_file(dataset.name) or names[0]]
    return [_Layer(dataset, number, name) for number, name in enumerate(names, start=1)]


def _chosen(layers: list[_Layer]) -> list[_Layer]:
    """Keep the finest of each named band, and every band that has no name."""
    best: dict[str, _Layer] = {}
    for layer in layers:
        other = best.get(layer.name or "")
        if layer.name is None or (other is not None and other.dataset is layer.dataset):
            continue
        if other is not None and math.isclose(other.gsd, layer.gsd, rel_tol=_SAME):
            raise InputError(
                f"{other.dataset.name} and {layer.dataset.name} both hold {layer.name} at {layer.gsd:g}; "
                "keep one of them, or name the folder of one scene."
            )
        if other is None or layer.gsd < other.gsd:
            best[layer.name] = layer
    return [layer for layer in layers if layer.name is None or best[layer.name].dataset is layer.dataset]


def _check_same_crs(layers: Sequence[_Layer]) -> None:
    first = layers[0].dataset
    for layer in layers:
        if layer.dataset.crs != first.crs:
            raise InputError(
                f"{first.name} is in {first.crs or 'no CRS'} and {layer.dataset.name} in "
                f"{layer.dataset.crs or 'no CRS'}; bring the files of one scene into one coordinate reference system."
            )


@contextmanager
def _placed(dataset: DatasetReader, grid: Grid, hole: float) -> Iterator[DatasetReader | WarpedVRT]:
    if _matches(_grid(dataset), grid):
        yield dataset
        return
    if dataset.crs is None or grid.crs is None:
        raise InputError(need_of_crs(dataset.name, has_gcps=bool(dataset.gcps[0])))
    common = _grid(dataset).overlap(grid)
    if common is None:
        raise InputError(
            f"{dataset.name} does not overlap the area that it belongs to ({_text(grid.bounds)} in {grid.crs}); "
            "use files of one place."
        )
    # An exact transformation, fixed scales and bands masked one by one make a pixel's value independent of the window
    # that it is read in and of the other bands.
    with WarpedVRT(
        dataset,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling.bilinear,
        src_nodata=hole,
        nodata=hole,
        tolerance=_EXACT,
        UNIFIED_SRC_NODATA="NO",
        **_scales(dataset, grid, common),
    ) as warped:
        yield warped


def _hole(dataset: DatasetReader, told: float | None, unstated: float | None) -> float:
    """Return the value of a file that must not be interpolated with."""
    dtype = np.dtype(dataset.dtypes[0])
    for value in (told, dataset.nodata, unstated):
        if value is not None and _can_hold(dtype, value):
            return float(value)
    return 0.0 if np.issubdtype(dtype, np.integer) else math.nan


def _can_hold(dtype: np.dtype[Any], value: float) -> bool:
    if not np.issubdtype(dtype, np.integer):
        return True
    limits = np.iinfo(dtype)
    return bool(limits.min <= value <= limits.max)


def _scales(dataset: DatasetReader, grid: Grid, common: tuple[float, float, float, float]) -> dict[str, str]:
    """Return pixels of `grid` per pixel of the file along both axes, which GDAL else estimates window by window.

    They are those in the middle of what both have in `common`. Below 1 GDAL averages over as many pixels as one of the
    grid covers; from nearly 1 upward it interpolates.
    """
    (col,), (row,) = grid.colrow([(common[0] + common[2]) / 2], [(common[1] + common[3]) / 2])
    xs, ys = transform(grid.crs, dataset.crs, *grid.xy([col, col + 1, col], [row, row, row + 1]))
    cols, rows = _grid(dataset).colrow(xs, ys)
    # How far one step of the grid goes in the file, in its pixels, whichever way the one lies to the other.
    steps = {"XSCALE": math.hypot(cols[1] - cols[0], rows[1] - rows[0]),
             "YSCALE": math.hypot(cols[2] - cols[0], rows[2] - rows[0])}  # fmt: skip
    return {axis: "1" if 1 / step > _INTERPOLATED else f"{1 / step:.6f}" for axis, step in steps.items()}


def _grid(dataset: DatasetReader) -> Grid:
    return Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)


def _matches(a: Grid, b: Grid) -> bool:
    if (a.crs, a.width, a.height) != (b.crs, b.width, b.height):
        return False
    corners = ((0, 0), (a.width, 0), (0, a.height))
    moved = (~b.transform @ (a.transform @ corner) for corner in corners)
    return all(math.hypot(x - col, y - row) < _SAME for (col, row), (x, y) in zip(corners, moved, strict=True))


def _describe(layer: _Layer) -> RasterBand:
    dataset, index = layer.dataset, layer.number - 1
    return RasterBand(
        file=dataset.name,
        number=layer.number,
        description=dataset.descriptions[index],
        dtype=dataset.dtypes[index],
        nodata=dataset.nodatavals[index],
        scale=float(dataset.scales[index]),
        offset=float(dataset.offsets[index]),
        gsd=layer.gsd,
        tags=_lower(dataset.tags(layer.number)),
    )


def _common_tags(datasets: Sequence[DatasetReader]) -> dict[str, str]:
    first, *others = [_lower(dataset.tags()) for dataset in {id(dataset): dataset for dataset in datasets}.values()]
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


def _text(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.10g}" for value in values)
