# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the pixels that the network sees next in threads of their own, with the pixel levels made of them."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ssl4eo.features.engine.waiting import in_order
from ssl4eo.features.spectral import MARGIN, STRIDE, pixel_level, surroundings_level
from ssl4eo.features.tiling import Tile, Unit, cells_of
from ssl4eo.grid import Window
from ssl4eo.scenes.scene import reopen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.projection import Quantiser
    from ssl4eo.features.tiling import PixelLevels
    from ssl4eo.scenes.info import BandPlan
    from ssl4eo.scenes.scene import Scene

__all__ = ["NO_MASK", "NO_VALUES", "Piece", "Reader", "pieces_of"]

# Pixels of a piece at most, when it has more than one tile: 13 bands of float32 then take 104 MB.
_PIECE = 2_000_000
# Around an area: the ring of cells that interpolation needs at its edge, and what a cell's window sees around it.
_RING = 2 * STRIDE + MARGIN


@dataclass(frozen=True)
class Piece:
    """Tiles side by side that are read at once.

    Attributes:
        unit: the unit that they belong to.
        tiles: some of its tiles.
        own: the pixels whose pixel levels this piece gives.
        last: whether the unit is read with it.
        area: what was read.
        values: (C, H, W) of the encoder's bands over `area`, in the order of its card, as its network takes them.
        valid: (H, W), beyond the image's border mirrored as the pixels are: the network is shown those, not a fill.
        levels: of each pixel level the cells, values (K, h, w) and validity (h, w) of `own`; as bytes when a quantiser
            was given.
    """

    unit: Unit
    tiles: tuple[Tile, ...]
    own: Window | None
    last: bool
    area: Window
    values: Tensor
    valid: NDArray[np.bool_]
    levels: tuple[tuple[Window, NDArray[np.generic], NDArray[np.bool_]], ...] = ()


def pieces_of(unit: Unit, extent: Window) -> Iterator[Piece]:
    """Cut a unit into pieces that are read at once; their pixels are not there yet."""
    first = unit.tiles[0].read
    count = max(1, _PIECE // (first.width * first.height))
    groups = [unit.tiles[start : start + count] for start in range(0, len(unit.tiles), count)]
    starts = [group[0].keep.col for group in groups]
    starts[0] = unit.own.col
    for number, (group, start) in enumerate(zip(groups, starts, strict=True)):
        last = number == len(groups) - 1
        stop = unit.own.col_stop if last else starts[number + 1]
        own = extent.intersect(Window(start, unit.own.row, stop - start, unit.own.height))
        area = _union([tile.read for tile in group] + ([own.snap(STRIDE).grow(_RING)] if own else []))
        yield Piece(unit, group, own, last, area, NO_VALUES, NO_MASK)


NO_VALUES, NO_MASK = torch.empty((0, 0, 0)), np.empty((0, 0), np.bool_)


class Reader:
    """Reads pieces of one scene in threads, each with the file opened for itself."""

    def __init__(
        self, scene: Scene, encoder: Encoder, plan: BandPlan, pixels: PixelLevels | None, threads: int
    ) -> None:
        """Open the scene.

        Args:
            scene: the scene to read.
            encoder: says how its bands are normalised.
            plan: where the encoder's bands come from.
            pixels: the pixel levels to make, if any.
            threads: how many read at once.
        """
        self._encoder, self._plan, self._pixels = encoder, plan, pixels
        # The encoder's first, so that they lie at the same places whatever else is read.
        self._sources = list(dict.fromkeys(plan.sources))
        self._names = list(dict.fromkeys([*self._sources, *(pixels.bands if pixels else ())]))
        self._more = len(self._names) > len(self._sources)
        self._stack = ExitStack()
        self._scenes: queue.SimpleQueue[Scene] = queue.SimpleQueue()
        for _ in range(threads):
            self._scenes.put(self._stack.enter_context(reopen(scene)))
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="read", initializer=torch.set_num_threads, initargs=(1,)
        )
        self._ahead = threads + 1

    def read(
        self,
        pieces: Iterable[Piece],
        quantisers: Sequence[Quantiser],
        heartbeat: Callable[[], None],
        known: Collection[Window] = (),
    ) -> Iterator[Piece]:
        """Yield pieces with their pixels, in order.

        Args:
            pieces: what to read.
            quantisers: of the pixel levels, which are bytes then.
            heartbeat: called while waiting; may raise.
            known: what tiles read that need no pixels any more.

        Raises:
            InputError: when the scene cannot be read any more.
        """

        def work(piece: Piece) -> Piece:
            return self._read(piece, quantisers, wanted=not all(tile.read in known for tile in piece.tiles))

        return in_order(self._pool, pieces, work, self._ahead, heartbeat)

    def close(self) -> None:
        """Close the files, once no thread reads them any more; does not wait for that."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        threading.Thread(target=self._close_when_idle, name="read-close").start()

    def _close_when_idle(self) -> None:
        self._pool.shutdown(wait=True)
        self._stack.close()

    def _read(self, piece: Piece, quantisers: Sequence[Quantiser], *, wanted: bool) -> Piece:
        scene = self._scenes.get()
        image = scene.grid.window
        piece = replace(piece, area=_with_what_is_mirrored(piece.area, image))
        try:
            values, valid = scene.read(piece.area, self._names)
            seen = _mirrored(valid, image, piece.area)
            levels = self._levels(piece, values, seen, quantisers) if self._pixels and piece.own else ()
            if self._more and not seen.all():
                # A gap in a band that the encoder does without is none to it.
                values, valid = scene.read(piece.area, self._sources)
                seen = _mirrored(valid, image, piece.area)
        finally:
            self._scenes.put(scene)
        return replace(piece, values=self._wanted(values) if wanted else NO_VALUES, valid=seen, levels=levels)

    def _wanted(self, values: NDArray[np.float32]) -> Tensor:
        """Return the encoder's bands (C, H, W) normalised, band by band: whole arrays would take four times as long."""
        made = torch.empty((len(self._plan.sources), *values.shape[1:]), dtype=self._encoder.dtype)
        for number, (source, gain) in enumerate(zip(self._plan.sources, self._plan.gains, strict=True)):
            band = torch.from_numpy(values[self._names.index(source)] * np.float32(1.0 if source is None else gain))
            made[number] = self._encoder.normalise_band(band, number)
        return made

    def _levels(
        self, piece: Piece, values: NDArray[np.float32], valid: NDArray[np.bool_], quantisers: Sequence[Quantiser]
    ) -> tuple[tuple[Window, NDArray[np.generic], NDArray[np.bool_]], ...]:
        if self._pixels is None or piece.own is None:
            return ()
        bands, (_, coarse) = self._pixels.bands, self._pixels.grids
        own = [values[self._names.index(band)] for band in bands]
        rows, cols = piece.own.shift(-piece.area.col, -piece.area.row).slices
        made = [(piece.own, pixel_level([band[rows, cols] for band in own], bands), valid[rows, cols])]
        cells = cells_of(piece.own.snap(STRIDE).grow(STRIDE), STRIDE, coarse)
        if cells is not None:
            seen = Window(cells.col * STRIDE, cells.row * STRIDE, cells.width * STRIDE, cells.height * STRIDE)
            rows, cols = seen.grow(MARGIN).shift(-piece.area.col, -piece.area.row).slices
            made.append((cells, *surroundings_level([band[rows, cols] for band in own], valid[rows, cols])))
        if not quantisers:
            return tuple(made)
        return tuple(
            (cells, quantiser.apply(level, known), known)
            for (cells, level, known), quantiser in zip(made, quantisers, strict=False)
        )


def _with_what_is_mirrored(area: Window, image: Window) -> Window:
    """Return an area with all pixels that are mirrored into it: they are the same then whatever is read with it."""
    col = min(area.col, max(2 * image.col_stop - area.col_stop, image.col))
    row = min(area.row, max(2 * image.row_stop - area.row_stop, image.row))
    col_stop = max(area.col_stop, min(2 * image.col - area.col, image.col_stop))
    row_stop = max(area.row_stop, min(2 * image.row - area.row, image.row_stop))
    return Window(col, row, col_stop - col, row_stop - row)


def _mirrored(valid: NDArray[np.bool_], image: Window, area: Window) -> NDArray[np.bool_]:
    """Continue validity (H, W) of an area beyond the image's border as the pixels are continued."""
    inside = image.intersect(area)
    if inside is None or inside == area:
        return valid
    rows, cols = inside.shift(-area.col, -area.row).slices
    pad = ((rows.start, area.height - rows.stop), (cols.start, area.width - cols.stop))
    return np.pad(valid[rows, cols], pad, mode="symmetric")


def _union(windows: Sequence[Window]) -> Window:
    col, row = min(w.col for w in windows), min(w.row for w in windows)
    return Window(col, row, max(w.col_stop for w in windows) - col, max(w.row_stop for w in windows) - row)
