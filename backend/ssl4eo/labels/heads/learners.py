# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways to learn a linear head, each with what it says of places left out, at any scale of the other levels."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ssl4eo.labels.heads.dual import Folds, Products
from ssl4eo.labels.heads.leaveout import split_groups
from ssl4eo.labels.heads.linear import RIDGE, Moments, Weights, fit_lda, fit_logistic, shrinkage_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.labels.heads.leaveout import Questions
    from ssl4eo.labels.training import Training

__all__ = ["Learner", "Logistic", "discriminant", "level_scales"]

# Inverse penalties of logistic regression that are tried.
_PENALTIES = (1.0, 10.0, 100.0)
# Places left out in turn; with more places, several go together.
_FOLDS = 20
# Where each fold is a fit of its own: fewer, and for logistic regression of fewer pixels.
_DIRECT_FOLDS, _LOGISTIC_PIXELS = 10, 2000
# Up to so many pixels per dimension their products are cheaper than the covariance.
_DUAL = 2
# Up to so many observations in the middle one of the classes, neighbouring pixels tell more of the covariance within
# classes than the samples do; and the strength of the ridge then (docs/few-shot-heads.md).
_FEW, _FEW_RIDGE = 2, 1.0


class Learner(Protocol):
    """A way to learn weights on the scaled features of all levels side by side."""

    @property
    def settings(self) -> dict[str, Any]:
        """Of the method, for reports."""
        ...

    def left_out(self, scale: float) -> NDArray[np.float64]:
        """Return logits (N, K) by heads that have not seen the place of a pixel."""
        ...

    def fit(self, scale: float) -> Weights:
        """Return weights (K, D), for features of which the levels beyond the base are times `scale`, and bias (K,)."""
        ...


def discriminant(questions: Questions, metric: NDArray[np.float64] | None) -> Learner:
    """Return linear discriminant analysis, by the products of the pixels or, where there are many, their covariance.

    With one or two samples per class the covariance within classes is that of neighbouring pixels, which `metric`
    makes the identity; beyond, it is that of the samples.

    Args:
        questions: the training pixels.
        metric: of `LevelScaling`, on the columns of the base.
    """
    training = questions.training
    seen = _observations(training, np.ones(len(training.places), bool))
    x = np.concatenate(training.features, axis=1)
    make = _Covariances if len(x) > _DUAL * x.shape[1] else _Products
    if metric is None or np.median(seen[seen > 0]) > _FEW:
        return make(questions, x, RIDGE)
    columns = len(metric)
    turned = np.concatenate([x[:, :columns] @ metric, x[:, columns:]], axis=1)
    return _Turned(make(questions, turned, _FEW_RIDGE), metric)


class _Turned:
    """A learner on features of which the base is multiplied by a matrix, with weights for the features before."""

    def __init__(self, learner: Learner, metric: NDArray[np.float64]) -> None:
        self._learner, self._metric = learner, metric
        self.settings = {**learner.settings, "covariance": "of neighbouring pixels"}

    def left_out(self, scale: float) -> NDArray[np.float64]:
        return self._learner.left_out(scale)

    def fit(self, scale: float) -> Weights:
        weights, bias = self._learner.fit(scale)
        columns = len(self._metric)
        return np.concatenate([weights[:, :columns] @ self._metric.T, weights[:, columns:]], axis=1), bias


class _Products:
    """Discriminant analysis by the products of the pixels (`dual`)."""

    def __init__(self, questions: Questions, x: NDArray[np.float64], ridge: float) -> None:
        training = questions.training
        self.settings: dict[str, Any] = {"ridge": ridge}
        seen = _observations(training, np.ones(len(training.places), bool))
        self._products = Products(x, training.labels, training.weights, seen, _columns(training), ridge)
        masks = split_groups(training, questions.groups, _FOLDS)
        self._folds = Folds([np.flatnonzero(mask[training.samples]) for mask in masks])

    def left_out(self, scale: float) -> NDArray[np.float64]:
        return self._products.left_out(scale, self._folds)

    def fit(self, scale: float) -> Weights:
        return self._products.fit(scale)


class _Covariances:
    """Discriminant analysis by the covariance of the pixels, with the shrinkage of all of them, as `dual` has it."""

    def __init__(self, questions: Questions, x: NDArray[np.float64], ridge: float) -> None:
        training = self._training = questions.training
        self.settings: dict[str, Any] = {"ridge": ridge}
        self._x, self._ridge = x, ridge
        self._parts = []
        for mask in split_groups(training, questions.groups, _DIRECT_FOLDS):
            rows, seen = mask[training.samples], _observations(training, mask)
            moments = Moments.of(x[rows], training.labels[rows], training.weights[rows], seen)
            self._parts.append((rows, moments))
        self._every = sum((part for _, part in self._parts[1:]), self._parts[0][1])

    def left_out(self, scale: float) -> NDArray[np.float64]:
        stretch = _stretch(self._training, scale)
        every = self._every.scaled(stretch)
        shrunk = shrinkage_of(every, self._ridge)
        logits = np.full((len(self._x), len(self._training.names)), -np.inf)
        for rows, part in self._parts:
            weights, bias = fit_lda(every - part.scaled(stretch), shrunk=shrunk)
            logits[rows] = self._x[rows] @ (weights * stretch).T + bias
        return logits

    def fit(self, scale: float) -> Weights:
        return fit_lda(self._every.scaled(_stretch(self._training, scale)), self._ridge)


class Logistic:
    """Logistic regression, with the penalty that scores highest for the base on places left out."""

    def __init__(self, questions: Questions) -> None:
        """Take the training pixels; nothing is fitted yet."""
        training = self._training = questions.training
        self._questions = questions
        self._x = np.concatenate(training.features, axis=1)
        self._learn = np.zeros(len(self._x), bool)
        self._learn[np.random.default_rng(0).permutation(len(self._x))[:_LOGISTIC_PIXELS]] = True
        masks = split_groups(training, questions.groups, _DIRECT_FOLDS)
        self._folds = [mask[training.samples] for mask in masks]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The penalty, which is found on first use."""
        scores = [self._questions.score(self._left_out(0.0, c)) for c in _PENALTIES]
        means = [float(score.mean()) if len(score) else 0.0 for score in scores]
        return {"C": _PENALTIES[int(np.argmax(means))]}

    def left_out(self, scale: float) -> NDArray[np.float64]:
        """Return logits (N, K) by heads that have not seen the place of a pixel."""
        return self._left_out(scale, self.settings["C"])

    def fit(self, scale: float) -> Weights:
        """Return weights (K, D) and bias (K,)."""
        return self._fit(scale, self.settings["C"], np.ones(len(self._x), bool))

    def _left_out(self, scale: float, c: float) -> NDArray[np.float64]:
        logits = np.full((len(self._x), len(self._training.names)), -np.inf)
        for out in self._folds:
            if (self._learn & ~out).any():
                weights, bias = self._fit(scale, c, self._learn & ~out)
                logits[out] = (self._x[out] * _stretch(self._training, scale)) @ weights.T + bias
        return logits

    def _fit(self, scale: float, c: float, rows: NDArray[np.bool_]) -> Weights:
        training, stretch = self._training, _stretch(self._training, scale)
        used, classes = stretch > 0, len(training.names)
        x = (self._x * stretch)[rows][:, used]
        weights, bias = fit_logistic(x, training.labels[rows], training.weights[rows], classes, c)
        full = np.zeros((classes, self._x.shape[1]))
        full[:, used] = weights
        return full, bias


def level_scales(training: Training, scale: float) -> NDArray[np.float64]:
    """Return what each level's features are multiplied by: 1 for those of the base, `scale` for the others."""
    return np.array([1.0 if level < training.base else scale for level in range(len(training.features))])


def _stretch(training: Training, scale: float) -> NDArray[np.float64]:
    return np.repeat(level_scales(training, scale), [values.shape[1] for values in training.features])


def _columns(training: Training) -> int:
    return sum(values.shape[1] for values in training.features[: training.base])


def _observations(training: Training, members: NDArray[np.bool_]) -> NDArray[np.float64]:
    labels = training.sample_labels[members]
    return np.bincount(labels, training.observations[members], minlength=len(training.names)).astype(float)
