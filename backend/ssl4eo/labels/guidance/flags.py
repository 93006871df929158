# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples that disagree with those most like them: slips of the hand, and classes that the image cannot tell apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ssl4eo.labels.training import Training

__all__ = ["flags"]

# Nearest samples that are asked, as the rule that edits training sets does (Wilson 1972, doi:10.1109/TSMC.1972.4309137,
# with three), two more because they are weighed by class.
_NEIGHBOURS = 5
# Share of the neighbours' weight that must go to one other class.
_MAJORITY = 0.6
# With fewer samples a class cannot outvote another among the five nearest, so asking is not fair.
_FEWEST = 3


def flags(
    training: Training, hits: NDArray[np.float64] | None = None, scales: Iterable[float] | None = None
) -> list[dict[str, Any]]:
    """Return the samples whose nearest neighbours in feature space are mostly of one other class, the clearest first.

    A neighbour's vote is divided by the number of samples of its class, so that a class with 500 samples does not
    outvote one with 5. Where leaving places out says that the head gets a sample right without it, it is not flagged.

    Args:
        training: the training pixels.
        hits: `Fitted.hits`, per sample the share of its weight that got its own class when its place was left out.
        scales: weight of each level, as in `Fitted.scales`; None takes the base alone.

    Returns:
        Per flagged sample: sample (its number in `training`), class, says (the class of the others), share (of the
        neighbours' weight for that class, 0 to 1).
    """
    labels, names = training.sample_labels, training.names
    size = np.bincount(labels, minlength=len(names))
    if len(labels) <= _FEWEST:
        return []
    x = _means(training, scales)
    near = min(_NEIGHBOURS, len(labels) - 1)
    with _threads().limit(limits=1):
        order = NearestNeighbors(n_neighbors=near).fit(x).kneighbors(return_distance=False)
    votes = np.zeros((len(labels), len(names)))
    for column in labels[order].T:
        votes[np.arange(len(labels)), column] += 1 / size[column]
    votes /= votes.sum(axis=1, keepdims=True)
    says = votes.argmax(axis=1)
    share = votes[np.arange(len(labels)), says]
    wrong = (says != labels) & (share >= _MAJORITY) & (size[labels] >= _FEWEST) & (size[says] >= _FEWEST)
    if hits is not None and len(hits) == len(labels):
        # NaN, which compares with nothing, is a sample that cannot be asked.
        wrong &= ~(hits > 0.5)
    found = np.flatnonzero(wrong)
    return [
        {
            "sample": int(number),
            "class": names[labels[number]],
            "says": names[says[number]],
            "share": round(float(share[number]), 3),
        }
        for number in found[np.argsort(-share[found], kind="stable")]
    ]


@cache
def _threads() -> ThreadpoolController:
    # Looking for the libraries takes some milliseconds, and flags are asked for at each click.
    return ThreadpoolController()


def _means(training: Training, scales: Iterable[float] | None) -> NDArray[np.float64]:
    """Return the mean features (G, D) of each sample."""
    if scales is None:
        scales = [float(level < training.base) for level in range(len(training.features))]
    used = [values * scale for values, scale in zip(training.features, scales, strict=True) if scale > 0]
    x = np.concatenate(used, axis=1) * training.weights[:, None]
    means = np.zeros((len(training.places), x.shape[1]))
    np.add.at(means, training.samples, x)
    return means
