# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear maps of a feature set's levels, added up at the pixels of a view.

A level contributes at its own cells: bytes times weights, scale and offset folded in. What is coarser than the view's
pixels is added up on the finest level that carries it, and interpolated from there; then strip by strip, small enough
for a core's cache, it joins what lies at the pixels themselves. Nothing of the size of the view times the number of
maps is ever in memory.

64 components at strides 4, 8, 16 and 32, 26 at stride 4 and 14 at stride 1 for ten classes in 1024 x 1024 pixels, two
cores: 30 ms with numpy. The same steps in torch took 100 ms and more, most of it in exp and in max over classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.labels.live.threads import each, plain_blas, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ssl4eo.features.store import Level
    from ssl4eo.labels.live.asked import Lattice
    from ssl4eo.labels.live.axis import Axis, Taps
    from ssl4eo.labels.live.patches import Patch
    from ssl4eo.labels.training import LevelScaling

__all__ = ["Likeness", "Linear", "Term", "sweep"]

# Bytes of the maps in a strip. Larger ones leave the cache of a core (1 MB of L2), smaller ones have the threads wait
# for Python more often: 45 ms with a quarter of this, 35 with half, 33 with this, 39 with twice.
_STRIP_BYTES = 1280 * 1024
# Rows of a band, which one thread does: what is interpolated across once serves all of its strips.
_BAND = 128
# Cells whose bytes become numbers at once, and rows of a level that a coarser one is added to at once.
_CELLS, _ROWS = 8192, 64


@dataclass(frozen=True)
class Term(ABC):
    """What one level adds to each of F maps; nothing where it has no value."""

    level: Level
    patch: Patch

    @abstractmethod
    def of(self, cells: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Set `out` (F, N) to what N cells with these bytes (C, N) add."""


@dataclass(frozen=True)
class Linear(Term):
    """Linear maps: `weights` (F, C) on the stored values, and `shift` (F,)."""

    weights: NDArray[np.float32]
    shift: NDArray[np.float32]

    @cached_property
    def _on_bytes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weights = self.weights.astype(np.float64)
        shift = self.shift + weights @ self.level.offset
        return (weights * self.level.scale).astype(np.float32), shift.astype(np.float32)[:, None]

    def of(self, cells: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Set `out` (F, N) to what N cells with these bytes (C, N) add."""
        weights, shift = self._on_bytes
        np.matmul(weights, cells, out=out)
        out += shift


@dataclass(frozen=True)
class Likeness(Term):
    """Two maps: the component of scaled features along `direction` (C,), and their squared length.

    The length is interpolated as it is at the cells, which makes it too large between cells that differ: likeness is
    a little too small there, never too large.
    """

    direction: NDArray[np.float64]
    scaling: LevelScaling

    @cached_property
    def _to_features(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        gain = self.level.scale * self.scaling.gain
        shift = (self.level.offset - self.scaling.mean) * self.scaling.gain
        return gain.astype(np.float32)[:, None], shift.astype(np.float32)[:, None], self.direction.astype(np.float32)

    def of(self, cells: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Set `out` (2, N) to what N cells with these bytes (C, N) add; the bytes become features."""
        gain, shift, direction = self._to_features
        cells *= gain
        cells += shift
        np.matmul(direction, cells, out=out[0])
        np.einsum("cn,cn->n", cells, cells, out=out[1])


@dataclass(frozen=True)
class _Wide:
    """Maps at the cells of a level: (F, h, w), and a last one of which cells have a value when some have none."""

    maps: NDArray[np.float32]
    cols: Axis
    rows: Axis
    gaps: bool


def sweep(
    lattice: Lattice,
    terms: Sequence[Term],
    bias: NDArray[np.float32],
    finish: Callable[[NDArray[np.float32], slice], None],
) -> None:
    """Add up terms and hand the sums over, strip by strip, from several threads.

    Args:
        lattice: where.
        terms: what each level adds.
        bias: (F,) what is added once.
        finish: takes maps (F, h, w), which it may change and must not keep, and the rows of the lattice that they are
            of.
    """
    height, width = len(lattice.rows), len(lattice.cols)
    with plain_blas():
        here = [term for term in terms if term.patch.cols is None]
        wide = _nested(_at_cells([term for term in terms if term.patch.cols is not None], len(bias)), lattice)
        taps = [(one.cols.taps(lattice.cols), one.rows.taps(lattice.rows)) for one in wide]
        rows = int(np.clip(_STRIP_BYTES // (4 * len(bias) * width), 1, _BAND))

        def band(first: int) -> None:
            last = min(first + _BAND, height)
            stretched = [
                _stretched(one, *both, first, last, f"stretched {number}")
                for number, (one, both) in enumerate(zip(wide, taps, strict=True))
            ]
            for start in range(first, last, rows):
                strip = slice(start, min(start + rows, last))
                maps = scratch("maps", len(bias), strip.stop - start, width)
                maps[...] = bias[:, None, None]
                for term in here:
                    _add_local(maps, term, strip)
                for there, down, cells, gaps in stretched:
                    _add_wide(maps, there, down, cells, strip, gaps=gaps)
                finish(maps, strip)

        each(band, range(0, height, _BAND))


def _at_cells(terms: Sequence[Term], number: int) -> list[_Wide]:
    """Return the maps of each term at its level's cells; all done together, as a coarse level keeps one thread busy."""
    found, pieces = [], []
    for term in terms:
        patch = term.patch
        assert patch.cols is not None
        assert patch.rows is not None
        _, height, width = patch.values.shape
        gaps = patch.missing is not None
        wide = _Wide(np.empty((number + gaps, height, width), np.float32), patch.cols, patch.rows, gaps)
        step = max(1, _CELLS // width)
        found.append(wide)
        pieces += [(term, wide.maps, slice(row, min(row + step, height))) for row in range(0, height, step)]

    def fill(piece: tuple[Term, NDArray[np.float32], slice]) -> None:
        term, maps, rows = piece
        width, missing = maps.shape[2], term.patch.missing
        there = scratch("found", number, (rows.stop - rows.start) * width)
        term.of(_numbers(term.patch.values[:, rows]), there)
        maps[:number, rows] = there.reshape(number, -1, width)
        if missing is not None:
            maps[:number, rows] *= ~missing[rows]
            maps[-1, rows] = ~missing[rows]

    each(fill, pieces)
    return found


def _nested(found: list[_Wide], lattice: Lattice) -> list[_Wide]:
    """Add coarse maps to finer ones that carry them; coarsest first, so that each is interpolated a step only."""
    waiting = sorted(found, key=lambda one: one.maps[0].size)
    kept: list[_Wide] = []
    for number, one in enumerate(waiting):
        finer = [
            other
            for other in waiting[number + 1 :]
            if not one.gaps
            and not other.gaps
            and other.cols.carries(one.cols, lattice.cols)
            and other.rows.carries(one.rows, lattice.rows)
        ]
        if not finer:
            kept.append(one)
            continue
        other = finer[0]
        across, down = one.cols.taps(other.cols.middles), one.rows.taps(other.rows.middles)
        cells = slice(0, one.maps.shape[1])
        stretched = _across(one.maps, across, cells, "stretched")
        for start in range(0, other.maps.shape[1], _ROWS):
            strip = slice(start, min(start + _ROWS, other.maps.shape[1]))
            _add_wide(other.maps[:, strip], stretched, down, cells, strip, gaps=False)
    return kept


def _numbers(cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return bytes (C, h, w) as numbers (C, h * w)."""
    found = scratch("cells", *cells.shape)
    found[...] = cells
    return found.reshape(len(cells), -1)


def _across(maps: NDArray[np.float32], taps: Taps, rows: slice, name: str) -> NDArray[np.float32]:
    """Interpolate some rows of maps (F, h, w) to the pixels of `taps`, in the scratch of that name."""
    flat = maps[:, rows].reshape(-1, maps.shape[2])
    out = scratch(name, len(flat), len(taps.first))
    for pixels, cells, matrix in taps.pieces:
        np.matmul(flat[:, cells], matrix, out=out[:, pixels])
    return out.reshape(len(maps), -1, len(taps.first))


def _stretched(
    one: _Wide, across: Taps, down: Taps, first: int, last: int, name: str
) -> tuple[NDArray[np.float32], Taps, slice, bool]:
    cells = down.cells(first, last)
    return _across(one.maps, across, cells, name), down, cells, one.gaps


def _add_local(maps: NDArray[np.float32], term: Term, strip: slice) -> None:
    patch = term.patch
    found = scratch("found", *maps.shape)
    term.of(_numbers(patch.values[:, strip]), found.reshape(len(maps), -1))
    if patch.missing is not None:
        found *= ~patch.missing[strip]
    maps += found


def _add_wide(
    maps: NDArray[np.float32], there: NDArray[np.float32], down: Taps, cells: slice, strip: slice, *, gaps: bool
) -> None:
    wanted, matrix = down.matrix(strip.start, strip.stop)
    found = scratch("found", len(there), *maps.shape[1:])
    np.matmul(matrix, there[:, wanted.start - cells.start : wanted.stop - cells.start], out=found)
    if gaps:
        weight = found[-1]
        found = found[:-1]
        found /= np.where(weight > 0, weight, np.float32(1))
    maps += found
