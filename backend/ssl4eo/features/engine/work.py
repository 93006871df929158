# SPDX-License-Identifier: GPL-2.0-or-later
"""The pipeline of a run: reader threads, network threads, and one thread that collects and stores what they make."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ssl4eo.features.engine.cells import Steps, bytes_of, kept, require_numbers, valid_cells
from ssl4eo.features.engine.collect import Collector, Made
from ssl4eo.features.engine.forward import Batch, Streams
from ssl4eo.features.engine.reader import NO_MASK, NO_VALUES, Reader, pieces_of
from ssl4eo.features.engine.report import Report
from ssl4eo.features.engine.waiting import wait_for
from ssl4eo.features.tiling import cells_of
from ssl4eo.scenes.cache import readers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.engine.assemble import Assembler
    from ssl4eo.features.engine.reader import Piece
    from ssl4eo.features.engine.records import Records
    from ssl4eo.features.projection import Projection, Quantiser
    from ssl4eo.features.run import Run
    from ssl4eo.features.tiling import Tile
    from ssl4eo.grid import Window
    from ssl4eo.jobs import Progress

__all__ = ["Work"]

# On a GPU reading is what takes long; on a CPU the network needs the cores.
_GPU_READERS = 4


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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.streams.close()
        self.reader.close()
        self._writer.shutdown(wait=True, cancel_futures=True)

    def encode(
        self,
        sampled: dict[Window, list[Tensor]],
        projections: Sequence[Projection],
        quantisers: Sequence[Quantiser],
        regions: Sequence[Sequence[tuple[int, Window | None]]],
        records: Records,
        assembler: Assembler,
        progress: Progress,
    ) -> None:
        """Encode the units that `records` lacks, and write the levels as they are completed.

        Args:
            sampled: levels of tiles that went through the network already, by what they read; emptied.
            projections: of the encoder's levels.
            quantisers: of all levels.
            regions: per unit and level the components and the cells.
            records: what is done.
            assembler: writes the levels.
            progress: told how far the work is.
        """
        shallow = len(quantisers) - len(projections)
        steps = [
            Steps.of(projection, quantiser, self.encoder.device)
            for projection, quantiser in zip(projections, quantisers[shallow:], strict=True)
        ]

        def projected(place: Window) -> list[Tensor]:
            # Fewer components than channels: what is kept takes less memory so.
            return [step.apply(features) for step, features in zip(steps, sampled.pop(place), strict=True)]

        places = list(sampled)
        known = dict(zip(places, self.streams.each(places, projected), strict=True))
        start = records.done
        # What a row of windows shares with the row before it is computed again.
        before = start - 1 if self.run.mode.overlap and start else start
        report = Report(progress, self.run.tiles, sum(len(unit.tiles) for unit in self.run.units[:before]))
        todo = self.run.units[before:]
        planned = (piece for unit in todo for piece in pieces_of(unit, self.run.extent))
        pieces = self.reader.read(planned, quantisers[:shallow], report.beat)
        made = self.streams.run(
            self._batches(pieces, known), lambda b, levels: self._finish(b, levels, steps), report.beat
        )
        stored: Future[None] = self._writer.submit(assembler.advance, start)
        collector = Collector(self.run, regions, self.encoder.device)
        try:
            for result in made:
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

    def batches_of(self, pieces: Iterable[Piece]) -> Iterator[Batch]:
        """Cut pieces into batches of tiles of one size that hold valid pixels; a piece without any gives one."""
        return self._batches(pieces, {})

    def _batches(self, pieces: Iterable[Piece], known: Mapping[Window, list[Tensor]]) -> Iterator[Batch]:
        for piece in pieces:
            groups: list[tuple[tuple[Tile, ...], list[Tensor] | None]] = []
            waiting: list[Tile] = []
            for tile in piece.tiles:
                if not self._sees(piece, tile):
                    continue
                if tile.read in known:
                    groups.append(((tile,), known[tile.read]))
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

    def _finish(self, batch: Batch, levels: list[Tensor], steps: Sequence[Steps]) -> Made:
        """Project what the network made, in the thread that ran it."""
        done: list[Any] = []
        masks, shares = [], []
        for number, tile in enumerate(batch.tiles):
            projected = batch.known
            if projected is None:
                projected = []
                for level, stride, step in zip(levels, self._strides, steps, strict=True):
                    features = kept(level[number], tile, stride)
                    require_numbers(self.encoder, features)
                    projected.append(step.apply(features))
            valid = self.cells_known(batch.piece, tile)
            if self._shape.patch is None:
                done.append([bytes_of(level, mask) for level, mask in zip(projected, valid, strict=True)])
            else:
                done.append(projected)
            masks.append(valid)
            rows, cols = tile.read.shift(-batch.piece.area.col, -batch.piece.area.row).slices
            shares.append(float(batch.piece.valid[rows, cols].mean()))
        # The pixels are not needed any more, and are what takes the memory.
        piece = replace(batch.piece, values=NO_VALUES, valid=NO_MASK)
        return Made(replace(batch, piece=piece, known=None), done, masks, shares)

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
