# SPDX-License-Identifier: GPL-2.0-or-later
"""A class map as polygons: small patches given to their neighbours, outlines smoothed without gaps, areas in hectares.

The map is cut into squares of 2048 pixels, each of which becomes polygons of its own, so that memory grows with what is
cut by a seam and not with the map. What a seam cuts is put together again at the end.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import rasterio.features
import shapely

from ssl4eo.errors import InputError, OutputError
from ssl4eo.grid import Window, tiles
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.labels.mapping.areas import HECTARE, on_ground, pixel_areas
from ssl4eo.labels.mapping.classmap import NODATA
from ssl4eo.labels.mapping.polygon_style import style_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ssl4eo.grid import Grid

__all__ = ["LAYER", "check_options", "vectorise"]

LAYER = "classes"
# Pixels per side of a square: 4 million pixels of noise make 400 MB of outlines, a real map a tenth.
_SQUARE = 2048
# Outlines with more corners than this in a single square are noise, and would take minutes and gigabytes.
_MOST_CORNERS = 6_000_000


def vectorise(
    codes: NDArray[np.uint8],
    grid: Grid,
    entries: Mapping[int, tuple[str, str]],
    final: Path,
    *,
    min_area_ha: float = 0.0,
    simplify: float = 1.0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write the polygons of a class map into a new GeoPackage, with the fields class, code and area_ha.

    Patches smaller than the least area go to the largest neighbour (GDAL's sieve). Outlines are simplified together
    (Visvalingam and Whyatt's algorithm on the coverage), so that neighbours still share their edges.

    Args:
        codes: (H, W), 0 where there is no data.
        grid: their place.
        entries: name and colour by code (`labels.mapping.classmap.legend`).
        final: the file to make, as `atomic_file` gives it.
        min_area_ha: hectares below which a patch is given to its neighbour; 0 keeps all.
        simplify: tolerance in pixels, below which corners go; 0 keeps the pixels' outlines.
        progress: told how far the work is.

    Returns:
        polygons (how many), and areas_ha by class name.

    Raises:
        OutputError: when the outlines are too many.
    """
    progress(0.0, "Removing small patches")
    codes = _sieved(codes, grid, min_area_ha)
    squares = [grid.clip(square) for square in tiles(grid.window, _SQUARE)]
    areas: dict[str, float] = {}
    count = 0
    cut: dict[int, list[shapely.Geometry]] = {}
    # A map without a pixel has a layer too.
    _write(final, np.empty(0, object), np.empty(0, np.intp), np.empty(0), entries, grid)
    for number, square in enumerate(squares):
        progress(0.1 + 0.7 * number / len(squares), "Drawing outlines")
        outlines, values = _outlines(codes, grid, square, simplify)
        at_seam = _on_seam(outlines, grid, square)
        for outline, value in zip(outlines[at_seam], values[at_seam], strict=True):
            cut.setdefault(int(value), []).append(outline)
        count += _add(final, outlines[~at_seam], values[~at_seam], entries, grid, areas)
    for number, (value, pieces) in enumerate(cut.items()):
        progress(0.8 + 0.2 * number / len(cut), "Joining what the squares cut")
        whole = shapely.get_parts(shapely.union_all(pieces))
        count += _add(final, whole, np.full(len(whole), value), entries, grid, areas)
    style_table(final, LAYER, entries)
    return {"polygons": count, "areas_ha": {name: round(area, 4) for name, area in areas.items()}}


def check_options(out: Path, min_area_ha: float, simplify: float) -> None:
    """Refuse what cannot be drawn, before long work.

    Raises:
        InputError: for a name that is no GeoPackage's, or a negative or endless area or tolerance.
    """
    if out.suffix.lower() != ".gpkg":
        raise InputError(f"The polygons {out} are written as a GeoPackage; give it a name that ends in .gpkg.")
    for value, what in ((min_area_ha, "least area"), (simplify, "tolerance")):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"A {what} of {value} makes no sense; give a number from 0 on.")


def _sieved(codes: NDArray[np.uint8], grid: Grid, min_area_ha: float) -> NDArray[np.uint8]:
    pixels = math.ceil(min_area_ha * HECTARE / float(np.median(pixel_areas(grid))) - 1e-9)
    if pixels < 2:
        return codes
    return np.asarray(rasterio.features.sieve(codes, pixels, mask=codes != NODATA, connectivity=4), np.uint8)


def _outlines(
    codes: NDArray[np.uint8], grid: Grid, square: Window, simplify: float
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the polygons of a square, and their codes."""
    part = codes[square.slices]
    if _corners(part) > _MOST_CORNERS:
        raise OutputError(
            f"The map has more than {_MOST_CORNERS:,} corners in {_SQUARE} x {_SQUARE} pixels, too many for polygons; "
            "give a larger least area."
        )
    shapes, values = [], []
    # Pixels without data are drawn too, so that their edges are simplified like all others, and left out afterwards.
    for geometry, value in rasterio.features.shapes(part, connectivity=4):
        rings = geometry["coordinates"]
        shapes.append(shapely.Polygon(rings[0], rings[1:]))
        values.append(int(value))
    outlines, numbers = np.array(shapes, object), np.array(values, np.intp)
    if simplify > 0:
        # Where a third polygon ends on a straight edge, all must have a corner, else the edge is not a common one.
        outlines = shapely.transform(shapely.segmentize(outlines, 1.0), np.rint)
        # The edge of the square stays as it is: the next square has the same.
        outlines = shapely.coverage_simplify(outlines, simplify, simplify_boundary=False)
    kept = numbers != NODATA
    transform = grid.subgrid(square).transform

    def placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
        t = transform
        return np.stack(
            [t.a * points[:, 0] + t.b * points[:, 1] + t.c, t.d * points[:, 0] + t.e * points[:, 1] + t.f], axis=1
        )

    return shapely.transform(outlines[kept], placed), numbers[kept]


def _corners(part: NDArray[np.uint8]) -> int:
    """Return about how many corners the outlines have: one where a pixel differs from the next across and down."""
    return 2 * int(((part[1:, 1:] != part[1:, :-1]) & (part[1:, 1:] != part[:-1, 1:])).sum())


def _on_seam(outlines: NDArray[Any], grid: Grid, square: Window) -> NDArray[np.bool_]:
    """Return which polygons touch an edge of the square that is not one of the map."""
    lines = []
    for here, there, inner in (
        ((square.col, square.row), (square.col, square.row_stop), square.col > 0),
        ((square.col_stop, square.row), (square.col_stop, square.row_stop), square.col_stop < grid.width),
        ((square.col, square.row), (square.col_stop, square.row), square.row > 0),
        ((square.col, square.row_stop), (square.col_stop, square.row_stop), square.row_stop < grid.height),
    ):
        if inner:
            lines.append(shapely.LineString([grid.transform @ here, grid.transform @ there]))
    if not lines or not len(outlines):
        return np.zeros(len(outlines), bool)
    # A hair's breadth, since corners carry the rounding of their coordinates.
    near = 1e-6 * min(grid.resolution)
    return np.asarray(shapely.dwithin(outlines, shapely.MultiLineString(lines), near), bool)


def _add(
    path: Path,
    outlines: NDArray[Any],
    values: NDArray[np.intp],
    entries: Mapping[int, tuple[str, str]],
    grid: Grid,
    areas: dict[str, float],
) -> int:
    if not len(outlines):
        return 0
    hectares = on_ground(list(outlines), grid) / HECTARE
    for value in np.unique(values):
        name = entries[int(value)][0]
        areas[name] = areas.get(name, 0.0) + float(hectares[values == value].sum())
    _write(path, outlines, values, hectares, entries, grid)
    return len(outlines)


def _write(
    path: Path,
    outlines: NDArray[Any],
    values: NDArray[np.intp],
    hectares: NDArray[np.float64],
    entries: Mapping[int, tuple[str, str]],
    grid: Grid,
) -> None:
    names = np.array([entries[int(value)][0] for value in values], object)
    with warnings.catch_warnings():
        # A grid without coordinate reference system makes polygons without one, as its map.
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(outlines),
            field_data=[names, values.astype(np.int32), np.round(hectares, 6)],
            fields=["class", "code", "area_ha"],
            crs=grid.crs.to_wkt() if grid.crs is not None else None,
            geometry_type="Polygon",
            layer=LAYER,
            append=path.exists(),
            # Read without a warning by the GDAL 3.6 of QGIS 3.22.
            dataset_options={"VERSION": "1.2"},
        )
