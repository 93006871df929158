# SPDX-License-Identifier: GPL-2.0-or-later
"""The pipeline of a run: reader threads, network threads, and one thread that collects and stores what they make."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from ssl4eo.features.engine.cells import bytes_of, kept, require_numbers, valid_cells
from ssl4eo.features.engine.collect import Collector, Made
from ssl4eo.features.engine.forward import Batch, Known, Streams
from ssl4eo.features.engine.reader import NO_MASK, NO_VALUES, Reader, pieces_of
from ssl4eo.features.engine.report import Report
from ssl4eo.features.engine.waiting import wait_for
from ssl4eo.features.tiling import cells_of
from ssl4eo.scenes.cache import readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.engine.assemble import Assembler
    from ssl4eo.features.engine.cells import Steps
    from ssl4eo.features.engine.reader import Piece
    from ssl4eo.features.engine.records import Records
    from ssl4eo.features.projection import Quantiser
    from ssl4eo.features.run import Run
    from ssl4eo.features.tiling import Tile
    from ssl4eo.grid import Window
    from ssl4eo.jobs import Progress

__all__ = ["Work"]

# On a GPU reading is what takes long; on a CPU the network needs the cores.
_GPU_READERS = 4

_Result = TypeVar("_Result")


class Work:
    """The threads of a run; a context manager."""

    def __init__(self, run: Run, encoder: Encoder, batch: int | None) -> None:
        self.run, self.encoder = run, encoder
        threads = 1 if encoder.device.type == "cpu" else readers(run.scene, _GPU_READERS)
        # First what may find the scene gone: nothing else is there yet to be undone.
        self.reader = Reader(run.scene, encoder, run.plan, run.pixels, threads)
        try:
            self.streams = Streams(encoder, run.mode, batch)
        except BaseException:
            self.reader.close()
            raise
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._shape = run.card.shape
        self._centre = self._shape.cell_centre
        # What becomes of the network's levels; none before that is fitted.
        self._steps: Sequence[Steps] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.streams.close()
        self.reader.close()
        self._writer.shutdown(wait=True, cancel_futures=True)

    def beside(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Do something in the thread that writes, which has nothing to write yet."""
        return self._writer.submit(work)

    def encode(
        self,
        sampled: dict[Window, list[Tensor]],
        quantisers: Sequence[Quantiser],
        fitted: Callable[[], tuple[Sequence[Steps], Assembler]],
        regions: Sequence[Sequence[tuple[int, Window | None]]],
        records: Records,
        progress: Progress,
    ) -> Assembler:
        """Encode the units that `records` lacks, and write the levels as they are completed.

        Args:
            sampled: levels of tiles that went through the network already, by what they read; emptied.
            quantisers: of the pixel levels.
            fitted: waits for what becomes of the network's levels, and opens what writes them.
            regions: per unit and level the components and the cells.
            records: what is done.
            progress: told how far the work is.

        Returns:
            What wrote the levels, which may be finished now.
        """
        known = {place: Known(sampled.pop(place)) for place in list(sampled)}
        start = records.done
        # What a row of windows shares with the row before it is computed again.
        before = start - 1 if self.run.mode.overlap and start else start
        report = Report(progress, self.run.tiles, sum(len(unit.tiles) for unit in self.run.units[:before]))
        todo = self.run.units[before:]
        planned = (piece for unit in todo for piece in pieces_of(unit, self.run.extent))
        pieces = self.reader.read(planned, quantisers, report.beat, frozenset(known))
        made = self.streams.run(self._batches(pieces, known), self._finish, report.beat)
        # The network is set to work before it is known what becomes of the features.
        first = list(itertools.islice(made, 1))
        self._steps, assembler = fitted()
        self._project_known(known)
        stored: Future[None] = self._writer.submit(assembler.advance, start)
        collector = Collector(self.run, regions, self.encoder.device)
        try:
            for found in itertools.chain(first, made):
                result = self._projected(found)
                report.tiles(len(result.batch.tiles))
                complete = collector.add(result)
                unit = result.batch.piece.unit.number
                if complete is None or unit < start:
                    continue
                # One unit is written while the next is computed; what went wrong there is heard here.
                wait_for(stored, report.beat)
                stored = self._writer.submit(_store, records, assembler, unit, complete)
            wait_for(stored, report.beat)
        finally:
            # The files are closed next: nothing may write into them any more.
            assembler.stop()
            self._writer.shutdown(wait=True, cancel_futures=True)
        return assembler

    def batches_of(self, pieces: Iterable[Piece]) -> Iterator[Batch]:
        """Cut pieces into batches of tiles of one size that hold valid pixels; a piece without any gives one."""
        return self._batches(pieces, {})

    def _batches(self, pieces: Iterable[Piece], known: dict[Window, Known]) -> Iterator[Batch]:
        """Cut pieces into batches; what is known already is taken out of `known`."""
        for piece in pieces:
            groups: list[tuple[tuple[Tile, ...], Known | None]] = []
            waiting: list[Tile] = []
            for tile in piece.tiles:
                if not self._sees(piece, tile):
                    continue
                if tile.read in known:
                    groups.append(((tile,), known.pop(tile.read)))
                    continue
                waiting.append(tile)
                if len(waiting) == self.streams.batch:
                    groups.append((tuple(waiting), None))
                    waiting = []
            if waiting or not groups:
                groups.append((tuple(waiting), None))
            for number, (tiles, levels) in enumerate(groups, start=1):
                yield Batch(piece, tiles, levels, last=number == len(groups))

    def _sees(self, piece: Piece, tile: Tile) -> bool:
        rows, cols = tile.keep.shift(-piece.area.col, -piece.area.row).slices
        return bool(piece.valid[rows, cols].any())

    def _finish(self, batch: Batch, levels: list[Tensor]) -> Made:
        """Keep what is wanted of the network's output, and project it if that can be done yet, in its thread."""
        made: list[list[Tensor]] = []
        masks, shares = [], []
        for number, tile in enumerate(batch.tiles):
            if batch.known is not None:
                made.append(levels)
            else:
                made.append(
                    [kept(each[number], tile, stride) for each, stride in zip(levels, self._strides, strict=True)]
                )
                for each in made[-1]:
                    require_numbers(self.encoder, each)
            masks.append(self.cells_known(batch.piece, tile))
            rows, cols = tile.read.shift(-batch.piece.area.col, -batch.piece.area.row).slices
            shares.append(float(batch.piece.valid[rows, cols].mean()))
        # The pixels are not needed any more, and are what takes the memory.
        piece = replace(batch.piece, values=NO_VALUES, valid=NO_MASK)
        projected = batch.known is not None and batch.known.projected
        raw = Made(replace(batch, piece=piece, known=None), made, masks, shares, projected=projected)
        return self._rounded(raw) if self._steps else raw

    def _rounded(self, made: Made) -> Made:
        """Turn features into steps, and where nothing is blended into bytes."""
        levels: list[list[Any]] = made.levels
        if not made.projected:
            levels = [self._stepped(of_tile) for of_tile in made.levels]
        if self._shape.patch is None:
            levels = [
                [bytes_of(level, mask) for level, mask in zip(of_tile, valid, strict=True)]
                for of_tile, valid in zip(levels, made.valid, strict=True)
            ]
        return replace(made, levels=levels, projected=True, rounded=True)

    def _stepped(self, levels: list[Tensor]) -> list[Tensor]:
        return [step.apply(level) for step, level in zip(self._steps, levels, strict=True)]

    def _projected(self, made: Made) -> Made:
        """Project what came through the network too early for that, in its threads: others may round differently."""
        return made if made.rounded else next(self.streams.each([made], self._rounded))

    def _project_known(self, known: dict[Window, Known]) -> None:
        """Project the tiles that were looked at: steps of 64 components take less memory than features."""
        places = list(known)
        levels = [known[place].levels for place in places]
        for place, steps in zip(places, self.streams.each(levels, self._stepped), strict=True):
            known[place] = Known(steps, projected=True)

    @property
    def _strides(self) -> list[int]:
        return [grid.stride for grid in self.run.deep]

    def cells_known(self, piece: Piece, tile: Tile) -> list[NDArray[np.bool_]]:
        """Return per level which of the cells that a tile keeps stand for pixels that are known."""
        rows, cols = tile.read.shift(-piece.area.col, -piece.area.row).slices
        seen = piece.valid[rows, cols]
        masks = []
        for stride in dict.fromkeys(self._strides):
            mask = valid_cells(seen, stride, self._centre)
            here = cells_of(tile.keep.shift(-tile.read.col, -tile.read.row), stride)
            masks.append(mask[here.slices] if here is not None else mask[:0])
        return masks if len(masks) > 1 else masks * len(self._strides)


def _store(records: Records, assembler: Assembler, unit: int, levels: Sequence[NDArray[np.uint8] | None]) -> None:
    records.write(unit, levels)
    assembler.advance(unit + 1)
