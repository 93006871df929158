# SPDX-License-Identifier: GPL-2.0-or-later
"""How far a pixel is from all classes, in units that the samples give: what "none of these" is told by.

The distance is Mahalanobis' in the few directions in which the scene varies most, all levels weighed as the head weighs
them. Logits alone do not have it: they tell only how pixels lie along the differences between classes, and water lies
between wood and field there. The directions are linear maps of the levels, so that the distance costs as much as some
more classes, at any zoom.

The covariance is that within the classes, drawn towards the scene's own, which counts like one sample more: with one
sample per class it is all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["Directions", "Novelty", "scene_directions"]

# At most; six hold 85 to 97 % of the variance of two real scenes. With one class of each left out in turn, and 2, 5 and
# 15 samples of each other, its pixels lie farther away than those of the others with a chance of 0.80, 0.89 and 0.92
# (Aberystwyth, AUC; 12 directions: 0.74, 0.82, 0.88; 24: 0.61, 0.74, 0.87), and of 0.53 to 0.57 in winter at the Havel,
# where no number of directions tells OSM's classes apart.
_DIRECTIONS = 6
# Components of less than this share of the first one's variance are noise of the rounding.
_LEAST = 1e-4
# Degrees of freedom that the scene's variance counts for; six scored less in each case above (0.75, 0.82, 0.84).
_PRIOR = 1.0


@dataclass(frozen=True)
class Directions:
    """The directions in which a scene varies most, over the scaled features of all levels side by side.

    Attributes:
        axes: (R, D) orthonormal.
        mean: (D,) of the scene.
        variance: (R,) of the scene along them.
        share: of the scene's variance that they hold.
    """

    axes: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    share: float


def scene_directions(features: NDArray[np.float64]) -> Directions:
    """Find them from (N, D) features of places all over the scene, scaled as `Novelty.of` is told."""
    mean = features.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(features) - 1, 1))
    order = np.argsort(values)[::-1][:_DIRECTIONS]
    chosen = order[values[order] > max(_LEAST * values[order[0]], 1e-12)] if len(order) else order
    if len(chosen) == 0:
        # A scene of one value: any direction is as good.
        chosen = order[:1]
    total = float(np.maximum(values, 0).sum())
    kept = np.maximum(values[chosen], 1e-12)
    return Directions(vectors[:, chosen].T, mean, kept, float(kept.sum()) / max(total, 1e-12))


@dataclass(frozen=True)
class Novelty:
    """Distances to classes; made by `of`.

    Attributes:
        weights: per level (R, C) float32 on the stored values, or None for a level that takes no part.
        shifts: per level (R,) float32.
        bias: (R,) float32, what is added once.
        means: (K, R) float32 of the classes.
        distances: (G,) of each sample to the nearest class, its own without it; rising.
    """

    weights: tuple[NDArray[np.float32] | None, ...]
    shifts: tuple[NDArray[np.float32], ...]
    bias: NDArray[np.float32]
    means: NDArray[np.float32]
    distances: NDArray[np.float64]

    @classmethod
    def of(
        cls, training: Training, scalings: Sequence[LevelScaling], scales: Sequence[float], scene: Directions
    ) -> Novelty:
        """Learn distances from samples.

        Args:
            training: their pixels.
            scalings: centre and gain per level.
            scales: of the head, one per level.
            scene: from features that are scaled so, levels with a scale of 0 included.
        """
        stacked = np.concatenate([values * scale for values, scale in zip(training.features, scales, strict=True)], 1)
        along = (stacked - scene.mean) @ scene.axes.T
        samples = len(training.places)
        member = np.zeros((samples, len(along)))
        member[training.samples, np.arange(len(along))] = training.weights
        middles = member @ along
        labels = training.sample_labels
        of_class = np.zeros((len(training.names), samples))
        of_class[labels, np.arange(samples)] = 1
        means = of_class @ middles / of_class.sum(axis=1, keepdims=True)
        scatter = (middles - means[labels]).T @ (middles - means[labels]) + _PRIOR * np.diag(scene.variance)
        # Where the scatter is the unit matrix; the freedom makes a covariance of it.
        whiten = np.linalg.inv(np.linalg.cholesky(scatter))
        freedom = samples - len(means) + _PRIOR
        distances = _left_out(middles @ whiten.T, means @ whiten.T, labels, freedom)
        whiten *= np.sqrt(freedom)
        means, axes = means @ whiten.T, whiten @ scene.axes
        ends = np.cumsum([len(scaling.mean) for scaling in scalings])[:-1]
        weights: list[NDArray[np.float32] | None] = []
        shifts = []
        for part, scaling, scale in zip(np.split(axes, ends, axis=1), scalings, scales, strict=True):
            full = part * (scaling.gain * scale)
            weights.append(full.astype(np.float32) if scale > 0 else None)
            shifts.append((-full @ scaling.mean).astype(np.float32))
        bias = (-axes @ scene.mean).astype(np.float32)
        return cls(tuple(weights), tuple(shifts), bias, means.astype(np.float32), np.sort(distances))

    def threshold(self, share: float) -> float:
        """Return the distance within which this share (0 to 1) of the samples lies: what is beyond is none of these.

        With one sample per class that is how far classes are apart, and little is beyond it.
        """
        return float(np.quantile(self.distances, share))

    def squares(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return squared distances (...) to the nearest class from what `weights` and `shifts` make (R, ...)."""
        flat = maps.reshape(len(maps), -1)
        nearest = (self.means**2).sum(axis=1)[:, None] - 2 * (self.means @ flat)
        total = np.minimum.reduce(nearest, axis=0) + np.einsum("rn,rn->n", flat, flat)
        return np.asarray(np.maximum(total, 0).reshape(maps.shape[1:]), np.float32)


def _left_out(
    middles: NDArray[np.float64], means: NDArray[np.float64], labels: NDArray[np.intp], freedom: float
) -> NDArray[np.float64]:
    """Return (G,) each sample's distance to the nearest class, means and scatter taken without it.

    Args:
        middles: (G, R) of samples, where the scatter of all is the unit matrix.
        means: (K, R) of classes.
        labels: (G,).
        freedom: degrees of freedom of the scatter.
    """
    count = np.bincount(labels)[labels]
    # Leaving one of n out moves the mean away from it, by n / (n - 1) of the distance, and takes as much of its square
    # from the scatter (Sherman and Morrison's formula inverts what is left).
    ratio = np.where(count > 1, count / np.maximum(count - 1, 1), 0)[:, None]
    apart = middles[:, None] - means[None]
    number = np.arange(len(labels))
    own = apart[number, labels]
    apart[number, labels] = own * ratio
    along = np.einsum("gkr,gr->gk", apart, own) ** 2 * ratio
    squares = (apart**2).sum(axis=2) + along / np.maximum(1 - ratio * (own**2).sum(axis=1, keepdims=True), 1e-9)
    squares *= np.maximum(freedom - (count > 1), _PRIOR)[:, None]
    # The only sample of a class has no class of its own left.
    squares[number, labels] = np.where(count > 1, squares[number, labels], np.inf)
    found = squares.min(axis=1)
    return np.asarray(np.sqrt(np.where(np.isfinite(found), found, 0)), np.float64)
