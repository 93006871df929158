# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaving places out says of a head: which samples it would have got right, and how sure it may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.labels.heads.linear import NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.labels.training import Training

__all__ = ["Questions", "spatial_groups", "split_groups"]

# Temperatures that are tried: steps of the root of 2 around 1, as the log loss is flat around its minimum.
_TEMPERATURES = tuple(2.0 ** (step / 2) for step in range(-4, 19))


def spatial_groups(training: Training, side: float) -> NDArray[np.intp]:
    """Return (G,) the group of each sample: samples in the same square of `side` pixels are left out together.

    Samples closer than a cell of the coarsest level share its value, so one of them would give the other away
    (spatial block cross-validation, Roberts et al. 2017, doi:10.1111/ecog.02881).
    """
    squares = np.floor(training.places / side).astype(np.int64)
    squares -= squares.min(axis=0)
    # One number per square sorts faster than pairs do.
    single = squares[:, 0] * (squares[:, 1].max() + 1) + squares[:, 1]
    return np.unique(single, return_inverse=True)[1].reshape(-1)


def split_groups(training: Training, groups: NDArray[np.intp], most: int) -> list[NDArray[np.bool_]]:
    """Return (G,) masks of the samples left out in turn: at most so many, each group in one.

    The groups of a class go into different masks as far as there are, so that few of its samples leave together.
    """
    places, first = np.unique(groups, return_index=True)
    count = min(most, len(places))
    order = np.random.default_rng(0).permutation(len(places))
    order = order[np.argsort(training.sample_labels[first][order], kind="stable")]
    fold_of = np.empty(len(places), np.intp)
    fold_of[order] = np.arange(len(places)) % count
    return [fold_of[groups] == number for number in range(count)]


@dataclass(frozen=True)
class Questions:
    """The samples of a training set as questions to heads that have not seen their place.

    A sample is asked where its class has samples in other groups, for else no head could know it.

    Attributes:
        training: the training pixels.
        groups: (G,) which samples are left out together.
    """

    training: Training
    groups: NDArray[np.intp]

    @cached_property
    def asked(self) -> NDArray[np.bool_]:
        """(G,) whether leaving a sample out is a fair question."""
        classes = len(self.training.names)
        pairs = np.unique(self.groups * classes + self._labels)
        return np.asarray(np.bincount(pairs % classes, minlength=classes)[self._labels] > 1)

    @cached_property
    def _labels(self) -> NDArray[np.intp]:
        return self.training.sample_labels

    @cached_property
    def _shares(self) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
        """What each asked sample adds to the balanced accuracy, the group of each, and how many groups there are."""
        labels = self._labels[self.asked]
        count = np.bincount(labels, minlength=len(self.training.names))
        numbers, group = np.unique(self.groups[self.asked], return_inverse=True)
        return 1 / (count[labels] * np.count_nonzero(count)), group, len(numbers)

    def votes(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (G, K) the share of each sample's weight that logits (N, K) give each class."""
        classes = len(self.training.names)
        cells = self.training.samples * classes + logits.argmax(axis=1)
        counted = np.bincount(cells, self.training.weights, minlength=len(self._labels) * classes)
        return np.asarray(counted.reshape(-1, classes), np.float64)

    def hits(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (G,) the share of each sample's weight that got its own class."""
        right = logits.argmax(axis=1) == self.training.labels
        weights = self.training.weights * right
        return np.asarray(np.bincount(self.training.samples, weights, minlength=len(self._labels)), np.float64)

    def score(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one number per group, whose mean is the balanced accuracy over the samples that are asked."""
        if not self.asked.any():
            return np.empty(0)
        share, group, count = self._shares
        summed = np.bincount(group, self.hits(logits)[self.asked] * share, minlength=count)
        return np.asarray(summed * count, np.float64)

    def temperature(self, logits: NDArray[np.float64], unasked: float) -> float:
        """Return what to divide logits by, so that their softmax is as sure as it is right on places left out.

        The log loss of the asked samples is least, all classes counting the same (Guo et al. 2017, arXiv:1706.04599).
        A sample's own class is wanted with (n + 1) / (n + 2) only, n the samples of the class, which keeps a few easy
        samples from making the head certain (Platt 1999, "Probabilistic outputs for support vector machines", 2.2).

        Args:
            logits: (N, K), each pixel's by a head without its place.
            unasked: the temperature when no sample can be asked.
        """
        pixels = self.asked[self.training.samples]
        if not pixels.any():
            return unasked
        labels, weights = self.training.labels[pixels], self.training.weights[pixels]
        totals = np.bincount(labels, weights, minlength=len(self.training.names))
        share = weights / totals[labels]
        wanted = ((totals + 1) / (totals + 2))[labels]
        known = logits[pixels]
        # A class that was left out whole counts as the last one.
        known = np.maximum(known, np.where(known > NEVER / 2, known, np.inf).min(axis=1, keepdims=True))
        own = known[np.arange(len(labels)), labels]
        # What is not wanted of the own class is wanted of the others alike.
        aim = wanted * own + (1 - wanted) * (known.sum(axis=1) - own) / (known.shape[1] - 1)
        known -= known.max(axis=1, keepdims=True)
        aim -= logits[pixels].max(axis=1)

        def loss(temperature: float) -> float:
            return float(share @ (np.log(np.exp(known / temperature).sum(axis=1)) - aim / temperature))

        # The loss is convex in the inverse of the temperature: every other step, then the two beside the best.
        best = min(range(0, len(_TEMPERATURES), 2), key=lambda step: loss(_TEMPERATURES[step]))
        beside = range(max(best - 1, 0), min(best + 2, len(_TEMPERATURES)))
        return float(_TEMPERATURES[min(beside, key=lambda step: loss(_TEMPERATURES[step]))])

    def indication(self, logits: NDArray[np.float64]) -> dict[str, Any] | None:
        """Return the score per class, called an indication; None when no sample can be asked."""
        if not self.asked.any():
            return None
        hits, labels = self.hits(logits)[self.asked], self._labels[self.asked]
        count = np.bincount(labels, minlength=len(self.training.names))
        right = np.bincount(labels, hits, minlength=len(self.training.names))
        per_class = {
            name: round(float(right[code] / count[code]), 4)
            for code, name in enumerate(self.training.names)
            if count[code]
        }
        return {
            "balanced_accuracy": round(float(np.mean(list(per_class.values()))), 4),
            "per_class": per_class,
            "samples": int(self.asked.sum()),
            "groups": self._shares[2],
            "note": "From the training samples, each place left out in turn. An indication to steer by, "
            "not the accuracy of the map: that takes a random sample of the map.",
        }
