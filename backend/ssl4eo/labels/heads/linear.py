# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear heads: shared-covariance discriminant analysis and logistic regression, from weighted training pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.labels.training import LevelScaling

__all__ = [
    "NEVER",
    "RIDGE",
    "LinearHead",
    "Moments",
    "Shrinkage",
    "Weights",
    "fit_lda",
    "fit_logistic",
    "shrinkage",
    "shrinkage_of",
    "to_levels",
]

# Strength of the ridge. Wang et al. 2024 (ICLR, "A hard-to-beat baseline for training-free CLIP-based adaptation")
# take the estimator of Kubokawa and Srivastava 2008, which is 1; 0.3 is at or near the best on pixels of six real
# scenes with 2 to 10 samples per class (docs/few-shot-heads.md).
RIDGE = 0.3
# Far below any logit that a class with samples can get.
NEVER = -1e9

# (K, D) weights and (K,) bias.
Weights = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True)
class LinearHead:
    """A classifier as one linear map per level: logits(x, y) = bias + sum over levels of sample(weights[l] f_l, x, y).

    Softmax of the logits ranks pixels, but is not a calibrated probability.

    Attributes:
        names: K class names.
        weights: per level (K, C_level) float32, or None for a level that takes no part.
        shifts: per level (K,) float32, what makes a level's mean contribute nothing.
        bias: (K,) float32.
    """

    names: tuple[str, ...]
    weights: tuple[NDArray[np.float32] | None, ...]
    shifts: tuple[NDArray[np.float32], ...]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Moments:
    """What discriminant analysis needs of weighted pixels; moments of disjoint sets add and subtract.

    Attributes:
        counts: (K,) sums of weights.
        squares: sum of squared weights per class (K,).
        sums: (K, D).
        products: (D, D), sum of w x x'.
        observations: (K,) independent observations.
    """

    counts: NDArray[np.float64]
    squares: NDArray[np.float64]
    sums: NDArray[np.float64]
    products: NDArray[np.float64]
    observations: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        x: NDArray[np.float64],
        labels: NDArray[np.intp],
        weights: NDArray[np.float64],
        observations: NDArray[np.float64],
    ) -> Moments:
        """Sum up pixels.

        Args:
            x: (N, D) features.
            labels: (N,) class indices.
            weights: (N,).
            observations: (K,) independent observations per class.
        """
        classes = len(observations)
        member = np.zeros((classes, len(labels)))
        member[labels, np.arange(len(labels))] = weights
        squares = np.asarray(np.bincount(labels, weights**2, minlength=classes), np.float64)
        return cls(member.sum(axis=1), squares, member @ x, (x * weights[:, None]).T @ x, observations)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.counts + other.counts,
            self.squares + other.squares,
            self.sums + other.sums,
            self.products + other.products,
            self.observations + other.observations,
        )

    def __sub__(self, other: Moments) -> Moments:
        return Moments(
            self.counts - other.counts,
            self.squares - other.squares,
            self.sums - other.sums,
            self.products - other.products,
            self.observations - other.observations,
        )

    def scaled(self, scale: NDArray[np.float64]) -> Moments:
        """Return the moments of x * scale, with scale (D,)."""
        products = self.products * scale[:, None] * scale
        return Moments(self.counts, self.squares, self.sums * scale, products, self.observations)


@dataclass(frozen=True)
class Shrinkage:
    """How discriminant analysis inverts its covariance: gain * (W + penalty I)^-1, W the scatter within classes.

    Attributes:
        penalty: on the scatter's scale.
        gain: what makes it the inverse of a covariance.
        own: whether the scatter takes part; without it the head is the nearest mean.
    """

    penalty: float
    gain: float
    own: bool


def shrinkage(
    counts: NDArray[np.float64],
    squares: NDArray[np.float64],
    observations: NDArray[np.float64],
    trace: float,
    size: int,
    ridge: float = RIDGE,
) -> Shrinkage:
    """Shrink the covariance S within classes towards the identity: (nu S + ridge tr(S) I) / (nu + ridge D).

    nu are the degrees of freedom: the more samples, the more of their own covariance. With one sample per class, or
    identical ones, any positive number gives the nearest mean.

    Args:
        counts: (K,) sums of weights.
        squares: (K,) sums of squared weights.
        observations: (K,) independent observations.
        trace: of the scatter.
        size: D.
        ridge: strength.
    """
    present = counts > 1e-9
    # Unbiased for unequal weights: the weights' own share is what estimating the means used up.
    divisor = float(counts.sum() - (np.where(present, squares, 0) / np.where(present, counts, 1)).sum())
    nu = max(float(observations[present].sum() - present.sum()), 0.0)
    if divisor <= 1e-9 or nu <= 0 or trace <= 1e-12 * divisor:
        return Shrinkage(1.0, float(size), own=False)
    return Shrinkage(ridge * trace / nu, divisor * (nu + ridge * size) / nu, own=True)


def fit_lda(moments: Moments, ridge: float = RIDGE, shrunk: Shrinkage | None = None) -> Weights:
    """Fit Fisher's discriminant with equal priors and a covariance shrunk towards a multiple of the identity.

    Args:
        moments: of the pixels.
        ridge: strength of the ridge.
        shrunk: take the shrinkage of these instead, for a part of the pixels that it was found for.

    Returns:
        (K, D) weights and (K,) bias; a class without samples never wins.
    """
    present = moments.counts > 1e-9
    counts = np.where(present, moments.counts, 1)
    means = np.where(present[:, None], moments.sums / counts[:, None], 0)
    scatter = moments.products - (means * moments.counts[:, None]).T @ means
    if shrunk is None:
        shrunk = shrinkage_of(moments, ridge, float(np.trace(scatter)))
    matrix = scatter if shrunk.own else np.zeros_like(scatter)
    matrix.flat[:: len(matrix) + 1] += shrunk.penalty
    factor = linalg.cho_factor(matrix, lower=True, check_finite=False)
    weights = shrunk.gain * linalg.cho_solve(factor, means.T, check_finite=False).T
    return weights, np.where(present, -0.5 * (weights * means).sum(axis=1), NEVER)


def shrinkage_of(moments: Moments, ridge: float = RIDGE, trace: float | None = None) -> Shrinkage:
    """Return the shrinkage of pixels by their moments."""
    if trace is None:
        counts = np.where(moments.counts > 1e-9, moments.counts, 1)
        trace = float(np.trace(moments.products) - ((moments.sums**2).sum(axis=1) / counts).sum())
    size = len(moments.products)
    return shrinkage(moments.counts, moments.squares, moments.observations, trace, size, ridge)


def fit_logistic(
    x: NDArray[np.float64], labels: NDArray[np.intp], weights: NDArray[np.float64], classes: int, c: float
) -> Weights:
    """Fit multinomial logistic regression with an L2 penalty, all classes counting the same.

    Args:
        x: (N, D) features.
        labels: (N,) class indices; classes may be absent.
        weights: (N,) of the pixels before balancing.
        classes: K.
        c: inverse strength of the penalty, as scikit-learn's C for one weight unit per sample.

    Returns:
        (K, D) weights and (K,) bias; a class without samples never wins.
    """
    totals = np.bincount(labels, weights, minlength=classes)
    present = np.flatnonzero(totals > 0)
    balanced = weights * totals.sum() / (len(present) * totals[labels])
    w, b = np.zeros((classes, x.shape[1])), np.full(classes, float(NEVER))
    if len(present) == 1:
        b[present] = 0
        return w, b
    basis = np.eye(x.shape[1])
    if len(x) < x.shape[1]:
        # The penalty keeps the weights in the span of the samples: same solution, far fewer dimensions.
        basis = np.linalg.svd(x, full_matrices=False)[2]
    model = LogisticRegression(C=c, max_iter=500)
    with warnings.catch_warnings():
        # 500 steps are plenty for a ranking of classes; the last digits of the likelihood change no pixel.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x @ basis.T, labels, sample_weight=balanced)
    coefficients = model.coef_ @ basis
    if len(present) == 2:
        # scikit-learn gives one row: the logit of the second class against the first.
        w[present[1]], b[present] = coefficients[0], [0, model.intercept_[0]]
    else:
        w[present], b[present] = coefficients, model.intercept_
    return w, b


def to_levels(
    fitted: Weights, names: tuple[str, ...], scalings: list[LevelScaling], scales: NDArray[np.float64]
) -> LinearHead:
    """Turn weights over the scaled, stacked features into one map per level on the stored values.

    Args:
        fitted: (K, D) weights and (K,) bias over the levels' features times `scales`, stacked.
        names: K class names.
        scalings: how each level's features were centred and scaled.
        scales: one number per level; 0 leaves a level out.
    """
    stacked, bias = fitted
    ends = np.cumsum([len(scaling.mean) for scaling in scalings])[:-1]
    weights: list[NDArray[np.float32] | None] = []
    shifts = []
    for part, scaling, scale in zip(np.split(stacked, ends, axis=1), scalings, scales, strict=True):
        full = part * scaling.gain * scale
        weights.append(full.astype(np.float32) if scale > 0 else None)
        shifts.append((-full @ scaling.mean).astype(np.float32))
    return LinearHead(names, tuple(weights), tuple(shifts), np.maximum(bias, -1e9).astype(np.float32))
