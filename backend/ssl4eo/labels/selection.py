# SPDX-License-Identifier: GPL-2.0-or-later
"""How much the other levels may say: their scale, chosen by leaving places out, never to the harm of the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.labels.heads import LinearHead, Moments, Weights, fit_lda, fit_logistic, to_levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["HEADS", "Fitted", "fit_head", "spatial_groups"]

HEADS = ("auto", "lda", "logistic")
# Scale of the other levels against the base, which is the pixels of the first scene and their surroundings. Without any
# (0) the head is the base alone.
SCALES = (0.0, 0.1, 0.25, 0.5, 1.0)
# Inverse penalties of logistic regression that are tried.
_PENALTIES = (1.0, 10.0, 100.0)
# Standard errors by which a scale must beat the base alone. One is the rule of Breiman et al. 1984 (Classification and
# Regression Trees, 3.4.3); with it one real scene of six still lost a little (docs/few-shot-heads.md).
_ERRORS = 1.5
# Places left out in turn; with more places, several go together.
_FOLDS = 20
# Logistic regression is fitted anew for each fold and setting: on at most so many folds and pixels.
_LOGISTIC_FOLDS, _LOGISTIC_PIXELS = 10, 2000


@dataclass(frozen=True)
class Fitted:
    """A head and how it was chosen; `indication` is what leaving places out says, or None when it says nothing."""

    head: LinearHead
    method: str
    scales: tuple[float, ...]
    settings: dict[str, Any]
    indication: dict[str, Any] | None


def spatial_groups(training: Training, side: float) -> NDArray[np.intp]:
    """Return (G,) the group of each sample: samples in the same square of `side` pixels are left out together.

    Samples closer than a cell of the coarsest level share its value, so one of them would give the other away
    (spatial block cross-validation, Roberts et al. 2017, doi:10.1111/ecog.02881).
    """
    squares = np.floor(training.places / side).astype(np.intp)
    return np.unique(squares, axis=0, return_inverse=True)[1].reshape(-1)


def fit_head(
    training: Training,
    scalings: list[LevelScaling],
    strides: list[int],
    method: str = "auto",
    progress: Progress = no_progress,
) -> Fitted:
    """Fit a head and choose the scale of all levels beyond the base by leave-one-place-out.

    The pixels of an added scene are weighed with the deep levels: were they always in, a head could fall below the base
    alone, which the choice is there to prevent.

    Args:
        training: the training pixels.
        scalings: centre and gain per level.
        strides: pixels per cell, per level.
        method: auto, lda or logistic.
        progress: told how far the work is.

    Raises:
        InputError: for an unknown method.
    """
    if method not in HEADS:
        raise InputError(f"There is no head {method!r}; choose one of: {', '.join(HEADS)}.")
    # Bilinear interpolation reads two cells along each axis.
    groups = spatial_groups(training, 2.0 * max(strides))
    # Matrices of a few hundred rows: more threads cost more than they give, many times so on a busy computer.
    with threadpool_limits(limits=1, user_api="blas"):
        if method == "logistic":
            return _logistic(training, scalings, groups, progress)
        return _lda(training, scalings, groups, progress)


def _lda(training: Training, scalings: list[LevelScaling], groups: NDArray[np.intp], progress: Progress) -> Fitted:
    x = np.concatenate(training.features, axis=1)
    every = _moments(training, x, np.ones(len(groups), bool))
    logits = {scale: np.full((len(x), len(training.names)), -np.inf) for scale in SCALES}
    for number, count, fold in _folds(groups, _FOLDS):
        progress(number / count, "Weighing the levels")
        out = fold[training.samples]
        rest = every - _moments(training, x, fold)
        for scale in SCALES:
            stretch = _stretch(training, scale)
            logits[scale][out] = _logits(fit_lda(rest.scaled(stretch)), x[out] * stretch)
    chosen, indication = _choose(training, groups, logits)
    fitted = fit_lda(every.scaled(_stretch(training, chosen)))
    return _fitted(training, scalings, fitted, "lda", chosen, {}, indication)


def _logistic(training: Training, scalings: list[LevelScaling], groups: NDArray[np.intp], progress: Progress) -> Fitted:
    x = np.concatenate(training.features, axis=1)
    learn = np.zeros(len(x), bool)
    learn[np.random.default_rng(0).permutation(len(x))[:_LOGISTIC_PIXELS]] = True
    classes = len(training.names)

    def fit(scale: float, c: float, rows: NDArray[np.bool_]) -> Weights:
        columns = _stretch(training, scale)
        used = columns > 0
        w, b = fit_logistic((x * columns)[rows][:, used], training.labels[rows], training.weights[rows], classes, c)
        full = np.zeros((classes, x.shape[1]))
        full[:, used] = w
        return full, b

    def left_out(scale: float, c: float) -> NDArray[np.float64]:
        logits = np.full((len(x), classes), -np.inf)
        for _, _, fold in _folds(groups, _LOGISTIC_FOLDS):
            out = fold[training.samples]
            if (learn & ~out).any():
                logits[out] = _logits(fit(scale, c, learn & ~out), x[out] * _stretch(training, scale))
        return logits

    steps = iter(np.linspace(0, 1, len(_PENALTIES) + len(SCALES)))
    scores = []
    for c in _PENALTIES:
        progress(next(steps), "Choosing the penalty")
        scores.append(_score(training, groups, left_out(0.0, c)))
    best = _PENALTIES[int(np.argmax([np.nan_to_num(score.mean()) if len(score) else 0 for score in scores]))]
    logits = {}
    for scale in SCALES:
        progress(next(steps), "Weighing the levels")
        logits[scale] = left_out(scale, best)
    chosen, indication = _choose(training, groups, logits)
    fitted = fit(chosen, best, np.ones(len(x), bool))
    w, b = fitted
    return _fitted(training, scalings, (w, b), "logistic", chosen, {"C": best}, indication)


def _fitted(
    training: Training,
    scalings: list[LevelScaling],
    fitted: Weights,
    method: str,
    scale: float,
    settings: dict[str, Any],
    indication: dict[str, Any] | None,
) -> Fitted:
    scales = _scales(training, scale)
    head = to_levels(fitted, training.names, scalings, scales)
    return Fitted(head, method, tuple(map(float, scales)), settings, indication)


def _choose(
    training: Training, groups: NDArray[np.intp], logits: dict[float, NDArray[np.float64]]
) -> tuple[float, dict[str, Any] | None]:
    """Return the scale to use and what leaving places out says of it.

    A scale above 0 must gain more over the base alone than chance explains; among those the largest gain wins, then
    the smaller scale.
    """
    base = _score(training, groups, logits[SCALES[0]])
    chosen, best = SCALES[0], 0.0
    for scale in SCALES[1:]:
        gain = _score(training, groups, logits[scale]) - base
        if len(gain) > 1:
            error = _ERRORS * gain.std(ddof=1) / np.sqrt(len(gain))
            if gain.mean() > max(error, best + 1e-9):
                chosen, best = scale, float(gain.mean())
    return chosen, _indication(training, groups, logits[chosen])


def _scored(training: Training, groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return (G,) whether a sample's class has samples elsewhere, so that leaving it out is a fair question."""
    labels = training.sample_labels
    fair = np.zeros(len(labels), bool)
    for label in range(len(training.names)):
        members = labels == label
        fair[members] = len(np.unique(groups[members])) > 1
    return fair


def _hits(training: Training, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (G,) the share of each sample's weight that got its own class."""
    right = logits.argmax(axis=1) == training.labels
    return np.asarray(np.bincount(training.samples, training.weights * right, minlength=len(training.places)), float)


def _score(training: Training, groups: NDArray[np.intp], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one number per group, whose mean is the balanced accuracy over the samples that can be scored."""
    fair = _scored(training, groups)
    if not fair.any():
        return np.empty(0)
    labels = training.sample_labels[fair]
    count = np.bincount(labels, minlength=len(training.names))
    part = _hits(training, logits)[fair] / (count[labels] * (count > 0).sum())
    _, number = np.unique(groups[fair], return_inverse=True)
    summed = np.bincount(number, part)
    return np.asarray(summed * len(summed))


def _indication(training: Training, groups: NDArray[np.intp], logits: NDArray[np.float64]) -> dict[str, Any] | None:
    fair = _scored(training, groups)
    if not fair.any():
        return None
    hits, labels = _hits(training, logits), training.sample_labels
    per_class = {
        name: round(float(hits[fair & (labels == code)].mean()), 4)
        for code, name in enumerate(training.names)
        if (fair & (labels == code)).any()
    }
    return {
        "balanced_accuracy": round(float(np.mean(list(per_class.values()))), 4),
        "per_class": per_class,
        "samples": int(fair.sum()),
        "groups": len(np.unique(groups[fair])),
        "note": "From the training samples, each place left out in turn. An indication to steer by, "
        "not the accuracy of the map: that takes a random sample of the map.",
    }


def _folds(groups: NDArray[np.intp], most: int) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield number, count and the (G,) mask of the samples left out, each group in one fold."""
    places = np.unique(groups)
    count = min(most, len(places))
    fold_of = np.random.default_rng(0).permutation(len(places)) % count
    for number in range(count):
        yield number, count, fold_of[np.searchsorted(places, groups)] == number


def _moments(training: Training, x: NDArray[np.float64], members: NDArray[np.bool_]) -> Moments:
    rows = members[training.samples]
    labels = training.sample_labels[members]
    observations = np.bincount(labels, training.observations[members], minlength=len(training.names)).astype(float)
    return Moments.of(x[rows], training.labels[rows], training.weights[rows], observations)


def _stretch(training: Training, scale: float) -> NDArray[np.float64]:
    return np.repeat(_scales(training, scale), [values.shape[1] for values in training.features])


def _scales(training: Training, scale: float) -> NDArray[np.float64]:
    return np.array([1.0 if level < training.base else scale for level in range(len(training.features))])


def _logits(fitted: Weights, x: NDArray[np.float64]) -> NDArray[np.float64]:
    w, b = fitted
    return np.asarray(x @ w.T + b)
