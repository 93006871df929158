# SPDX-License-Identifier: GPL-2.0-or-later
"""Areas on the ground, also where a coordinate is a degree or a projection stretches.

Where the grid's own units give the area within half a percent they are taken, as everybody counts pixels of 100 square
metres. Elsewhere (degrees, Web Mercator) corners are brought into the cylindrical equal-area projection of EASE-Grid
2.0 (EPSG:6933, Brodzik et al. 2012, doi:10.3390/ijgi1010032), whose areas are those on the WGS 84 ellipsoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.warp import transform

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from ssl4eo.grid import Grid

__all__ = ["HECTARE", "on_ground", "pixel_areas"]

# Square metres.
HECTARE = 10_000.0
_EQUAL_AREA = "EPSG:6933"
_TOLERANCE = 0.005


def pixel_areas(grid: Grid) -> NDArray[np.float64]:
    """Return the area (H,) in square metres of a pixel in the middle of each row.

    Along a row the area is the same in degrees and in Web Mercator, unless the grid is turned.
    """
    there = _equal_area_rows(grid)
    width, height = grid.resolution
    plain = np.full(grid.height, width * height * _metres(grid.crs) ** 2)
    if grid.crs is not None and grid.crs.is_projected and np.abs(plain / there - 1).max() < _TOLERANCE:
        return plain
    return there


def on_ground(geometries: list[BaseGeometry], grid: Grid) -> NDArray[np.float64]:
    """Return the areas (N,) in square metres of geometries in the CRS of a grid, by the rule that its pixels go by."""
    width, height = grid.resolution
    plain = width * height * _metres(grid.crs) ** 2
    areas = pixel_areas(grid)
    if np.all(areas == plain):
        return np.asarray(shapely.area(geometries) * _metres(grid.crs) ** 2, float)
    crs = grid.crs

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transform(crs, CRS.from_user_input(_EQUAL_AREA), points[:, 0], points[:, 1]), axis=1)

    return np.asarray(shapely.area(shapely.transform(np.array(geometries, object), moved)), float)


def _equal_area_rows(grid: Grid) -> NDArray[np.float64]:
    middle = grid.width // 2
    rows = np.arange(grid.height + 1)
    corners = []
    for col in (middle, middle + 1):
        xs, ys = grid.xy(np.full(len(rows), col), rows)
        corners.append(np.stack(transform(grid.crs, CRS.from_user_input(_EQUAL_AREA), xs, ys), axis=1))
    left, right = corners
    # The shoelace formula over the four corners of each pixel.
    first, second = right[1:] - left[:-1], left[1:] - right[:-1]
    return np.asarray(0.5 * np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]), float)


def _metres(crs: CRS | None) -> float:
    return float(crs.linear_units_factor[1]) if crs is not None and crs.is_projected else 1.0
