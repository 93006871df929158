# SPDX-License-Identifier: GPL-2.0-or-later
"""The pure forward pass: the tiles of a run, ready in the device's memory, through the network and nothing else."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ssl4eo.features.engine.forward import Batch, Known, Streams
from ssl4eo.features.engine.reader import NO_MASK, NO_VALUES, pieces_of
from ssl4eo.features.engine.work import Work
from ssl4eo.features.memory import held_memory
from ssl4eo.scenes.cache import block_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.run import Run
    from ssl4eo.jobs import Progress

__all__ = ["Forward", "settle"]

# Side of the images that speeds are told in, whatever size the network sees: what the encoders were pre-trained on.
_SIDE = 224
# Tiles at once that are tried with one stream, and of how many tiles: enough to tell them apart.
_TRIED = (1, 4, 16, 64, 128)
_TRIED_TILES = 32


def settle(encoder: Encoder) -> None:
    """Wait for the encoder's device: a GPU works on after the call has returned."""
    if encoder.device.type == "cuda":
        torch.cuda.synchronize(encoder.device)
    elif encoder.device.type == "mps":
        torch.mps.synchronize()


class _Inputs:
    """Stands where the encoder does, and gives what the network would be given."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def levels(self, x: Tensor) -> list[Tensor]:
        return [x.clone()]


class Forward:
    """The network's inputs of a run, in the encoder's precision and as the engine puts them together."""

    def __init__(self, run: Run, encoder: Encoder, progress: Progress) -> None:
        """Read them.

        Args:
            run: says which tiles; those without a valid pixel are left out, as in `encode`.
            encoder: the network.
            progress: told how far the reading is.
        """
        self._run, self.encoder, self.threads = run, encoder, torch.get_num_threads()
        self._done, self._total, self._progress = 0, max(run.tiles, 1), progress
        with block_cache([run.scene], run.extent.width), Work(run, encoder, None) as work:
            self.batch, self.streams = work.streams.batch, work.streams.count
            pieces = (piece for unit in run.units for piece in pieces_of(unit, run.extent))
            batches = (batch for batch in work.batches_of(work.reader.read(pieces, (), self._beat)) if batch.tiles)
            self._batches = list(self._ready(batches))

    @property
    def tiles(self) -> int:
        """Number of inputs."""
        return sum(len(x) for x in self._inputs)

    @property
    def images(self) -> float:
        """Pixels of all inputs in images of 224 x 224."""
        return sum(x.shape[0] * x.shape[2] * x.shape[3] for x in self._inputs) / _SIDE**2

    def as_engine(self, beat: Callable[[], None], most: int | None = None) -> float:
        """Run all batches, or the first `most`, in streams as the engine does; return the seconds that it took."""
        with held_memory():
            streams = Streams(self.encoder, self._run.mode, self.batch)
            try:
                start = time.perf_counter()
                run = streams.run(self._batches[:most], lambda _, inputs: _nothing(streams.levels(inputs[0])), beat)
                for _ in run:
                    pass
                settle(self.encoder)
                return time.perf_counter() - start
            finally:
                streams.close()

    def alone(self, size: int, beat: Callable[[], None]) -> float:
        """Run all, `size` at once, one batch after the other with all threads; return the seconds that it took."""
        return sum(seconds for seconds, _ in self._alone(size, beat))

    def best_alone(self, beat: Callable[[], None]) -> int:
        """Return how many tiles at once are fastest in one stream; tried on some of them."""
        same = len({x.shape[1:] for x in self._inputs}) == 1
        sizes = [size for size in _TRIED if size <= min(max(16, self.batch), self.tiles)] if same else [1]
        per_tile = {}
        for size in sizes:
            rounds = max(2, _TRIED_TILES // 2 // size)
            try:
                # The first batch warms up.
                taken = list(itertools.islice(self._alone(size, beat), rounds + 1))
            except torch.OutOfMemoryError:
                break
            taken = taken[1:] or taken
            per_tile[size] = sum(seconds for seconds, _ in taken) / sum(count for _, count in taken)
        return min(per_tile, key=lambda size: per_tile[size])

    @property
    def _inputs(self) -> list[Tensor]:
        return [batch.known.levels[0] for batch in self._batches if batch.known]

    def _ready(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches that hold their network input as if it were known, so that streams take it as it is."""
        inputs: Any = _Inputs(self.encoder)
        streams = Streams(inputs, self._run.mode, self.batch)
        try:
            for batch, x in streams.run(batches, lambda batch, levels: (batch, levels[0]), self._beat):
                self._done += len(batch.tiles)
                piece = replace(batch.piece, values=NO_VALUES, valid=NO_MASK)
                yield replace(batch, piece=piece, known=Known([x]))
        finally:
            streams.close()

    def _alone(self, size: int, beat: Callable[[], None]) -> Iterator[tuple[float, int]]:
        """Yield the seconds and tiles of batch after batch."""
        torch.set_num_threads(self.threads)
        images = [x[i : i + 1] for x in self._inputs for i in range(len(x))]
        with held_memory():
            for first in range(0, len(images), size):
                beat()
                group = images[first : first + size]
                # Putting tiles together anew is no part of the forward pass.
                x = torch.cat(group).contiguous(memory_format=torch.channels_last)
                settle(self.encoder)
                start = time.perf_counter()
                self.encoder.levels(x)
                settle(self.encoder)
                yield time.perf_counter() - start, len(group)

    def _beat(self) -> None:
        self._progress(min(self._done / self._total, 1.0), "Reading the network's input")


def _nothing(_: list[Tensor]) -> None:
    """Let go of what the network made."""
