# SPDX-License-Identifier: GPL-2.0-or-later
"""Few-shot accuracies of three heads on labelled scenes, in the draws of measure_heads.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from measure_heads import SHOTS, draws
from ssl4eo.labels.heads.linear import Moments, fit_lda
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.training import LevelScaling, Training

if TYPE_CHECKING:
    from few_shot_sites import Site
    from numpy.typing import NDArray


def balanced(site: Site, rows: NDArray[np.intp], found: NDArray[np.intp]) -> float:
    """Return the mean over classes of the share of rows that got their own class."""
    hit, labels = found[rows] == site.labels[rows], site.labels[rows]
    return float(np.mean([hit[labels == code].mean() for code in np.unique(labels)]))


def accuracies(
    site: Site, deep: list[NDArray[np.float64]], stride: float, count: int
) -> dict[str, NDArray[np.float64]]:
    """Return balanced accuracies (shots, count) per head, and those near edges under "HEAD, near".

    Args:
        site: the labelled scene.
        deep: scaled levels (N, C).
        stride: of the coarsest level, in pixels of the scene.
        count: draws.
    """
    joined = np.concatenate(deep, axis=1)
    stacks = {"base": site.base, "deep": joined, "alike": np.concatenate([site.base, joined], axis=1)}
    found: dict[str, list[float]] = {}
    for shots in SHOTS:
        for train, test in draws(site, shots, count):
            edge = np.empty(0, np.intp)
            if site.near is not None:
                edge = np.flatnonzero(site.near & np.isin(site.polygons, np.unique(site.polygons[test])))
            asked = np.union1d(test, edge)
            for head in (*stacks, "weighed"):
                predicted = np.full(len(site.labels), -1)
                if head == "weighed":
                    predicted[asked] = _weighed(site, joined, stride, train, asked)
                else:
                    predicted[asked] = _lda(stacks[head], site, train, asked)
                found.setdefault(head, []).append(balanced(site, test, predicted))
                if len(edge):
                    found.setdefault(f"{head}, near", []).append(balanced(site, edge, predicted))
    return {head: np.reshape(values, (len(SHOTS), count)) for head, values in found.items()}


def _lda(x: NDArray[np.float64], site: Site, train: NDArray[np.intp], asked: NDArray[np.intp]) -> NDArray[np.intp]:
    labels = site.labels[train]
    present = np.bincount(labels).astype(float)
    learnt, unknown = _in_span(x, train, asked)
    weights, bias = fit_lda(Moments.of(learnt, labels, np.ones(len(train)), present))
    return (unknown @ weights.T + bias).argmax(axis=1)


def _weighed(
    site: Site, deep: NDArray[np.float64], stride: float, train: NDArray[np.intp], asked: NDArray[np.intp]
) -> NDArray[np.intp]:
    # The deep levels share one scale, so that they can be given as one.
    levels = [_in_span(site.base, train, asked), _in_span(deep, train, asked)]
    plain = [LevelScaling(np.zeros(x.shape[1]), np.ones(x.shape[1])) for x, _ in levels]
    ones, names = np.ones(len(train)), tuple(map(str, range(site.labels.max() + 1)))
    training = Training(
        names,
        tuple(x for x, _ in levels),
        site.labels[train],
        np.arange(len(train)),
        ones,
        ones,
        site.places[train],
        (),
    )
    head = fit_head(training, plain, [1, round(stride)], "lda").head
    parts = (x @ weights.T for (_, x), weights in zip(levels, head.weights, strict=True) if weights is not None)
    return (head.bias + sum(parts)).argmax(axis=1)


def _in_span(
    x: NDArray[np.float64], train: NDArray[np.intp], asked: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows to learn from and rows asked for in an orthonormal basis of the former.

    The classes and the ridge of discriminant analysis see nothing else: the same answers, from far fewer dimensions.
    """
    _, singular, basis = np.linalg.svd(x[train], full_matrices=False)
    basis = basis[singular > 1e-9 * singular[0]]
    return x[train] @ basis.T, x[asked] @ basis.T
