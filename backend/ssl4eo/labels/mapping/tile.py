# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes of a tile from the stored bytes of all levels: the kernel of a whole-scene map.

Logits of each level are formed at its own cells from bytes, whose scale and offset are folded into the weights. Levels
whose cells lie on those of a finer one are added up there: bilinear interpolation from the coarser to the finer cells
and on to the pixels is the same as straight to the pixels. What is left is interpolated to the pixels once, in strips
that stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.features.projection import NODATA
from ssl4eo.features.sampling import interpolate_grid, neighbours, support
from ssl4eo.labels.mapping.bytemap import UNSURE
from ssl4eo.labels.mapping.classmap import NODATA as NO_CLASS
from ssl4eo.labels.mapping.classmap import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from affine import Affine
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet, Level
    from ssl4eo.grid import Window
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.heads.novelty import Novelty

__all__ = ["Folded", "TilePlan", "classify_tile", "plan_tiles"]

# Rows of pixels whose logits are formed at once: those of ten classes over 512 columns take 0.7 MB.
_ROWS = 32
# Distance in cells at which a coarser level's centres still count as lying on a finer level's.
_ON = 1e-6


@dataclass(frozen=True)
class Folded:
    """A level's part of a head on bytes: logits = weights (K, C) @ bytes + shift (K,); `place` maps pixels to cells."""

    level: Level
    weights: NDArray[np.float32]
    shift: NDArray[np.float32]
    place: Affine

    def positions(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the fractional cells of a window's pixel centres, across and down."""
        cols = np.arange(window.col, window.col_stop) + 0.5
        rows = np.arange(window.row, window.row_stop) + 0.5
        cols, rows = self.place.a * cols + self.place.c, self.place.e * rows + self.place.f
        return np.asarray(cols, np.float64), np.asarray(rows, np.float64)


@dataclass(frozen=True)
class TilePlan:
    """What a head asks of a feature set.

    Attributes:
        classes: K.
        pixels: levels on the pixels themselves.
        chains: other levels, each chain from its coarsest to its finest.
        bias: (K,) and what the novelty adds.
        temperature: logits are divided by it before softmax.
        novelty: what tells pixels that are far from all classes, or None.
        beyond: its distance from which on a pixel is none of the classes.
    """

    classes: int
    pixels: tuple[Folded, ...]
    chains: tuple[tuple[Folded, ...], ...]
    bias: NDArray[np.float32]
    temperature: float
    novelty: Novelty | None = None
    beyond: float = np.inf

    @property
    def parts(self) -> list[Folded]:
        """All levels that are read."""
        return [*self.pixels, *(part for chain in self.chains for part in chain)]


def plan_tiles(
    features: FeatureSet,
    head: LinearHead,
    temperature: float = 1.0,
    novelty: Novelty | None = None,
    beyond: float = np.inf,
) -> TilePlan:
    """Fold a head into the bytes of a feature set, and find the levels that can be added up before the pixels.

    Args:
        features: the feature set.
        head: a head on it.
        temperature: logits are divided by it before softmax.
        novelty: what tells pixels that are far from all classes.
        beyond: its distance from which on a pixel is none of the classes.
    """
    weights, shifts, bias = head.weights, head.shifts, head.bias
    if novelty is not None:
        # The directions are more rows of the same maps; they take the levels of the head.
        weights = tuple(
            None if one is None or other is None else np.concatenate([one, other])
            for one, other in zip(weights, novelty.weights, strict=True)
        )
        shifts = tuple(np.concatenate(pair) for pair in zip(shifts, novelty.shifts, strict=True))
        bias = np.concatenate([bias, novelty.bias])
    pixels: list[Folded] = []
    others: list[Folded] = []
    for level, of_level, shift in zip(features.levels, weights, shifts, strict=True):
        if of_level is None and level.index > 0:
            continue
        # Level 0 is read even when it takes no part: where it is nodata, the map is.
        used = np.zeros((len(bias), level.components), np.float32) if of_level is None else of_level
        place = ~level.grid.transform @ features.grid.transform
        part = Folded(level, used * level.scale, shift + used @ level.offset, place)
        (pixels if level.grid == features.grid else others).append(part)
    chains: list[list[Folded]] = []
    for part in sorted(others, key=lambda part: -part.level.stride):
        fitting = next((chain for chain in chains if _lies_on(chain[-1].level, part.level)), None)
        if fitting is None:
            chains.append([part])
        else:
            fitting.append(part)
    parts = tuple(pixels), tuple(map(tuple, chains))
    return TilePlan(len(head.names), *parts, bias, temperature, novelty, beyond)


def _lies_on(coarse: Level, fine: Level) -> bool:
    """Say whether each centre of a coarse cell is the centre of a fine one, from the first on."""
    place = ~fine.grid.transform @ coarse.grid.transform
    first = place.a * 0.5 + place.c - 0.5, place.e * 0.5 + place.f - 0.5
    numbers = (place.a, place.e, *first)
    whole = all(abs(number - round(number)) < _ON for number in numbers) and not place.b and not place.d
    return whole and abs(first[0]) < _ON and abs(first[1]) < _ON


def classify_tile(
    plan: TilePlan, window: Window, read: Callable[[Level, int, int, int, int], NDArray[np.uint8]], *, confidence: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return class codes (H, W) and the probability of the class in percent (H, W).

    Codes are 1 for the first class, 0 where level 0 is nodata, and 255 beyond all classes.

    Args:
        plan: of `plan_tiles`.
        window: the tile, in pixels.
        read: gives the bytes (C, h, w) of a level from first row to row stop and first column to column stop.
        confidence: whether to work out the probability, which is 255 where level 0 is nodata; else None.
    """
    pixels = [
        (part, read(part.level, window.row, window.row_stop, window.col, window.col_stop)) for part in plan.pixels
    ]
    missing = pixels[0][1][0] == NODATA
    codes = np.zeros(missing.shape, np.uint8)
    sure = np.full(missing.shape, UNSURE, np.uint8) if confidence else None
    if missing.all():
        return codes, sure
    smooth, rough = [], plan.bias[:, None, None]
    for chain in plan.chains:
        cells = [_cells(part, window, read) for part in chain]
        if any(part.missing for part in cells):
            for part in cells:
                rough = rough + np.nan_to_num(interpolate_grid(part.holed(), part.cols, part.rows))
        else:
            smooth.append(_added(chain, cells))
    for start in range(0, window.height, _ROWS):
        rows = slice(start, min(start + _ROWS, window.height))
        logits = _strip(pixels, smooth, rows)
        logits += rough if rough.shape[1] == 1 else rough[:, rows]
        codes[rows], top = _best(logits[: plan.classes])
        if sure is not None:
            sure[rows] = _percent(logits[: plan.classes], top, plan.temperature)
        if plan.novelty is not None:
            far = plan.novelty.squares(logits[plan.classes :]) > plan.beyond**2
            codes[rows][far] = NONE
    codes[missing] = NO_CLASS
    if sure is not None:
        sure[missing] = UNSURE
    return codes, sure


@dataclass(frozen=True)
class _Cells:
    """Logits (K, h, w) of a level's cells around a tile, which of them are missing, and the pixels' places in them."""

    logits: NDArray[np.float32]
    known: NDArray[np.bool_]
    cols: NDArray[np.float64]
    rows: NDArray[np.float64]
    first: tuple[int, int]

    @property
    def missing(self) -> bool:
        return not self.known.all()

    def holed(self) -> NDArray[np.float32]:
        return np.where(self.known, self.logits, np.float32(np.nan))


def _cells(part: Folded, window: Window, read: Callable[[Level, int, int, int, int], NDArray[np.uint8]]) -> _Cells:
    cols, rows = part.positions(window)
    grid = part.level.grid
    (col, col_stop), (row, row_stop) = support(cols, grid.width), support(rows, grid.height)
    stored = read(part.level, row, row_stop, col, col_stop)
    flat = part.weights @ stored.astype(np.float32, order="C").reshape(len(stored), -1)
    flat += part.shift[:, None]
    logits = flat.reshape(-1, *stored.shape[1:])
    return _Cells(logits, stored[0] != NODATA, cols - col, rows - row, (col, row))


@dataclass(frozen=True)
class _Smooth:
    """Logits (K, h, W) at a tile's columns and a level's rows, and how rows of pixels are made of them."""

    values: NDArray[np.float32]
    bands: list[_Band]


@dataclass(frozen=True)
class _Band:
    """Some neighbouring positions as a product of the cells around them: values at `cells` @ matrix (n, m)."""

    positions: slice
    cells: slice
    matrix: NDArray[np.float32]


def _bands(positions: NDArray[np.float64], size: int) -> list[_Band]:
    """Cut interpolation along an axis into small dense products, which take a tenth of the time of gathering cells."""
    before, behind, share = neighbours(positions, size)
    bands = []
    for start in range(0, len(positions), _ROWS):
        here = slice(start, min(start + _ROWS, len(positions)))
        first, stop = before[here][0], behind[here][-1] + 1
        at = np.arange(here.stop - start)
        matrix = np.zeros((stop - first, len(at)), np.float32)
        matrix[before[here] - first, at] = 1 - share[here]
        matrix[behind[here] - first, at] += share[here].astype(np.float32)
        bands.append(_Band(here, slice(first, stop), matrix))
    return bands


def _added(chain: tuple[Folded, ...], cells: list[_Cells]) -> _Smooth:
    total = cells[0].logits
    for coarse, fine, here, there in zip(chain, chain[1:], cells, cells[1:], strict=False):
        place = ~coarse.level.grid.transform @ fine.level.grid.transform
        cols = place.a * (np.arange(there.logits.shape[2]) + there.first[0] + 0.5) + place.c - here.first[0]
        rows = place.e * (np.arange(there.logits.shape[1]) + there.first[1] + 0.5) + place.f - here.first[1]
        total = there.logits + _down(_across(total, cols), rows)
    last = cells[-1]
    return _Smooth(_across(total, last.cols), _bands(last.rows, total.shape[1]))


def _across(values: NDArray[np.float32], cols: NDArray[np.float64]) -> NDArray[np.float32]:
    classes, height, width = values.shape
    flat = values.reshape(-1, width)
    out = np.empty((len(flat), len(cols)), np.float32)
    for band in _bands(cols, width):
        np.matmul(flat[:, band.cells], band.matrix, out=out[:, band.positions])
    return out.reshape(classes, height, -1)


def _down(values: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float32]:
    bands = _bands(rows, values.shape[1])
    return np.concatenate([np.matmul(band.matrix.T, values[:, band.cells]) for band in bands], axis=1)


def _strip(pixels: list[tuple[Folded, NDArray[np.uint8]]], smooth: list[_Smooth], rows: slice) -> NDArray[np.float32]:
    """Return the logits (K, h, W) of rows of a tile, but for what is rough and the bias; `rows` are those of a band."""
    height, width = rows.stop - rows.start, pixels[0][1].shape[2]
    logits: NDArray[np.float32] | None = None
    for part, stored in pixels:
        x = stored[:, rows].astype(np.float32, order="C").reshape(len(stored), -1)
        flat = part.weights @ x
        flat += part.shift[:, None]
        if logits is None:
            logits = flat
        else:
            # Another scene has holes of its own, where it says nothing.
            flat *= stored[0, rows].reshape(-1) != NODATA
            logits += flat
    assert logits is not None
    logits = logits.reshape(-1, height, width)
    if smooth:
        # Interpolation down as one product per class, of all chains at once.
        bands = [chain.bands[rows.start // _ROWS] for chain in smooth]
        matrix = np.concatenate([band.matrix for band in bands])
        cells = np.concatenate([chain.values[:, band.cells] for chain, band in zip(smooth, bands, strict=True)], axis=1)
        logits += np.matmul(matrix.T, cells)
    return logits


def _best(logits: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the code (h, W) of the largest logit, from 1 on, and that logit; half the time of numpy's argmax."""
    top = logits[0].copy()
    codes = np.ones(top.shape, np.uint8)
    won = np.empty(top.shape, bool)
    step = won.view(np.uint8)
    for number, plane in enumerate(logits[1:], start=2):
        np.greater(plane, top, out=won)
        np.maximum(plane, top, out=top)
        np.multiply(step, np.uint8(number), out=step)
        np.maximum(codes, step, out=codes)
    return codes, top


def _percent(logits: NDArray[np.float32], top: NDArray[np.float32], temperature: float) -> NDArray[np.uint8]:
    total = np.zeros(top.shape, np.float32)
    below = np.empty(top.shape, np.float32)
    for plane in logits:
        np.subtract(plane, top, out=below)
        below /= temperature
        total += np.exp(below, out=below)
    return np.asarray(np.rint(100 / total), np.uint8)
