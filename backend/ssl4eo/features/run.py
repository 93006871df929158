# SPDX-License-Identifier: GPL-2.0-or-later
"""One encoder over one scene: read, forward, project and write at the same time, unit by unit."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ssl4eo.encoders.modes import STANDARD, get_mode, modes_of
from ssl4eo.features.memory import give_back, held_memory
from ssl4eo.features.projection import COMPONENTS, every_channel, fit_projection, fit_quantiser
from ssl4eo.features.spectral import STRIDE, pixel_bands, pixel_names, surroundings_names
from ssl4eo.features.tiling import LevelGrid, PixelLevels, block_grid, cells_of, encoder_grids, plan_units
from ssl4eo.jobs import Progress, part
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ssl4eo.encoders.cards import Card
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.projection import Projection, Quantiser
    from ssl4eo.features.tiling import Unit
    from ssl4eo.files import Unfinished
    from ssl4eo.grid import Window
    from ssl4eo.scenes.scene import Scene

__all__ = ["Run", "StoredLevel", "offered"]


@dataclass(frozen=True)
class StoredLevel:
    """One level on disk.

    Attributes:
        index: its number in the feature set.
        kind: "pixels", "surroundings" or "features".
        grid: its cells.
        names: what its components are.
        scene: number of its scene, from 0.
        encoder: id of its encoder; None for the pixels of the scene.
        block: stage of the ResNet or block of the transformer, from 1; None for pixels.
        projection: how features became components; None for pixels.
    """

    index: int
    kind: str
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

    def __init__(
        self,
        scene: Scene,
        number: int,
        card: Card,
        extent: Window,
        *,
        first: int,
        pixels: bool,
        mode: str = STANDARD,
        components: int | None = COMPONENTS,
        projections: Sequence[Projection] | None = None,
    ) -> None:
        """Plan the levels.

        Args:
            scene: the open scene, on the grid of the feature set.
            number: its number, from 0.
            card: what the encoder wants.
            extent: the part to encode.
            first: index of the first level made here.
            pixels: whether the scene's own pixels become levels, before those of the encoder.
            mode: fast or standard.
            components: per level; None keeps every channel.
            projections: taken as they are, one per level of the encoder, instead of fitted to the scene.

        Raises:
            InputError: when the scene lacks what the encoder needs, or the encoder has no such mode.
        """
        self.scene, self.number, self.card, self.extent, self.first = scene, number, card, extent, first
        self.components, self.projections = components, projections
        self.mode = get_mode(card.id, card.shape, mode)
        self.plan = plan_bands(scene.info, card.bands, card.level)
        self.pixels: PixelLevels | None = None
        bands = tuple(pixel_bands(scene.info.bands))
        if pixels and bands:
            own = LevelGrid(1, extent, scene.grid.subgrid(extent))
            self.pixels = PixelLevels(bands, (own, block_grid(scene.grid, extent, STRIDE)))
        self.deep = encoder_grids(scene.grid, extent, card.shape)
        self.units = plan_units(scene.grid, self.deep, card.shape, self.mode)

    @property
    def grids(self) -> list[LevelGrid]:
        """The cells of all levels."""
        return [*(self.pixels.grids if self.pixels else ()), *self.deep]

    @property
    def surroundings(self) -> LevelGrid | None:
        """The cells of the surroundings; an image of a few pixels may have no valid one."""
        return self.pixels.grids[1] if self.pixels else None

    @property
    def count(self) -> int:
        """Number of levels."""
        return len(self.grids)

    @property
    def tiles(self) -> int:
        """Number of inputs that the network sees."""
        return sum(len(unit.tiles) for unit in self.units)

    @property
    def widths(self) -> list[int]:
        """Components of each level."""
        shallow = [len(names(self.pixels.bands)) for names in (pixel_names, surroundings_names)] if self.pixels else []
        if self.projections is not None:
            return [*shallow, *(len(projection.components) for projection in self.projections)]
        return [*shallow, *(min(self.components or width, width) for width in self.card.shape.channels)]

    @property
    def bytes_needed(self) -> int:
        """Records and final files at one byte per value, the upper bound of what lies on disk at once."""
        sizes = [n * g.window.width * g.window.height for n, g in zip(self.widths, self.grids, strict=True)]
        return 2 * sum(sizes)

    def regions(self, widths: Sequence[int]) -> list[list[tuple[int, Window | None]]]:
        """Return per unit and level the components and the cells that the unit gives."""
        return [
            list(zip(widths, (*self._pixel_regions(unit), *self._deep_regions(unit)), strict=True))
            for unit in self.units
        ]

    def write(self, encoder: Encoder, unfinished: Unfinished, progress: Progress) -> tuple[list[StoredLevel], int, int]:
        """Encode the scene and write its levels, or go on with what is there.

        Returns:
            The levels, the number of tiles that were there already, and how many went through the network at once.

        Raises:
            InputError: when no pixel is valid, or the scene cannot be read any more.
        """
        # torch takes seconds to import, more than planning.
        from ssl4eo.features.engine.assemble import Assembler
        from ssl4eo.features.engine.cells import Steps
        from ssl4eo.features.engine.records import Records
        from ssl4eo.features.engine.sample import sample_scene
        from ssl4eo.features.engine.waiting import wait_for
        from ssl4eo.features.engine.work import Work
        from ssl4eo.features.levelfile import LevelFile

        with ExitStack() as stack:
            stack.enter_context(held_memory())
            folder, batch = unfinished.folder, _batch_before(unfinished.folder, self.first)
            work = stack.enter_context(Work(self, encoder, batch))
            _note_batch(unfinished.folder, self.first, work.streams.batch)
            sample = sample_scene(work, part(progress, 0, 0.1))
            deep, shallow = self._take_apart(sample.cells)
            regions = self.regions([*(len(quantiser.scale) for quantiser in shallow), *self._widths(deep)])
            records = Records(folder, f"run_{self.first}", regions)
            found = records.done
            unfinished.keep = True
            later, levels = work.beside(lambda: self._fit(deep)), list[StoredLevel]()
            encoding = part(progress, 0.1, 0.97)

            def fitted() -> tuple[list[Steps], Assembler]:
                projections, quantisers = wait_for(later, lambda: encoding(0.0, "Finding the components"))
                give_back()
                levels.extend(self._levels(projections))
                files = [
                    LevelFile(folder / level.file, level.grid, level.names, quantiser)
                    for level, quantiser in zip(levels, [*shallow, *quantisers], strict=True)
                ]
                steps = [Steps.of(*pair, encoder.device) for pair in zip(projections, quantisers, strict=True)]
                return steps, stack.enter_context(Assembler(records, regions, files, self.grids))

            assembler = work.encode(sample.kept, shallow, fitted, regions, records, encoding)
            progress(0.97, "Making overviews")
            assembler.finish()
        return levels, sum(len(unit.tiles) for unit in self.units[:found]), work.streams.batch

    def _pixel_regions(self, unit: Unit) -> list[Window | None]:
        if self.pixels is None:
            return []
        own = self.extent.intersect(unit.own)
        if own is None:
            return [None, None]
        return [own, cells_of(own.snap(STRIDE).grow(STRIDE), STRIDE, self.pixels.grids[1])]

    def _deep_regions(self, unit: Unit) -> list[Window | None]:
        return [cells_of(unit.own, grid.stride, grid) for grid in self.deep]

    def _take_apart(self, cells: list[NDArray[np.float32]]) -> tuple[list[NDArray[np.float32]], list[Quantiser]]:
        """Return cells (N, C) of the network's levels, and the quantisers of the pixel levels; `cells` is emptied."""
        count = self.count - len(self.deep)
        shallow, deep = cells[:count], cells[count:]
        cells.clear()
        return deep, [fit_quantiser(sample) for sample in shallow]

    def _widths(self, cells: Sequence[NDArray[np.float32]]) -> list[int]:
        """Return how many components the network's levels get, of which these are cells (N, C)."""
        if self.projections is not None:
            return [len(projection.components) for projection in self.projections]
        return [min(self.components, *of.shape) if self.components is not None else of.shape[1] for of in cells]

    def _fit(self, cells: list[NDArray[np.float32]]) -> tuple[list[Projection], list[Quantiser]]:
        """Fit projections and quantisers to cells (N, C) of the network's levels, which are let go of."""
        projections, quantisers = [], []
        # The network is at work meanwhile, and has a use for each core.
        with threadpool_limits(limits=1, user_api="blas"):
            for number in range(len(cells)):
                sample = cells.pop(0)
                if self.projections is not None:
                    projection = self.projections[number]
                elif self.components is None:
                    projection = every_channel(sample)
                else:
                    projection = fit_projection(sample, self.components)
                projections.append(projection)
                quantisers.append(fit_quantiser(projection.of_rows(sample)))
        return projections, quantisers

    def _levels(self, projections: Sequence[Projection]) -> list[StoredLevel]:
        levels: list[StoredLevel] = []
        if self.pixels is not None:
            names = (pixel_names(self.pixels.bands), surroundings_names(self.pixels.bands))
            for kind, grid, words in zip(("pixels", "surroundings"), self.pixels.grids, names, strict=True):
                levels.append(StoredLevel(self.first + len(levels), kind, grid, words, self.number))
        for block, grid, projection in zip(self.card.shape.levels, self.deep, projections, strict=True):
            blank = StoredLevel(
                self.first + len(levels), "features", grid, [], self.number, self.card.id, block, projection
            )
            levels.append(replace(blank, names=self._names(blank, projection)))
        return levels

    def _names(self, level: StoredLevel, projection: Projection) -> list[str]:
        where = f"{self.card.id}, {'stage' if self.card.shape.kind == 'resnet' else 'block'} {level.block}"
        what = "channel" if projection.whole else "component"
        return [
            f"level {level.index} ({where}, stride {level.grid.stride}), {what} {k + 1}, {share:.1%} of variance"
            for k, share in enumerate(projection.variance)
        ]


def offered(card: Card, mode: str) -> str:
    """Return the mode for an added encoder: the one asked for, or standard where it has no such mode."""
    return mode if mode in {known.name for known in modes_of(card.shape)} else STANDARD


def _batch_file(folder: Path, first: int) -> Path:
    return folder / f"run_{first}.batch"


def _batch_before(folder: Path, first: int) -> int | None:
    """Return the batch of the run that was interrupted: another one could change the last bit of a feature."""
    try:
        return int(_batch_file(folder, first).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _note_batch(folder: Path, first: int, batch: int) -> None:
    _batch_file(folder, first).write_text(str(batch), encoding="ascii")
