# SPDX-License-Identifier: GPL-2.0-or-later
"""The feature set on disk: one 8-bit GeoTIFF per level that any GIS opens, and item.json that says what it is."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError
from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import interpolate_points, support
from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

__all__ = ["ITEM", "FeatureSet", "Level"]

ITEM = "item.json"
# Kinds of levels that a scene makes without an encoder.
_OF_SCENE = {"pixels", "surroundings"}
# Points are read in squares of this many cells, so that a few points far apart pull in little of the level: of a scene
# of 10980 x 10980 pixels 200 points took 3.9 s with squares of 1024, and 1.8 s with these.
_CHUNK = 256


@dataclass(frozen=True)
class Level:
    """One level: cells of `stride` pixels, `components` values each, byte * scale + offset.

    Attributes:
        index: its number in the feature set.
        kind: "pixels" and "surroundings" of a scene itself, or "features" that an encoder makes of it.
        scene: number of that scene, from 0.
        encoder: id of the encoder; None for the scene itself.
        stride: pixels per cell.
        path: its file.
        grid: its cells' place.
        names: what its components are.
        scale: (C,).
        offset: (C,).
    """

    index: int
    kind: str
    scene: int
    encoder: str | None
    stride: int
    path: Path
    grid: Grid
    names: tuple[str, ...]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]

    @property
    def components(self) -> int:
        """Number of values per cell."""
        return len(self.names)

    @property
    def of_scene(self) -> bool:
        """Whether it holds what a scene itself has, not what an encoder makes of it."""
        return self.kind in _OF_SCENE

    def stored(self, window: Window) -> NDArray[np.uint8]:
        """Return the bytes (C, h, w) of a window in cells, `NODATA` in all components where a cell is missing.

        Raises:
            InputError: when the file cannot be read.
        """
        with self._opened() as dataset:
            return self._bytes(dataset, window)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return the values (C, h, w) of a window in cells, NaN where a cell is missing.

        Raises:
            InputError: when the file cannot be read.
        """
        return self._values(self.stored(window))

    def read_around(
        self, cols: NDArray[np.float64], rows: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Return the cells that interpolation at these fractional cell positions needs, and the positions in them."""
        window = self._around(cols, rows)
        return self.read(window), cols - window.col, rows - window.row

    def sample(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return bilinear values (N, C) at coordinates, NaN where missing or outside."""
        cols, rows = self.grid.colrow(xs, ys)
        values = np.full((len(cols), self.components), np.nan, np.float32)
        inside = (cols >= 0) & (rows >= 0) & (cols <= self.grid.width) & (rows <= self.grid.height)
        if not inside.any():
            return values
        chunk = np.where(inside, (rows // _CHUNK) * (self.grid.width // _CHUNK + 1) + cols // _CHUNK, -1)
        # Opened once: squares side by side lie in one block of the file, which is decoded once then.
        with self._opened() as dataset:
            for number in np.unique(chunk[inside]):
                chosen = chunk == number
                window = self._around(cols[chosen], rows[chosen])
                cells = self._values(self._bytes(dataset, window))
                values[chosen] = interpolate_points(cells, cols[chosen] - window.col, rows[chosen] - window.row)
        return values

    @contextmanager
    def _opened(self) -> Iterator[DatasetReader]:
        try:
            with rasterio.open(self.path) as dataset:
                yield dataset
        except RasterioIOError as error:
            raise InputError(f"{self.path} cannot be read ({error}); encode the scene again.") from error

    def _bytes(self, dataset: DatasetReader, window: Window) -> NDArray[np.uint8]:
        inside = self.grid.clip(window)
        stored = dataset.read(window=RasterioWindow(inside.col, inside.row, inside.width, inside.height))
        return np.asarray(stored, np.uint8)

    def _values(self, stored: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = stored * self.scale[:, None, None] + self.offset[:, None, None]
        values[:, stored[0] == NODATA] = np.nan
        return np.asarray(values, np.float32)

    def _around(self, cols: NDArray[np.float64], rows: NDArray[np.float64]) -> Window:
        col, col_stop = support(cols, self.grid.width)
        row, row_stop = support(rows, self.grid.height)
        return Window(col, row, col_stop - col, row_stop - row)


@dataclass(frozen=True)
class FeatureSet:
    """A folder that `encode` wrote; `grid` is that of the encoded window at the image's own resolution."""

    folder: Path
    item: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> FeatureSet:
        """Open a feature set by its folder, or by any file in it.

        Raises:
            InputError: when the folder holds no feature set, or one of an earlier version.
        """
        path = Path(folder)
        path = path.parent if path.is_file() else path
        if not path.exists():
            raise InputError(f"{path} does not exist; encode a scene first.")
        try:
            item = json.loads((path / ITEM).read_text(encoding="utf-8"))
            levels = item["properties"]["ssl4eo:levels"]
            absent = [entry["file"] for entry in levels if not (path / entry["file"]).is_file()]
            dated = [entry["file"] for entry in levels if "kind" not in entry]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not a feature set (it has no readable {ITEM}); encode a scene first."
            ) from error
        if absent or not levels:
            raise InputError(
                f"The feature set {path} lacks {', '.join(absent) or 'its levels'}; encode the scene again."
            )
        if dated:
            raise InputError(
                f"The feature set {path} was made by an earlier version, which kept other levels; "
                "encode the scene again."
            )
        return cls(path, item)

    @cached_property
    def levels(self) -> list[Level]:
        """The levels: pixels and surroundings of the first scene, its encoder's finest first, then what was added."""
        entries = self.item["properties"]["ssl4eo:levels"]
        return [_open_level(index, entry, self.folder / entry["file"]) for index, entry in enumerate(entries)]

    @property
    def base(self) -> int:
        """How many levels, the first ones, are the first scene's own: its pixels and their surroundings."""
        return sum(level.of_scene and level.scene == 0 for level in self.levels)

    @property
    def grid(self) -> Grid:
        """The grid of level 0."""
        return self.levels[0].grid

    @property
    def crs(self) -> CRS:
        """The scene's coordinate reference system."""
        return self.grid.crs

    @property
    def files(self) -> list[Path]:
        """What must not be overwritten: its levels, and the images that they were made of, as far as they are there."""
        scenes = self.item["properties"].get("ssl4eo:scenes", [])
        return [path for path in (*(level.path for level in self.levels), *(Path(scene["path"]) for scene in scenes))
                if path.exists()]  # fmt: skip

    @property
    def encoder(self) -> str:
        """The id of the first encoder."""
        return str(self.item["properties"]["ssl4eo:encoder"]["id"])

    @property
    def encoders(self) -> list[str]:
        """The ids of all encoders, the first one first."""
        cards = self.item["properties"].get("ssl4eo:encoders", [self.item["properties"]["ssl4eo:encoder"]])
        return [str(card["id"]) for card in cards]

    def sample(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        """Return per level bilinear values (N, C) at coordinates of the scene, NaN where missing or outside."""
        return [level.sample(np.asarray(xs, float), np.asarray(ys, float)) for level in self.levels]


def _open_level(index: int, entry: dict[str, Any], path: Path) -> Level:
    try:
        with rasterio.open(path) as dataset:
            grid = Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)
            names = tuple(name or str(i + 1) for i, name in enumerate(dataset.descriptions))
            scale, offset = np.array(dataset.scales, np.float32), np.array(dataset.offsets, np.float32)
    except RasterioIOError as error:
        raise InputError(f"{path} cannot be read ({error}); encode the scene again.") from error
    kind, scene, encoder, stride = (entry[key] for key in ("kind", "scene", "encoder", "stride"))
    return Level(index, kind, scene, encoder, stride, path, grid, names, scale, offset)
