# SPDX-License-Identifier: GPL-2.0-or-later
"""Small feature sets and sample files that tests write for themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyogrio
import shapely
from rasterio.crs import CRS
from scene_files import ORIGIN
from ssl4eo.features.projection import fit_quantiser
from ssl4eo.features.store import ITEM
from ssl4eo.features.tiling import level_grid
from ssl4eo.features.writer import LevelWriter
from ssl4eo.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

UTM = "EPSG:32633"


def cover(height: int, width: int, side: int, classes: int = 2) -> NDArray[np.intp]:
    """Return a chess board of classes 0, 1, ... with squares of `side` pixels."""
    return (np.arange(height)[:, None] // side + np.arange(width)[None] // side) % classes


def write_features(
    folder: Path,
    pixels: NDArray[np.float32],
    deep: dict[int, int] | None = None,
    added: NDArray[np.float32] | None = None,
) -> Path:
    """Write a feature set with the store's own writer.

    Level 0 is `pixels` (C, H, W), NaN where nodata; each deep level of stride s has deep[s] components: the first of
    them is the mean of the first pixel component around the cell, the others are noise. The last level is `added`
    (C, H, W), the pixels of another scene.
    """
    folder.mkdir(parents=True)
    grid = Grid(CRS.from_user_input(UTM), ORIGIN, pixels.shape[2], pixels.shape[1])
    rng = np.random.default_rng(0)
    entries = []
    made = [(1, pixels), *((stride, None) for stride in deep or {}), *([] if added is None else [(1, added)])]
    for index, (stride, given) in enumerate(made):
        cells = level_grid(grid, grid.window, stride, 0.5)
        components = (deep or {})[stride] if given is None else len(given)
        if given is None:
            first = _cells(pixels[0], cells.window.height, cells.window.width, stride)
            noise = rng.normal(size=(components - 1, *first.shape)).astype(np.float32)
            values = np.concatenate([first[None], noise])
        else:
            values = given
        quantiser = fit_quantiser(values.reshape(components, -1).T[np.isfinite(values[0]).ravel()])
        names = [f"c{number}" for number in range(components)]
        with LevelWriter(folder / f"level_{index}.tif", cells, names, quantiser) as writer:
            writer.write(cells.window, quantiser.apply(values))
            writer.finish()
        entries.append({"level": index, "stride": stride, "file": f"level_{index}.tif", "components": components})
    properties = {"ssl4eo:levels": entries, "ssl4eo:encoder": {"id": "test"}}
    (folder / ITEM).write_text(json.dumps({"type": "Feature", "properties": properties}))
    return folder


def _cells(band: NDArray[np.float32], height: int, width: int, stride: int) -> NDArray[np.float32]:
    filled = np.nan_to_num(band)
    rows = np.minimum(np.arange(height) * stride, band.shape[0] - 1)
    cols = np.minimum(np.arange(width) * stride, band.shape[1] - 1)
    return filled[np.ix_(rows, cols)].astype(np.float32)


def pixel_point(col: float, row: float) -> shapely.Point:
    """Return the centre of a pixel as a point in UTM."""
    return shapely.Point(*(ORIGIN @ (col + 0.5, row + 0.5)))


def pixel_box(col: float, row: float, width: float, height: float) -> shapely.Polygon:
    """Return a rectangle of pixels as a polygon in UTM."""
    corners = [(col, row), (col + width, row), (col + width, row + height), (col, row + height)]
    return shapely.Polygon([ORIGIN @ corner for corner in corners])


def write_samples(
    path: Path,
    geometries: Sequence[BaseGeometry | None],
    classes: Sequence[object],
    *,
    field: str = "class",
    crs: str | None = UTM,
    layer: str | None = None,
    append: bool = False,
    kind: str = "Unknown",
    **fields: Sequence[object],
) -> Path:
    """Write geometries with a class field, and more fields, to a GeoPackage or GeoJSON."""
    columns = {field: classes, **fields}
    values = [np.array(column) if all(isinstance(v, int | float) for v in column) and column else
              np.array(column, object) for column in columns.values()]  # fmt: skip
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(geometries, object)),
        field_data=values,
        fields=list(columns),
        crs=crs,
        geometry_type=kind,
        layer=layer,
        append=append,
        **({"SPATIAL_INDEX": "NO"} if path.suffix == ".gpkg" else {}),
    )
    return path
