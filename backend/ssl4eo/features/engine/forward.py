# SPDX-License-Identifier: GPL-2.0-or-later
"""Run tiles through the network in batches: on a CPU several at once, on a GPU one behind the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from ssl4eo.errors import InputError
from ssl4eo.features.engine.waiting import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.encoders.modes import Mode
    from ssl4eo.features.engine.reader import Piece
    from ssl4eo.features.tiling import Tile

__all__ = ["Batch", "Known", "Streams", "batch_size"]

# Pixels of a batch per stream on a CPU: 4 windows of 224 pixels. Of 1, 2, 4, 8 and 16 windows this is the smallest
# that is within 3 % of the fastest (ViT-S/16, bf16).
_CPU_PIXELS = 4 * 224 * 224
# Of the GPU's free memory a batch may take so much; the rest is for what the allocator cannot use.
_GPU_SHARE = 0.5
# Windows of one batch at most: a GPU gains nothing beyond (a row of a Sentinel-2 tile has 97).
_LARGEST = 128
# Of a window's pixels every eighth row and column tells the mean.
_THINNED = 8
# Batches of windows that may be under way or waiting, per stream.
_AHEAD = 2
# Streams on a CPU: each holds the activations of a batch of its own.
_STREAMS = 4

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Batch:
    """Tiles of one piece that go through the network at once.

    Attributes:
        piece: where their pixels are.
        tiles: none when the piece has no valid pixel.
        known: of its one tile, when that has been through the network already.
        last: whether the piece has no further batch.
    """

    piece: Piece
    tiles: tuple[Tile, ...]
    known: Known | None = None
    last: bool = False


@dataclass(frozen=True)
class Known:
    """What the network made of a tile: per level its features (C, h, w), or the steps (K, h, w) that they became."""

    levels: list[Tensor]
    projected: bool = False


class Streams:
    """Threads that run batches through an encoder.

    On a CPU several streams of few threads each are faster than all threads on one batch, because no thread waits for
    the slowest after each layer (ViT-S/16 by 1.1 on two cores), and leave gaps that reading and writing fit into.
    """

    def __init__(self, encoder: Encoder, mode: Mode, batch: int | None = None) -> None:
        """Start the threads.

        Args:
            encoder: the encoder.
            mode: how it is run.
            batch: tiles at once; by the memory that is free when None.
        """
        self.encoder, self.mode = encoder, mode
        self._threads = torch.get_num_threads()
        on_cpu = encoder.device.type == "cpu"
        self.count = min(self._threads, _STREAMS) if on_cpu else 2
        self.batch = batch or batch_size(encoder)
        # Small batches are soon done: more of them bridge what the thread that collects has to do.
        self._ahead = self.count if encoder.backbone.patch is None else _AHEAD * self.count
        self._limit = self.batch
        self._buffers = threading.local()
        each = max(1, self._threads // self.count) if on_cpu else 1
        self._pool = ThreadPoolExecutor(
            self.count, thread_name_prefix="forward", initializer=torch.set_num_threads, initargs=(each,)
        )
        # What the thread that collects does is small: a team of its own would only keep a core of the network busy
        # with waiting.
        torch.set_num_threads(1)

    def run(
        self,
        batches: Iterable[Batch],
        finish: Callable[[Batch, list[Tensor]], _Result],
        heartbeat: Callable[[], None],
    ) -> Iterator[_Result]:
        """Yield in order what `finish` makes of each batch and its levels (B, C, h, w), finest first.

        `finish` runs in the threads, inside inference mode.
        """

        def work(batch: Batch) -> _Result:
            with torch.inference_mode():
                if batch.known is not None:
                    return finish(batch, batch.known.levels)
                return finish(batch, self._levels(batch) if batch.tiles else [])

        return in_order(self._pool, batches, work, self._ahead, heartbeat)

    def each(self, items: Iterable[_Item], work: Callable[[_Item], _Result]) -> Iterator[_Result]:
        """Yield in order what `work` makes of each item, in the threads and inside inference mode."""

        def inside(item: _Item) -> _Result:
            with torch.inference_mode():
                return work(item)

        return self._pool.map(inside, items)

    def close(self) -> None:
        """End the threads; what they are at comes to nothing, and is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        torch.set_num_threads(self._threads)

    def levels(self, pixels: Tensor) -> list[Tensor]:
        """Return the levels of network input (B, C, H, W); halves the batch when memory runs out, and goes on so.

        Raises:
            InputError: when not even one tile fits.
        """
        parts: list[list[Tensor]] = []
        start = 0
        while start < len(pixels):
            size = min(self._limit, len(pixels) - start)
            try:
                parts.append(self.encoder.levels(pixels[start : start + size]))
            except RuntimeError as error:
                if not _memory_ran_out(error):
                    raise
                if size == 1:
                    raise InputError(_too_large(self.encoder, pixels)) from error
                self._limit = min(self._limit, size // 2)
                if self.encoder.device.type == "cuda":
                    torch.cuda.empty_cache()
            else:
                start += size
        return parts[0] if len(parts) == 1 else [torch.cat(level) for level in zip(*parts, strict=True)]

    def _levels(self, batch: Batch) -> list[Tensor]:
        piece, first = batch.piece, batch.tiles[0].read
        size = (len(batch.tiles), len(piece.values), first.height, first.width)
        buffer = self._buffer(size, piece.values.dtype)
        for slot, tile in zip(buffer, batch.tiles, strict=True):
            rows, cols = tile.read.shift(-piece.area.col, -piece.area.row).slices
            slot.copy_(piece.values[:, rows, cols])
            _fill(slot, piece.valid[rows, cols])
        x = buffer.to(self.encoder.device, non_blocking=True)
        if self.encoder.device.type == "cuda":
            # The copy out of the buffer must be over before the next batch is put there.
            torch.cuda.current_stream(self.encoder.device).synchronize()
        return self.levels(x)

    def _buffer(self, shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
        """Return memory (B, C, H, W) of this thread, channels last, used again for each batch.

        It is page-locked for a GPU, which then copies faster.
        """
        count, channels, height, width = shape
        size = int(np.prod(shape))
        held: Tensor | None = getattr(self._buffers, "held", None)
        if held is None or held.numel() < size:
            held = torch.empty(size, dtype=dtype, pin_memory=self.encoder.device.type == "cuda")
            self._buffers.held = held
        return held[:size].view(count, height, width, channels).permute(0, 3, 1, 2)


def batch_size(encoder: Encoder) -> int:
    """Return how many tiles go through the network at once: what is fast on a CPU, what a GPU has memory for."""
    if encoder.backbone.patch is None:
        return 1
    side = encoder.backbone.window
    if encoder.device.type != "cuda":
        return max(1, _CPU_PIXELS // side**2)
    device = encoder.device
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    pixels = torch.zeros(1, len(encoder.card.bands), side, side, device=device)
    try:
        encoder.levels(pixels)
    except torch.OutOfMemoryError as error:
        raise InputError(_too_large(encoder, pixels)) from error
    each = max(1, torch.cuda.max_memory_allocated(device) - before)
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_LARGEST, int(free * _GPU_SHARE / each)))


def _memory_ran_out(error: RuntimeError) -> bool:
    """Say whether an error is that of torch's allocators; only that of CUDA has a type of its own."""
    # c10/core/impl/alloc_cpu.cpp and aten/src/ATen/mps/MPSAllocator.mm of torch 2.9.
    words = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _too_large(encoder: Encoder, pixels: Tensor) -> str:
    height, width = pixels.shape[2:]
    remedy = "choose a smaller encoder" if encoder.device.type == "cpu" else "choose the CPU or a smaller encoder"
    return (
        f"The memory of the device {encoder.device} is too small for {encoder.card.id} with one tile of "
        f"{width} x {height} pixels; {remedy}, or close what else uses that memory."
    )


def _fill(pixels: Tensor, known: NDArray[np.bool_]) -> None:
    """Give missing pixels (C, H, W) the mean of the others: the network sees no edge of zeros."""
    if known.all() or not known.any():
        return
    # A part of them tells the mean well enough, if it holds any that is known.
    thin = slice(None, None, _THINNED)
    few = known[thin, thin]
    some, there = (pixels[:, thin, thin], few) if few.any() else (pixels, known)
    mean = some[:, torch.from_numpy(np.ascontiguousarray(there))].float().mean(dim=1)
    rows, cols = np.nonzero(~known)
    pixels[:, torch.from_numpy(rows), torch.from_numpy(cols)] = mean[:, None].to(pixels.dtype)
