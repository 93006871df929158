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
from ssl4eo.features.levelfile import BLOCK, LevelFile
from ssl4eo.features.projection import fit_quantiser
from ssl4eo.features.spectral import STRIDE
from ssl4eo.features.store import ITEM
from ssl4eo.features.tiling import LevelGrid, level_grid
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
    around: NDArray[np.float32] | None = None,
) -> Path:
    """Write a feature set with the store's own writer.

    Level 0 is `pixels` (C, H, W), NaN where nodata, and level 1 their surroundings `around` (C, ceil(H / 4),
    ceil(W / 4)), by default the first pixel component in the middle of each block and noise. Each deep level of stride
    s has deep[s] components: the first pixel component at the cell, and noise. The last level is `added` (C, H, W), the
    pixels of another scene.
    """
    folder.mkdir(parents=True)
    grid = Grid(CRS.from_user_input(UTM), ORIGIN, pixels.shape[2], pixels.shape[1])
    rng = np.random.default_rng(0)
    made: list[tuple[str, int, str | None, LevelGrid, NDArray[np.float32]]] = []
    blocks = level_grid(grid, grid.window, STRIDE, STRIDE / 2)
    if around is None:
        around = _cells(pixels[0], blocks, 2, rng, STRIDE // 2)
    made.append(("pixels", 0, None, LevelGrid(1, grid.window, grid), pixels))
    made.append(("surroundings", 0, None, blocks, around))
    for stride, components in (deep or {}).items():
        cells = level_grid(grid, grid.window, stride, 0.5)
        made.append(("features", 0, "test", cells, _cells(pixels[0], cells, components, rng)))
    if added is not None:
        made.append(("pixels", 1, None, LevelGrid(1, grid.window, grid), added))
    entries = []
    for index, (kind, scene, encoder, cells, values) in enumerate(made):
        about = {"level": index, "kind": kind, "scene": scene, "encoder": encoder, "stride": cells.stride}
        entries.append({**about, "file": f"level_{index}.tif", "components": len(values)})
        _write_level(folder / f"level_{index}.tif", cells, values)
    properties = {"ssl4eo:levels": entries, "ssl4eo:encoder": {"id": "test"}}
    (folder / ITEM).write_text(json.dumps({"type": "Feature", "properties": properties}))
    return folder


def _write_level(path: Path, cells: LevelGrid, values: NDArray[np.float32]) -> None:
    quantiser = fit_quantiser(values.reshape(len(values), -1).T[np.isfinite(values[0]).ravel()])
    stored = quantiser.apply(values)
    with LevelFile(path, cells, [f"c{number}" for number in range(len(values))], quantiser) as file:
        for row in range(0, stored.shape[1], BLOCK):
            file.write(row, 0, stored[:, row : row + BLOCK])
        file.finish()


def _cells(
    band: NDArray[np.float32], cells: LevelGrid, components: int, rng: np.random.Generator, middle: int = 0
) -> NDArray[np.float32]:
    """Return the band at a pixel of each cell, or at the image's edge, and components of noise."""
    rows = np.minimum(np.arange(cells.window.height) * cells.stride + middle, band.shape[0] - 1)
    cols = np.minimum(np.arange(cells.window.width) * cells.stride + middle, band.shape[1] - 1)
    first = np.nan_to_num(band)[np.ix_(rows, cols)]
    return np.concatenate([first[None], rng.normal(size=(components - 1, *first.shape))]).astype(np.float32)


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
