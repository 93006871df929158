# SPDX-License-Identifier: GPL-2.0-or-later
"""One click becomes a patch of like pixels: region growing around it, as far as its own surroundings are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio.features
import shapely
from scipy import ndimage

from ssl4eo.errors import InputError
from ssl4eo.features.sampling import interpolate_grid
from ssl4eo.grid import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.training import LevelScaling

__all__ = ["Patch", "grow"]

# Pixels from the click to the farthest pixel of a patch: 250 m at 10 m.
_RADIUS = 25
# Holes of so many pixels or fewer are filled.
_HOLE = 4
# Thresholds that are tried, and pixels below which nothing can be said about a patch's own spread.
_STEPS, _FEWEST = 48, 9
# Spread that is never undercut, in deviations of the scene: in a calm lake the last bit would decide otherwise.
_NOISE = 0.02


@dataclass(frozen=True)
class Patch:
    """A patch: its outline in the scene's CRS, and how many pixels it has."""

    polygon: shapely.Polygon
    pixels: int


def grow(
    features: FeatureSet,
    scalings: list[LevelScaling],
    x: float,
    y: float,
    *,
    head: LinearHead | None = None,
    radius: int = _RADIUS,
) -> Patch:
    """Return the patch of pixels around a place that are like it and hang together.

    How like is like is read from the place itself: of a series of thresholds on the distance to the clicked pixel, that
    one is taken whose patch stands out most from the pixels along its outside, in units of its own spread (after
    Hojjatoleslami and Kittler 1998, doi:10.1109/83.701170, who take the contrast itself). The distance is over the
    pixels and what surrounds them. Of 150 clicks in labelled polygons of each of five real scenes the patches (median
    64 pixels) had 88.2 % of their labelled pixels in the clicked class, discs of the same size 85.1 %; with the
    contrast itself it was 84.1 % and 81.1 %.

    Args:
        features: the feature set.
        scalings: of its levels.
        x: of the click, in the scene's CRS.
        y: the same.
        head: when given, the patch stays within the class that it gives the clicked pixel.
        radius: how far the patch reaches at most, in pixels.

    Raises:
        InputError: when the place is outside the feature set or on nodata.
    """
    col, row = (int(np.floor(value)) for value in features.grid.colrow(x, y))
    grid = features.grid
    if not (0 <= col < grid.width and 0 <= row < grid.height):
        raise InputError(f"The place {x:.10g}, {y:.10g} lies outside the feature set; click inside the image.")
    window = grid.clip(Window(col - radius, row - radius, 2 * radius + 1, 2 * radius + 1))
    values = _stack(features, scalings, window)
    at = row - window.row, col - window.col
    valid = np.isfinite(values[0])
    if not valid[at]:
        raise InputError(f"The place {x:.10g}, {y:.10g} lies on nodata; click where the image has values.")
    rows, cols = np.ogrid[: window.height, : window.width]
    allowed = valid & (np.hypot(rows - at[0], cols - at[1]) <= radius)
    if head is not None:
        from ssl4eo.labels.mapping.predict import predict_window

        codes = predict_window(features, head, window)
        allowed &= codes == codes[at]
    inside = _region(_distance(values, valid, at), allowed, at)
    shapes = rasterio.features.shapes(
        inside.astype(np.uint8), mask=inside, connectivity=4, transform=grid.subgrid(window).transform
    )
    rings = next(geometry["coordinates"] for geometry, _ in shapes)
    return Patch(shapely.Polygon(rings[0], rings[1:]), int(inside.sum()))


def _stack(features: FeatureSet, scalings: list[LevelScaling], window: Window) -> NDArray[np.float64]:
    """Return the base levels (D, H, W) at the pixels of a window, centred and scaled; NaN where level 0 is nodata."""
    parts = []
    for level, scaling in zip(features.levels[: features.base], scalings, strict=False):
        values = level.read(window) if level.grid == features.grid else _at_pixels(features, level, window)
        scaled = (values - scaling.mean[:, None, None]) * scaling.gain[:, None, None]
        parts.append(scaled if level.index == 0 else np.nan_to_num(scaled))
    return np.concatenate(parts)


def _at_pixels(features: FeatureSet, level: Level, window: Window) -> NDArray[np.float32]:
    place = ~level.grid.transform @ features.grid.transform
    cols = np.arange(window.col, window.col_stop) + 0.5
    rows = np.arange(window.row, window.row_stop) + 0.5
    cells, local_cols, local_rows = level.read_around(place.a * cols + place.c, place.e * rows + place.f)
    return interpolate_grid(cells, local_cols, local_rows)


def _distance(values: NDArray[np.float64], valid: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.float64]:
    """Return (H, W) distances to the clicked pixel, which is smoothed with those beside it that are most like it."""
    seed = values[:, at[0], at[1]]
    rows = slice(max(at[0] - 1, 0), at[0] + 2)
    cols = slice(max(at[1] - 1, 0), at[1] + 2)
    beside = values[:, rows, cols][:, valid[rows, cols]]
    nearest = np.argsort(((beside - seed[:, None]) ** 2).sum(axis=0), kind="stable")[:5]
    middle = beside[:, nearest].mean(axis=1)
    return np.asarray(np.sqrt(((values - middle[:, None, None]) ** 2).sum(axis=0)), float)


def _region(distance: NDArray[np.float64], allowed: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (H, W) the connected pixels under the threshold at which the patch stands out most."""
    best = np.zeros_like(allowed)
    best[at] = True
    clearest, last = -np.inf, 0
    for threshold in np.unique(np.quantile(distance[allowed], np.linspace(0, 1, _STEPS + 1)[1:])):
        inside = _component(allowed & (distance <= max(threshold, distance[at])), at)
        size = int(inside.sum())
        if size == last or size < _FEWEST:
            continue
        last = size
        outside = ndimage.binary_dilation(inside) & ~inside & np.isfinite(distance)
        if not outside.any():
            break
        own = distance[inside]
        stands_out = (distance[outside].mean() - own.mean()) / (own.std() + _NOISE)
        if stands_out > clearest:
            best, clearest = inside, stands_out
    return _tidy(best, allowed, at)


def _component(mask: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask)
    return np.asarray(parts == parts[at], bool)


def _tidy(inside: NDArray[np.bool_], allowed: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill small holes that are not nodata, and cut off what hangs on by a single pixel."""
    holes, count = ndimage.label(~inside)
    size = np.bincount(holes.ravel(), minlength=count + 1)
    small = (size[holes] <= _HOLE) & ~inside & allowed
    opened = ndimage.binary_opening(inside | small, np.ones((2, 2), bool))
    return _component(opened, at) if opened[at] else inside | small
