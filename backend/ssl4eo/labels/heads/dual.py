# SPDX-License-Identifier: GPL-2.0-or-later
"""Discriminant analysis from the products of the training pixels alone, and what it says of pixels left out.

With N pixels in D dimensions the primal way inverts a D x D matrix for each fold and each scale of the levels. Where N
is not much larger than D it is far cheaper to work with the N x N products of the pixels. Let P be the pixels times the
roots of their weights, R = (P P' + lambda I)^-1, J (N, K) the root of each pixel's weight in the column of its class,
Y = R J and T = J' Y. Then, by the identities of Woodbury and of the blockwise inverse,

- the discriminant's weights (W + lambda I)^-1 m_k, with W the scatter within classes and m_k their means, are the
  columns of P' Y T^-1 / lambda, and m_k' (W + lambda I)^-1 m_k = (T^-1)_kk / lambda - 1 / (weight of class k);
- without the pixels F it is T_F = T - Y_F' R_FF^-1 Y_F, and the pixels F get (J_F - R_FF^-1 Y_F) T_F^-1 / lambda over
  the roots of their weights.

So one inverse per scale serves every fold. lambda stays that of all pixels, as in generalised cross-validation (Golub,
Heath and Wahba 1979, doi:10.1080/00401706.1979.10489751).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import blas, lapack

from ssl4eo.labels.heads.linear import NEVER, RIDGE, Shrinkage, Weights, shrinkage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Folds", "Products"]


class Folds:
    """Pixels that are left out together, brought to one size so that all folds are solved at once.

    Attributes:
        rows: (F, m) pixels; a fold is filled up with the first pixel.
        real: (F, m) whether an entry is one of the fold.
        cells: rows and columns (F, m, m) of the products of each fold's pixels, in the lower triangle.
    """

    def __init__(self, folds: Sequence[NDArray[np.intp]]) -> None:
        size = max(map(len, folds), default=0)
        self.rows = np.zeros((len(folds), size), np.intp)
        self.real = np.arange(size) < np.array([len(fold) for fold in folds], np.intp)[:, None]
        for row, fold in zip(self.rows, folds, strict=True):
            row[: len(fold)] = fold
        pairs = self.rows[:, :, None], self.rows[:, None, :]
        self.cells = np.maximum(*pairs), np.minimum(*pairs)


class Products:
    """Training pixels as their products, apart for the base and for the other levels."""

    def __init__(
        self,
        x: NDArray[np.float64],
        labels: NDArray[np.intp],
        weights: NDArray[np.float64],
        observations: NDArray[np.float64],
        columns: int,
        ridge: float = RIDGE,
    ) -> None:
        """Multiply the pixels with each other.

        Args:
            x: (N, D) features.
            labels: (N,) class indices.
            weights: (N,).
            observations: (K,) independent observations per class.
            columns: how many columns of `x`, the first ones, are the base's.
            ridge: strength of the ridge.
        """
        roots = np.sqrt(weights)
        self._members = np.zeros((len(x), len(observations)))
        self._members[np.arange(len(x)), labels] = roots
        self._rows, self._columns, self._ridge = x * roots[:, None], columns, ridge
        self._observations = observations
        self._counts = np.bincount(labels, weights, minlength=len(observations)).astype(float)
        self._squares = np.bincount(labels, weights**2, minlength=len(observations)).astype(float)
        parts = self._rows[:, :columns], self._rows[:, columns:]
        self._grams = [part @ part.T for part in parts]
        # The trace of the scatter within classes, of the base and of the rest.
        self._traces = [
            float(np.trace(gram) - self._between(part)) for gram, part in zip(self._grams, parts, strict=True)
        ]
        self._solved: dict[float, _Solved] = {}

    def fit(self, scale: float) -> Weights:
        """Return weights (K, D) on the pixels, the other levels times `scale`, and bias (K,), as `fit_lda` does."""
        shrunk = self._shrunk(scale)
        stretched = self._rows.copy()
        stretched[:, self._columns :] *= scale
        if not shrunk.own:
            present = self._counts > 0
            means = self._members.T @ stretched / np.where(present, self._counts, 1)[:, None]
            weights = shrunk.gain * means
            return weights, np.where(present, -0.5 * (weights * means).sum(axis=1), NEVER)
        solved = self._solve(scale)
        core = _invert(solved.core, self._counts <= 0)
        weights = shrunk.gain / shrunk.penalty * core @ (solved.voted.T @ stretched)
        return weights, _bias(core, self._counts, shrunk)

    def left_out(self, scale: float, folds: Folds) -> NDArray[np.float64]:
        """Return logits (N, K) of each pixel by the head of the pixels outside its fold; -inf for one in no fold."""
        logits = np.full(self._members.shape, -np.inf)
        shrunk = self._shrunk(scale)
        solved, real = self._solve(scale), folds.real
        own = self._members[folds.rows] * real[..., None]
        block = solved.inverse[folds.cells] * (real[:, :, None] & real[:, None, :])
        step = np.arange(real.shape[1])
        block[:, step, step] += ~real
        votes = solved.voted[folds.rows] * real[..., None]
        answers = np.linalg.solve(block, votes)
        counts = self._counts - (own**2).sum(axis=1)
        absent = counts <= 1e-9
        core = _invert(solved.core - votes.transpose(0, 2, 1) @ answers, absent)
        root = np.where(real, own.sum(axis=2), 1)[..., None]
        found = shrunk.gain / shrunk.penalty * (own - answers) @ core / root + _bias(core, counts, shrunk)[:, None]
        logits[folds.rows[real]] = np.where(absent[:, None], NEVER, found)[real]
        return logits

    def _between(self, part: NDArray[np.float64]) -> float:
        sums = self._members.T @ part
        return float(((sums**2).sum(axis=1) / np.where(self._counts > 0, self._counts, 1)).sum())

    def _shrunk(self, scale: float) -> Shrinkage:
        trace = self._traces[0] + scale**2 * self._traces[1]
        return shrinkage(self._counts, self._squares, self._observations, trace, self._rows.shape[1], self._ridge)

    def _solve(self, scale: float) -> _Solved:
        if scale not in self._solved:
            gram = self._grams[0] + scale**2 * self._grams[1]
            gram.flat[:: len(gram) + 1] += self._shrunk(scale).penalty
            factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
            if failed:
                raise np.linalg.LinAlgError("The products of the training pixels are not positive definite.")
            inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
            voted = blas.dsymm(1.0, inverse, self._members, lower=1)
            self._solved[scale] = _Solved(inverse, voted, self._members.T @ voted)
        return self._solved[scale]


@dataclass(frozen=True)
class _Solved:
    """R (N, N), of which only the lower triangle counts, Y (N, K) and T (K, K)."""

    inverse: NDArray[np.float64]
    voted: NDArray[np.float64]
    core: NDArray[np.float64]


def _invert(core: NDArray[np.float64], absent: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return inverses (..., K, K) in which classes without pixels (..., K) take no part."""
    there = ~absent
    kept = np.where(there[..., :, None] & there[..., None, :], core, 0)
    step = np.arange(core.shape[-1])
    kept[..., step, step] += absent
    return np.asarray(np.linalg.inv(kept))


def _bias(core: NDArray[np.float64], counts: NDArray[np.float64], shrunk: Shrinkage) -> NDArray[np.float64]:
    """Return the bias (..., K) of each class from the inverse of T (..., K, K) and the weights of the classes."""
    present = counts > 1e-9
    lengths = np.diagonal(core, axis1=-2, axis2=-1) / shrunk.penalty - 1 / np.where(present, counts, 1)
    return np.where(present, -0.5 * shrunk.gain * lengths, NEVER)
