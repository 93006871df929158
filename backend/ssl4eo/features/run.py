# SPDX-License-Identifier: GPL-2.0-or-later
"""One encoder over one scene: windows with a halo through the network, projected to 8-bit components, into levels."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.features.projection import COMPONENTS, Projection, fit_projection, fit_quantiser
from ssl4eo.features.spectral import MARGIN, pixel_bands, spectral_level, spectral_names
from ssl4eo.features.tiling import LevelGrid, encode_tile, level_grid, tile_side, without_earlier
from ssl4eo.features.writer import LevelWriter
from ssl4eo.grid import Window, tiles
from ssl4eo.jobs import Progress, part
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ssl4eo.encoders.cards import Card
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.projection import Quantiser
    from ssl4eo.scenes.scene import Scene

__all__ = ["Run", "StoredLevel"]

# Tiles that the projection is fitted on, spread over the extent, and cells taken from each. Together they give
# about 1e5 cells at stride 4 and 1e4 at a patch of 16 pixels, far more than the 64 components of a level need.
_SAMPLE_TILES, _CELLS_PER_TILE = 8, 16384

_Tiles = list[tuple[Window, "NDArray[np.float32]"]]


@dataclass(frozen=True)
class StoredLevel:
    """One level on disk.

    Attributes:
        index: its number in the feature set.
        grid: its cells.
        names: what its components are.
        scene: number of its scene, from 0.
        encoder: id of its encoder; None for the pixels of the scene.
        block: stage of the ResNet or block of the transformer, from 1; None for pixels.
        projection: how features became components; None for pixels.
    """

    index: int
    grid: LevelGrid
    names: list[str]
    scene: int
    encoder: str | None = None
    block: int | None = None
    projection: Projection | None = None

    @property
    def file(self) -> str:
        """Name of its file in the feature set's folder."""
        return f"level_{self.index}.tif"


class Run:
    """What one encoder makes of one scene; planned when created, which refuses what cannot be done, then written."""

    def __init__(self, scene: Scene, number: int, card: Card, extent: Window, *, first: int, pixels: bool) -> None:
        """Plan the levels.

        Args:
            scene: the open scene, on the grid of the feature set.
            number: its number, from 0.
            card: what the encoder wants.
            extent: the part to encode.
            first: index of the first level made here.
            pixels: whether the scene's own pixels become a level, before those of the encoder.

        Raises:
            InputError: when the scene lacks what the encoder needs.
        """
        self.scene, self.number, self.card, self.extent, self.first = scene, number, card, extent, first
        self.plan = plan_bands(scene.info, card.bands, card.level)
        self.bands = pixel_bands(scene.info.bands) if pixels else []
        self.tiles = list(tiles(extent, tile_side(card.shape)))
        # Per level None for the pixels, else the number of the network's stage or block.
        self._blocks: list[int | None] = [*([None] if pixels else []), *card.shape.levels]
        own = LevelGrid(1, extent, scene.grid.subgrid(extent))
        centre = card.shape.cell_centre
        deep = [level_grid(scene.grid, extent, stride, centre) for stride in card.strides]
        self._grids = [own, *deep] if pixels else deep
        self._encoded: dict[Window, _Tiles | None] = {}

    @property
    def count(self) -> int:
        """Number of levels."""
        return len(self._grids)

    @property
    def bytes_needed(self) -> int:
        """Scratch and final files at one byte per value, the upper bound of what lies on disk at once."""
        widths = [COMPONENTS if block is not None else len(spectral_names(self.bands)) for block in self._blocks]
        return 2 * sum(n * g.window.width * g.window.height for n, g in zip(widths, self._grids, strict=True))

    def write(self, encoder: Encoder, folder: Path, progress: Progress) -> list[StoredLevel]:
        """Encode the scene and write its levels into `folder`.

        Raises:
            InputError: when no pixel is valid, or the scene cannot be read any more.
        """
        samples = self._sample(encoder, part(progress, 0, 0.35))
        levels = self._levels([
            None if block is None else fit_projection(sample)
            for block, sample in zip(self._blocks, samples, strict=True)
        ])  # fmt: skip
        with ExitStack() as stack:
            outputs = []
            for level, sample in zip(levels, samples, strict=True):
                quantiser = fit_quantiser(level.projection.of_rows(sample) if level.projection else sample)
                writer = LevelWriter(folder / level.file, level.grid, level.names, quantiser)
                outputs.append((level, quantiser, stack.enter_context(writer)))
            self._write_tiles(encoder, outputs, part(progress, 0.35, 0.94))
            for number, (_, _, writer) in enumerate(outputs):
                progress(0.94 + 0.06 * number / len(outputs), "Compressing the levels")
                writer.finish()
        return levels

    def _sample(self, encoder: Encoder, progress: Progress) -> list[NDArray[np.float32]]:
        """Encode some of the tiles and return cells (N, C) of every level."""
        rng = np.random.default_rng(0)
        samples: list[list[NDArray[np.float32]]] = [[] for _ in self._grids]
        found = 0
        for tile in _spread(self.tiles):
            progress(found / _SAMPLE_TILES, "Looking at the scene")
            encoded = self._encode(encoder, tile)
            if encoded is None:
                self._encoded[tile] = None
                continue
            drawn = [
                _valid_cells(values, cells, grid.window, rng)
                for grid, (cells, values) in zip(self._grids, encoded, strict=True)
            ]
            if not len(drawn[0]):
                # The pixels may lack a band that the encoder does without. There may be many such tiles: none is kept.
                continue
            self._encoded[tile] = encoded
            for sample, rows in zip(samples, drawn, strict=True):
                sample.append(rows)
            found += 1
            if found == _SAMPLE_TILES:
                break
        if not found:
            raise InputError(
                f"{self.scene.info.path} holds no valid pixel in the chosen extent (all nodata); choose another extent."
            )
        return [np.concatenate(sample) for sample in samples]

    def _write_tiles(
        self, encoder: Encoder, outputs: list[tuple[StoredLevel, Quantiser, LevelWriter]], progress: Progress
    ) -> None:
        for number, tile in enumerate(self.tiles):
            progress(number / len(self.tiles), f"Encoding window {number + 1} of {len(self.tiles)}")
            encoded = self._encoded.pop(tile) if tile in self._encoded else self._encode(encoder, tile)
            if encoded is None:
                continue
            for (level, quantiser, writer), (cells, values) in zip(outputs, encoded, strict=True):
                here = without_earlier(cells, tile, self.tiles[0], level.grid.stride)
                rows, cols = here.shift(-cells.col, -cells.row).slices
                kept = values[:, rows, cols]
                writer.write(here, quantiser.apply(level.projection.apply(kept) if level.projection else kept))

    def _encode(self, encoder: Encoder, tile: Window) -> _Tiles | None:
        deep = encode_tile(self.scene, encoder, self.plan, tile, self.extent)
        inside = self.extent.intersect(tile)
        if deep is None or inside is None:
            return None
        if not self.bands:
            return deep
        values, valid = self.scene.read(inside.grow(MARGIN), self.bands)
        return [(inside, spectral_level(values, valid, self.bands)), *deep]

    def _levels(self, projections: list[Projection | None]) -> list[StoredLevel]:
        levels = []
        for index, (grid, block, projection) in enumerate(
            zip(self._grids, self._blocks, projections, strict=True), start=self.first
        ):
            if projection is None:
                levels.append(StoredLevel(index, grid, spectral_names(self.bands), self.number))
                continue
            part_of = f"{self.card.id}, {'stage' if self.card.shape.kind == 'resnet' else 'block'} {block}"
            names = [
                f"level {index} ({part_of}, stride {grid.stride}), component {k + 1}, {share:.1%} of variance"
                for k, share in enumerate(projection.variance)
            ]
            levels.append(StoredLevel(index, grid, names, self.number, self.card.id, block, projection))
        return levels


def _spread(items: list[Window]) -> Iterator[Window]:
    """Yield tiles so that any first few of them are spread over all (steps of the golden ratio, made coprime)."""
    count = len(items)
    step = max(1, round(count * 0.618))
    while np.gcd(step, count) != 1:
        step += 1
    return (items[i * step % count] for i in range(count))


def _valid_cells(
    values: NDArray[np.float32], cells: Window, wanted: Window, rng: np.random.Generator
) -> NDArray[np.float32]:
    common = wanted.intersect(cells)
    if common is None:
        return np.empty((0, len(values)), np.float32)
    rows, cols = common.shift(-cells.col, -cells.row).slices
    flat = values[:, rows, cols].reshape(len(values), -1).T
    flat = flat[np.isfinite(flat[:, 0])]
    chosen = rng.permutation(len(flat))[:_CELLS_PER_TILE]
    return flat[chosen]
