# SPDX-License-Identifier: GPL-2.0-or-later
"""A class map as an accuracy assessment sees it: which classes, how much of each, and which at a place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError

from ssl4eo.errors import InputError
from ssl4eo.grid import Grid
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.labels.mapping.areas import pixel_areas
from ssl4eo.labels.mapping.classmap import CLASS_NAMES

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MapClasses", "read_map", "strips"]


@dataclass(frozen=True)
class MapClasses:
    """A class map: its names by code, their pixels (256,) and their area on the ground (256,) in square metres."""

    path: Path
    grid: Grid
    names: dict[int, str]
    pixels: NDArray[np.int64]
    areas: NDArray[np.float64]

    @property
    def codes(self) -> list[int]:
        """The codes that have pixels, rising."""
        return [int(code) for code in np.flatnonzero(self.pixels) if code]

    def at(self, places: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the codes (N,) at places (N, 2) in the map's CRS, 0 on nodata and outside."""
        cols, rows = (np.floor(value) for value in self.grid.colrow(places[:, 0], places[:, 1]))
        inside = (cols >= 0) & (rows >= 0) & (cols < self.grid.width) & (rows < self.grid.height)
        codes = np.zeros(len(places), np.intp)
        with rasterio.open(self.path) as dataset:
            found = dataset.sample(places[inside])
            codes[inside] = [int(value[0]) for value in found]
        return codes


def read_map(map_path: str | os.PathLike[str], progress: Progress = no_progress) -> MapClasses:
    """Read what classes a map has, and how much of each.

    Raises:
        InputError: when it is no class map.
    """
    path = Path(map_path)
    if not path.is_file():
        raise InputError(f"The map {path} does not exist; check the path.")
    try:
        with rasterio.open(path) as dataset:
            if dataset.count != 1 or dataset.dtypes[0] != "uint8":
                raise InputError(
                    f"{path} is no class map (it has {dataset.count} bands of {dataset.dtypes[0]}); "
                    "give a map that classify wrote."
                )
            grid = Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)
            stored = json.loads(dataset.tags().get(CLASS_NAMES, "{}"))
        if grid.crs is None:
            raise InputError(f"The map {path} has no coordinate reference system; assign one, then try again.")
        pixels, areas = np.zeros(256, np.int64), np.zeros(256)
        of_row = pixel_areas(grid)
        for row, codes in strips(path, grid, progress):
            size = of_row[row : row + len(codes)]
            number = np.arange(len(codes))[:, None] * 256
            counts = np.bincount((codes + number).ravel(), minlength=256 * len(codes)).reshape(-1, 256)
            pixels += counts.sum(axis=0)
            areas += size @ counts
    except (RasterioIOError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); make the map anew.") from error
    pixels[0], areas[0] = 0, 0
    if not pixels.any():
        raise InputError(f"The map {path} has no pixel of any class; make it anew.")
    names = {int(code): str(stored.get(str(code), code)) for code in np.flatnonzero(pixels)}
    return MapClasses(path, grid, names, pixels, areas)


def strips(path: Path, grid: Grid, progress: Progress) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the first row and the codes (h, W) of the strips of a map."""
    height = 256
    with rasterio.open(path) as dataset:
        for row in range(0, grid.height, height):
            progress(row / grid.height, "Reading the map")
            rows = min(height, grid.height - row)
            yield row, dataset.read(1, window=((row, row + rows), (0, grid.width)))
