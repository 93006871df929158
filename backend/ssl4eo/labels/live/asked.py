# SPDX-License-Identifier: GPL-2.0-or-later
"""The pixels that a view asks for, and where their centres lie on the scene's grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.grid import Grid

__all__ = ["MOST_PIXELS", "Asked", "Lattice", "ViewError", "lattice_of"]

# Pixels along a side of a view: four screens of 1024. One of 13 bands in a feature set then takes 0.3 GB.
MOST_PIXELS = 4096
# A coordinate beyond any map's, in any unit: what is larger overflows on the way to a pixel.
_FARTHEST = 1e12


class ViewError(InputError):
    """A view that cannot be drawn: an empty box or an absurd size."""


@dataclass(frozen=True)
class Asked:
    """A box of the scene's CRS in `width` x `height` pixels, the first row at its upper edge.

    Attributes:
        bbox: xmin, ymin, xmax, ymax.
        width: pixels across.
        height: pixels down.
    """

    bbox: tuple[float, float, float, float]
    width: int
    height: int

    @classmethod
    def of(cls, bbox: Sequence[float], width: int, height: int) -> Asked:
        """Check what is asked for.

        Raises:
            ViewError: when the box is empty or reversed, or the size none that can be drawn.
        """
        shown = ", ".join(f"{value:.10g}" for value in bbox)
        if len(bbox) != 4 or not all(math.isfinite(value) and abs(value) < _FARTHEST for value in bbox):
            raise ViewError(f"The box {shown} is no place; give xmin, ymin, xmax, ymax in the scene's CRS.")
        xmin, ymin, xmax, ymax = map(float, bbox)
        if xmin >= xmax or ymin >= ymax:
            raise ViewError(f"The box {shown} is empty; give xmin, ymin, xmax, ymax with xmin < xmax and ymin < ymax.")
        if not (1 <= width <= MOST_PIXELS and 1 <= height <= MOST_PIXELS):
            raise ViewError(f"A view of {width} x {height} pixels cannot be drawn; ask for 1 to {MOST_PIXELS} a side.")
        return cls((xmin, ymin, xmax, ymax), width, height)

    @property
    def xs(self) -> NDArray[np.float64]:
        """(width,) coordinates of pixel centres."""
        step = (self.bbox[2] - self.bbox[0]) / self.width
        return np.asarray(self.bbox[0] + (np.arange(self.width) + 0.5) * step, np.float64)

    @property
    def ys(self) -> NDArray[np.float64]:
        """(height,) coordinates of pixel centres, falling."""
        step = (self.bbox[3] - self.bbox[1]) / self.height
        return np.asarray(self.bbox[3] - (np.arange(self.height) + 0.5) * step, np.float64)


@dataclass(frozen=True)
class Lattice:
    """Where a view is computed: all crossings of rows and columns of the scene's grid that lie in the scene.

    Attributes:
        cols: (w,) fractional columns of level 0; 0.5 is the centre of the first.
        rows: (h,) the same, down.
        shape: height and width of the view.
        place: where the crossings go in the view: two slices; or, in a scene whose grid is turned against its CRS, two
            arrays (H, W) with row and column of the nearest crossing, -1 where there is none.
    """

    cols: NDArray[np.float64]
    rows: NDArray[np.float64]
    shape: tuple[int, int]
    place: tuple[slice, slice] | tuple[NDArray[np.intp], NDArray[np.intp]]

    def spread(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what was computed (h, w) as the view (H, W), 0 outside the scene."""
        down, across = self.place
        if isinstance(down, slice) or isinstance(across, slice):
            if plane.shape == self.shape:
                return plane
            view = np.zeros(self.shape, np.uint8)
            view[down, across] = plane
            return view
        return np.where((down >= 0) & (across >= 0), plane[down, across], np.uint8(0))


def lattice_of(asked: Asked, grid: Grid) -> Lattice | None:
    """Return where to compute a view of a scene with this grid, or None when it lies outside."""
    t = grid.transform
    if t.b == 0 and t.d == 0:
        cols, rows = (asked.xs - t.c) / t.a, (asked.ys - t.f) / t.e
        across, down = _inside(cols, grid.width), _inside(rows, grid.height)
        if across.start == across.stop or down.start == down.stop:
            return None
        return Lattice(cols[across], rows[down], (asked.height, asked.width), (down, across))
    return _turned(asked, grid)


def _inside(positions: NDArray[np.float64], size: int) -> slice:
    hit = np.flatnonzero((positions >= 0) & (positions < size))
    return slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0)


def _turned(asked: Asked, grid: Grid) -> Lattice | None:
    """Lay a lattice as fine as the view along the scene's own axes: each pixel takes its nearest crossing.

    It is off by half a pixel of the view at most, along each axis.
    """
    xs, ys = np.meshgrid(asked.xs, asked.ys)
    cols, rows = grid.colrow(xs, ys)
    inside = (cols >= 0) & (cols < grid.width) & (rows >= 0) & (rows < grid.height)
    if not inside.any():
        return None
    pixel = (asked.bbox[2] - asked.bbox[0]) / asked.width * (asked.bbox[3] - asked.bbox[1]) / asked.height
    step = math.sqrt(pixel / abs(grid.transform.determinant))
    axes, numbers = [], []
    for positions in (rows, cols):
        least, most = positions[inside].min(), positions[inside].max()
        axes.append(np.linspace(least, most, max(2, math.ceil((most - least) / step) + 1)))
        nearest = np.rint((positions - least) / max(axes[-1][1] - least, 1e-12)).astype(np.intp)
        numbers.append(np.where(inside, np.clip(nearest, 0, len(axes[-1]) - 1), -1))
    return Lattice(axes[1], axes[0], (asked.height, asked.width), (numbers[0], numbers[1]))
