# SPDX-License-Identifier: GPL-2.0-or-later
"""Reference labels on a scene's grid, from polygons or from a raster of classes, in units that are split whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import rasterio.features
import shapely
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from scipy.ndimage import distance_transform_edt, find_objects

from ssl4eo.errors import InputError
from ssl4eo.labels.samples import read_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from numpy.typing import NDArray

    from ssl4eo.grid import Grid

__all__ = ["Reference", "border_distance", "read_reference"]

_VECTOR = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".parquet")


@dataclass(frozen=True)
class Reference:
    """Labelled pixels of a scene.

    Attributes:
        names: K class names.
        codes: (H, W) class index of each pixel, -1 where there is no label.
        units: (H, W) number of the square block that a pixel is split with: its own, or that of its polygon's middle.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int16]
    units: NDArray[np.int32]


def read_reference(
    path: str | os.PathLike[str],
    grid: Grid,
    block: int,
    *,
    class_field: str = "class",
    ignore: Collection[str] = (),
    background: str | None = None,
) -> Reference:
    """Bring labels onto a scene's grid.

    Pixels of a small polygon belong together: they go to the block of its middle. A polygon that is wider than two
    blocks is a map rather than a sample, and is cut as a raster is.

    Args:
        path: polygons with a class, or a raster of class numbers (its first band; nearest pixel).
        grid: the scene's.
        block: side of a block in pixels.
        class_field: the field with the class of polygons.
        ignore: classes that are left out, by name or number.
        background: the class of every pixel outside all polygons, where these show all there is of their class.

    Raises:
        InputError: for labels that cannot be read, or fewer than two classes in the scene.
    """
    source = Path(path)
    if source.suffix.lower() in _VECTOR:
        names, codes, units = _of_polygons(source, grid, block, class_field, background)
    else:
        names, codes = _of_raster(source, grid)
        units = _blocks(grid, block)
    kept = [code for code, name in enumerate(names) if name not in ignore and (codes == code).any()]
    if len(kept) < 2:
        raise InputError(
            f"{source} has labels of {len(kept)} classes in the scene, so there is nothing to tell apart; "
            "give labels of two classes or more, or a background."
        )
    table = np.full(len(names) + 1, -1, np.int16)
    table[kept] = np.arange(len(kept))
    return Reference(tuple(names[code] for code in kept), table[codes], units)


def border_distance(codes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (H, W) how many pixels away the next labelled pixel of another class is; infinity where there is none.

    Args:
        codes: (H, W) classes, below 0 where there is no label.
    """
    away = np.full(codes.shape, np.inf)
    for code in np.unique(codes[codes >= 0]):
        other = (codes >= 0) & (codes != code)
        if other.any():
            away = np.where(codes == code, distance_transform_edt(~other), away)
    return away


def _blocks(grid: Grid, block: int) -> NDArray[np.int32]:
    rows, cols = np.arange(grid.height) // block, np.arange(grid.width) // block
    return np.asarray(rows[:, None] * (cols[-1] + 1) + cols[None], np.int32)


def _of_raster(path: Path, grid: Grid) -> tuple[list[str], NDArray[np.int64]]:
    try:
        with (
            rasterio.open(path) as dataset,
            WarpedVRT(
                dataset,
                crs=grid.crs,
                transform=grid.transform,
                width=grid.width,
                height=grid.height,
                resampling=Resampling.nearest,
                add_alpha=dataset.nodata is None,
            ) as there,
        ):
            values = there.read(1)
            # Without a nodata value, the band that was added says what lies outside the raster.
            valid = there.read(there.count) > 0 if dataset.nodata is None else there.dataset_mask() > 0
    except RasterioError as error:
        raise InputError(f"{path} cannot be read as a raster of classes ({error}); give polygons or a GeoTIFF.") from (
            error
        )
    if not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{path} holds numbers of type {values.dtype}; classes are whole numbers.")
    # Below zero stands for "not labelled" in the rasters that have no nodata value of their own.
    valid &= values.astype(np.int64) >= 0
    found = np.unique(values[valid])
    codes = np.where(valid, np.searchsorted(found, values), -1)
    return [str(value) for value in found], codes


def _of_polygons(
    path: Path, grid: Grid, block: int, class_field: str, background: str | None
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int32]]:
    if grid.crs is None:
        raise InputError("The scene has no coordinate reference system, so polygons have no place in it.")
    samples = read_samples(path, grid.crs, class_field=class_field, classes=1)
    shape, units = (grid.height, grid.width), _blocks(grid, block)
    finite = [np.isfinite(geometry.bounds).all() for geometry in samples.geometries]
    shapes = [
        (shapely.geometry.mapping(geometry), number)
        for number, (geometry, there) in enumerate(zip(samples.geometries, finite, strict=True), start=1)
        if there
    ]
    number = rasterio.features.rasterize(shapes, shape, transform=grid.transform, dtype="int32") if shapes else None
    if number is None or not number.any():
        raise InputError(f"No polygon of {path} lies in the scene; give labels of the same place.")
    names = samples.names
    of_polygon = np.array([-1, *(names.index(label) for label in samples.labels)])
    codes = of_polygon[number]
    if background is not None:
        codes[number == 0] = len(names)
        return [*names, background], codes, units
    return names, codes, _of_middles(number, units, 2 * block)


def _of_middles(number: NDArray[np.int32], units: NDArray[np.int32], widest: int) -> NDArray[np.int32]:
    """Give the pixels of each polygon up to so wide the block of its middle."""
    result = units.copy()
    extents = find_objects(number)
    for index in np.unique(number[number > 0]):
        extent = extents[index - 1]
        rows, cols = extent
        if max(rows.stop - rows.start, cols.stop - cols.start) <= widest:
            middle = units[(rows.start + rows.stop - 1) // 2, (cols.start + cols.stop - 1) // 2]
            result[extent][number[extent] == index] = middle
    return result
