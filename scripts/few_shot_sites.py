# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled scenes in memory: pixels for the network, and levels that can be read at any place.

What measure_modes.py and measure_projection.py share. Scenes and polygons are those of measure_heads.py.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from measure_heads import SOURCES, labelled_polygons
from ssl4eo.bands import S2_BANDS
from ssl4eo.features.projection import Projection, fit_projection
from ssl4eo.features.sampling import interpolate_points
from ssl4eo.features.spectral import MARGIN, STRIDE, pixel_level, surroundings_level
from ssl4eo.labels.fewshot.reference import border_distance
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.info import plan_bands
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.encoders import Encoder
    from ssl4eo.scenes import Scene

# Pixels around the image that the network sees, and pixels more by which its input can be shifted.
HALO, ROOM = 64, 32
# Labelled pixels drawn from each polygon.
_POOL = 30
# Pixels to the next pixel of another class up to which a test pixel counts as near an edge.
_NEAR = 2
# Cells that statistics and projections of a level are fitted to.
_CELLS = 50_000


@dataclasses.dataclass(frozen=True)
class Level:
    """Cells (C, h, w) and where they lie in the scene: cell i is centred on pixel position stride * i + origin."""

    values: NDArray[np.float32]
    stride: float
    origin: tuple[float, float] = (0.5, 0.5)

    def at(self, places: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return bilinear values (N, C) at places (N, 2) of the scene, (0.5, 0.5) the centre of the first pixel."""
        cells = (places - self.origin) / self.stride + 0.5
        return interpolate_points(self.values, cells[:, 0], cells[:, 1])

    def cells(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values (n, C) of up to 50000 cells within an image of this shape."""
        rows, cols = (
            np.flatnonzero((centres >= 0) & (centres < side))
            for side, count, first in zip(shape, self.values.shape[1:], self.origin[::-1], strict=True)
            for centres in [self.stride * np.arange(count) + first]
        )
        own = self.values[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].reshape(len(self.values), -1)
        return own[:, np.random.default_rng(0).permutation(own.shape[1])[:_CELLS]].T


@dataclasses.dataclass(frozen=True)
class Site:
    """A labelled scene.

    Attributes:
        shape: height and width in pixels.
        pixels: the network's input (1, C, H', W'), `HALO + ROOM` and more pixels around the image.
        base: (N, B) pixels and their surroundings at the labelled places, scaled.
        labels: (N,) class codes.
        polygons: (N,) the polygon of each place.
        places: (N, 2).
        near: (N,) whether another class is at most 2 pixels away; None where labels are polygons.
    """

    shape: tuple[int, int]
    pixels: torch.Tensor
    base: NDArray[np.float64]
    labels: NDArray[np.intp]
    polygons: NDArray[np.intp]
    places: NDArray[np.float64]
    near: NDArray[np.bool_] | None


def load_site(name: str, data: Path, encoder: Encoder) -> Site:
    """Read a scene of measure_heads.py and the places to learn from, without its few invalid pixels."""
    source = SOURCES[name]
    with open_scene(data / source.scene, **source.options) as scene:
        shape = scene.grid.height, scene.grid.width
        numbers, of_polygon, _ = labelled_polygons(source, data, scene.grid)
        pixels = network_input(scene, encoder)
        bands = [band for band in S2_BANDS if band in scene.info.bands]
        values, valid = scene.read(scene.grid.window.snap(STRIDE).grow(MARGIN), bands)
    rng = np.random.default_rng(0)
    inside = np.where(valid[MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]], numbers, 0)
    chosen = []
    for number in range(1, len(of_polygon) + 1):
        places = np.argwhere(inside == number)[:, ::-1]
        chosen.append(places[rng.permutation(len(places))[:_POOL]])
    polygons = np.repeat(np.arange(len(of_polygon)), [len(places) for places in chosen])
    places = np.concatenate(chosen)
    near = None
    if not source.field:
        codes = np.where(inside > 0, of_polygon[inside - 1], -1)
        near = border_distance(codes)[places[:, 1], places[:, 0]] <= _NEAR
    base = _base(values, valid, bands, places + 0.5, shape)
    return Site(shape, pixels, base, of_polygon[polygons], polygons, places + 0.5, near)


def network_input(scene: Scene, encoder: Encoder) -> torch.Tensor:
    """Return the whole scene as the network takes it (1, C, H', W'), mirrored around; sides are multiples of 32."""
    plan = plan_bands(scene.info, encoder.card.bands)
    values, _ = scene.read(scene.grid.window.snap(32).grow(HALO + ROOM), plan.sources)
    values *= np.array(plan.gains, np.float32)[:, None, None]
    return encoder.normalise(torch.from_numpy(values)[None])


def levels_of(encoder: Encoder, pixels: torch.Tensor, magnify: int = 1, shift: tuple[int, int] = (0, 0)) -> list[Level]:
    """Run a ResNet over a scene.

    Args:
        encoder: the encoder.
        pixels: of `network_input`.
        magnify: how many times the image is enlarged first.
        shift: columns and rows by which the input begins before its usual place, 0 to 31.
    """
    col, row = ROOM - shift[0], ROOM - shift[1]
    height, width = (side - 2 * ROOM for side in pixels.shape[2:])
    x = pixels[:, :, row : row + height, col : col + width]
    if magnify > 1:
        x = functional.interpolate(x, scale_factor=float(magnify), mode="bilinear", align_corners=False)
    centre = encoder.backbone.cell_centre / magnify
    origin = centre - HALO - shift[0], centre - HALO - shift[1]
    return [Level(level[0].numpy(), stride / magnify, origin) for stride, level in encoder.pyramid(x)]


def reduced(level: Level, shape: tuple[int, int], components: int) -> tuple[Level, Projection]:
    """Return the first principal components of a level, fitted to its cells."""
    projection = fit_projection(level.cells(shape), components)
    return dataclasses.replace(level, values=projection.apply(level.values)), projection


def scaled(level: Level, site: Site) -> NDArray[np.float64]:
    """Return values (N, C) at the labelled places, centred, and of total variance 1 over the scene."""
    cells = level.cells(site.shape).astype(np.float64)
    return (level.at(site.places) - cells.mean(axis=0)) / np.sqrt(cells.var(axis=0).sum())


def _base(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    bands: list[str],
    places: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return both pixel levels (N, B) at places, each component divided by its deviation and the root of their number.

    Args:
        values: (C, H', W') of all bands, whole blocks of 4 x 4 pixels and `MARGIN` around them.
        valid: (H', W').
        bands: their names.
        places: (N, 2).
        shape: of the image.
    """
    inner = slice(MARGIN, -MARGIN)
    levels = [
        Level(pixel_level(values[:, inner, inner], bands), 1),
        Level(surroundings_level(values, valid)[0], STRIDE, (STRIDE / 2, STRIDE / 2)),
    ]
    columns = []
    for level in levels:
        cells = level.cells(shape).astype(np.float64)
        spread = cells.std(axis=0)
        columns.append((level.at(places) - cells.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf))
    stacked = np.concatenate(columns, axis=1)
    return stacked / np.sqrt((stacked != 0).any(axis=0).sum())
