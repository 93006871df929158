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
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.vrt import WarpedVRT

from ssl4eo.bands import canonical_band
from ssl4eo.errors import InputError
from ssl4eo.scenes.folders import band_files, band_of_file, is_collection, product_tags
from ssl4eo.scenes.placed import grid_of, placed_on, same_grid
from ssl4eo.scenes.raster import Raster, RasterBand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rasterio.io import DatasetReader

    from ssl4eo.grid import Grid

__all__ = ["open_raster", "reopen_raster"]

# Pixel sizes are one when they differ by less than a thousandth.
_SAME_GSD = 1e-3


@dataclass(frozen=True)
class _Layer:
    """One band of an open file; `name` is the canonical one when the file tells."""

    dataset: DatasetReader
    number: int
    name: str | None

    @property
    def gsd(self) -> float:
        return grid_of(self.dataset).resolution[1]


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
        target = grid or grid_of(min(deciding, key=lambda layer: layer.gsd).dataset)
        placed = {
            id(dataset): stack.enter_context(placed_on(dataset, target, _hole(dataset, nodata, unstated)))
            for dataset in {id(layer.dataset): layer.dataset for layer in layers}.values()
        }
        yield Raster(
            text,
            target,
            [_describe(layer) for layer in layers],
            {**_common_tags([layer.dataset for layer in layers]), **tags},
            [(placed[id(layer.dataset)], layer.number) for layer in layers],
        )


@contextmanager
def reopen_raster(raster: Raster) -> Iterator[Raster]:
    """Open the files of a raster once more, for another thread.

    Raises:
        InputError: when one of them is no more what it was.
    """
    try:
        raster.check_unchanged()
    except RasterioIOError as error:
        raise InputError(f"{raster.path} cannot be read any more ({error}); check the file.") from error
    with ExitStack() as stack:
        again: dict[int, DatasetReader | WarpedVRT] = {}
        for dataset in raster.datasets:
            before = dataset.src_dataset if isinstance(dataset, WarpedVRT) else dataset
            opened = stack.enter_context(_opened(before.name, raster.path))
            if not same_grid(grid_of(opened), grid_of(before)) or opened.dtypes != before.dtypes:
                raise InputError(f"{before.name} was changed since it was opened; start again.")
            placed = placed_on(opened, raster.grid, float(dataset.nodata)) if dataset is not before else None
            again[id(dataset)] = stack.enter_context(placed) if placed else opened
        yield raster.reopened(again)


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
    except (RasterioError, CPLE_BaseError) as error:
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
        if other is not None and math.isclose(other.gsd, layer.gsd, rel_tol=_SAME_GSD):
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
