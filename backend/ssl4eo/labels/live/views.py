# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws what was learnt: classes with their confidence, and likeness to a class, in any box at any size."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.labels.heads.lattice import read_lattice
from ssl4eo.labels.heads.novelty import Novelty, scene_directions
from ssl4eo.labels.live.asked import Lattice, ViewError, lattice_of
from ssl4eo.labels.live.draw import Likeness, Linear, sweep
from ssl4eo.labels.live.memory import Memory
from ssl4eo.labels.live.paint import ClassPainter, LikenessPainter
from ssl4eo.labels.live.patches import Patch, read_patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.labels.heads.novelty import Directions
    from ssl4eo.labels.live.asked import Asked
    from ssl4eo.labels.live.learnt import Learnt
    from ssl4eo.labels.live.packed import Packed
    from ssl4eo.labels.training import LevelScaling

__all__ = ["Planes", "Views"]

# What views have read of the levels, for the next ones of the same pixels: some views of 1536 x 1536.
_MOST_BYTES = 256 * 2**20
# Places all over the scene that its directions are found from.
_PLACES = 2000

# Names and values (H, W).
Planes = tuple[tuple[str, "NDArray[np.uint8]"], ...]


@dataclass(frozen=True)
class _Far:
    learnt: Learnt
    novelty: Novelty


class Views:
    """Draws views of one feature set; for threads."""

    def __init__(self, features: FeatureSet, packed: Packed, scalings: Sequence[LevelScaling]) -> None:
        """Draw from `packed`, the levels of `features`, whose components are centred and scaled by `scalings`."""
        self._features = features
        self._packed = packed
        self._scalings = list(scalings)
        self._patches: Memory[Patch] = Memory(_MOST_BYTES, lambda patch: patch.values.nbytes)
        self._lock = threading.Lock()
        self._far: _Far | None = None
        self._places: list[NDArray[np.float64]] | None = None
        self._directions: dict[tuple[float, ...], Directions] = {}

    def classes(
        self,
        asked: Asked,
        learnt: Learnt,
        beyond: float | None,
        hidden: Sequence[str],
        beat: Callable[[], None],
    ) -> Planes:
        """Return the planes class and confidence.

        Args:
            asked: the pixels.
            learnt: with a head.
            beyond: pixels farther from all classes than this share of the samples are none of these.
            hidden: classes that are not drawn.
            beat: called now and then; may raise to end the work.
        """
        assert learnt.fitted is not None
        head, lattice = learnt.fitted.head, lattice_of(asked, self._features.grid)
        if lattice is None:
            return _nothing(asked, "class", "confidence")
        novelty = None if beyond is None else self.novelty(learnt)
        weights, shifts, bias = head.weights, head.shifts, head.bias
        if novelty is not None:
            weights = tuple(map(_stacked, weights, novelty.weights))
            shifts = tuple(np.concatenate(pair) for pair in zip(shifts, novelty.shifts, strict=True))
            bias = np.concatenate([bias, novelty.bias])
        patches = self._needed(asked, lattice, {0, *(i for i, w in enumerate(weights) if w is not None)})
        terms = [
            Linear(self._packed.levels[index], patches[index], level_weights, shifts[index])
            for index, level_weights in enumerate(weights)
            if level_weights is not None
        ]
        painter = ClassPainter(
            learnt.codes(hidden),
            learnt.fitted.temperature,
            patches[0].holes(lattice),
            (len(lattice.rows), len(lattice.cols)),
            novelty,
            np.inf if novelty is None or beyond is None else novelty.threshold(beyond),
        )
        sweep(lattice, terms, bias, _beating(painter, beat))
        return ("class", lattice.spread(painter.classes)), ("confidence", lattice.spread(painter.confidence))

    def similarity(self, asked: Asked, learnt: Learnt, name: str | None, beat: Callable[[], None]) -> Planes:
        """Return the plane similarity: the cosine to the mean of a class, over the scaled features of all levels.

        The features are centred, so that 0 is no more like the class than the scene is on average.

        Raises:
            ViewError: when no sample is of that class.
        """
        training = learnt.training
        if training is None or name not in training.names:
            raise ViewError(f"No sample that can be used is of the class {name!r}; choose a class with samples.")
        lattice = lattice_of(asked, self._features.grid)
        if lattice is None:
            return _nothing(asked, "similarity")
        share = training.weights * (training.labels == training.names.index(name))
        means = [share @ values / share.sum() for values in training.features]
        length = max(float(np.sqrt(sum(mean @ mean for mean in means))), 1e-12)
        patches = self._needed(asked, lattice, range(len(means)))
        terms = [
            Likeness(level, patches[level.index], mean / length, scaling)
            for level, mean, scaling in zip(self._packed.levels, means, self._scalings, strict=True)
        ]
        painter = LikenessPainter(patches[0].holes(lattice), (len(lattice.rows), len(lattice.cols)))
        sweep(lattice, terms, np.zeros(2, np.float32), _beating(painter, beat))
        return (("similarity", lattice.spread(painter.likeness)),)

    def probe(self, x: float, y: float, learnt: Learnt) -> dict[str, Any]:
        """Return nodata, class, confidence and probabilities by class at the pixel under a place."""
        assert learnt.fitted is not None
        nothing: dict[str, Any] = {"nodata": True, "class": None, "confidence": 0.0, "probabilities": {}}
        grid, head = self._features.grid, learnt.fitted.head
        (col,), (row,) = grid.colrow([x], [y])
        if not (0 <= col < grid.width and 0 <= row < grid.height):
            return nothing
        lattice = Lattice(np.floor([col]) + 0.5, np.floor([row]) + 0.5, (1, 1), (slice(0, 1), slice(0, 1)))
        patches = [read_patch(self._packed, index, grid, lattice) for index in range(len(head.weights))]
        if patches[0].missing is not None:
            return nothing
        terms = [
            Linear(level, patch, weights, shift)
            for level, patch, weights, shift in zip(
                self._packed.levels, patches, head.weights, head.shifts, strict=True
            )
            if weights is not None
        ]
        found: list[NDArray[np.float32]] = []
        sweep(lattice, terms, head.bias, lambda maps, _rows: found.append(maps.copy()))
        logits = found[0][:, 0, 0].astype(float) / learnt.fitted.temperature
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = int(shares.argmax())
        return {
            "nodata": False,
            "class": head.names[best],
            "confidence": round(float(shares[best]), 4),
            "probabilities": {name: round(float(share), 4) for name, share in zip(head.names, shares, strict=True)},
        }

    def novelty(self, learnt: Learnt) -> Novelty:
        """Return how far samples are from their classes; found once for each set of samples."""
        assert learnt.fitted is not None
        assert learnt.training is not None
        with self._lock:
            if self._far is None or self._far.learnt is not learnt:
                scales = learnt.fitted.scales
                if scales not in self._directions:
                    self._directions[scales] = scene_directions(self._scene(scales))
                found = Novelty.of(learnt.training, self._scalings, scales, self._directions[scales])
                self._far = _Far(learnt, found)
            return self._far.novelty

    def _scene(self, scales: Sequence[float]) -> NDArray[np.float64]:
        """Return features (N, D) of places all over the scene, scaled as the head scales them."""
        if self._places is None:
            found = read_lattice(self._features, self._features.grid.window, _PLACES, np.random.default_rng(0))
            self._places = [
                np.nan_to_num((values - scaling.mean) * scaling.gain)
                for values, scaling in zip(found.values, self._scalings, strict=True)
            ]
        return np.concatenate([values * scale for values, scale in zip(self._places, scales, strict=True)], axis=1)

    def _needed(self, asked: Asked, lattice: Lattice, levels: Iterable[int]) -> dict[int, Patch]:
        """Return what the view needs of some levels; what the last views read is kept."""
        found = {}
        for index in levels:
            patch = self._patches.find((asked, index))
            if patch is None:
                patch = read_patch(self._packed, index, self._features.grid, lattice)
                self._patches.keep((asked, index), patch)
            found[index] = patch
        return found


def _stacked(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    # The directions take the levels of the head: both have a level, or neither.
    return None if one is None or other is None else np.concatenate([one, other])


def _nothing(asked: Asked, *names: str) -> Planes:
    return tuple((name, np.zeros((asked.height, asked.width), np.uint8)) for name in names)


def _beating(
    painter: ClassPainter | LikenessPainter, beat: Callable[[], None]
) -> Callable[[NDArray[np.float32], slice], None]:
    def paint(maps: NDArray[np.float32], rows: slice) -> None:
        beat()
        painter(maps, rows)

    return paint
