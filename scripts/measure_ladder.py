# SPDX-License-Identifier: GPL-2.0-or-later
"""Is there a better head for one, ten or fifty samples per class? Covariances and logistic regression, beside LDA.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_ladder.py ../shared/data build/heads [--draws 40]

Scenes, draws and scores are those of measure_heads.py; docs/few-shot-heads.md has the table. Every covariance is also
tried as (a S + (1 - a) C) with a = n / (n + n0), S that of the n samples per class within their classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measure_heads import SOURCES, Pool, draws, read_pool, training_of
from scipy import linalg
from ssl4eo.features import FeatureSet
from ssl4eo.labels.heads.linear import RIDGE, Moments, fit_lda
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.training import LevelScaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOTS = (1, 2, 5, 10, 20, 50)
# Pixels of the scene that its covariances come from, and how far the second pixel of a difference is away.
_PIXELS, _LAG = 6000, 3
# Strength of the ridge on a covariance of the scene, as a share of its mean variance.
_RIDGES = (0.1, 1.0, 10.0)
_BLENDS = (2, 5, 20)
# Logistic regression is slow, and no rival with few samples (measure_heads.py has it there).
_LOGISTIC_FROM = 10


def covariances(pool: Pool, features: FeatureSet, columns: int) -> dict[str, NDArray[np.float64]]:
    """Return covariances (D, D) of the first columns: of the whole scene, and of pixels close to each other."""
    rng, grid = np.random.default_rng(0), features.grid
    here = np.floor(rng.uniform(0, 1, (_PIXELS, 2)) * [grid.width, grid.height]) + 0.5
    angle = rng.uniform(0, 2 * np.pi, _PIXELS)
    there = np.floor(here + _LAG * np.stack([np.cos(angle), np.sin(angle)], axis=1)) + 0.5
    near = np.clip(there, 0.5, [grid.width - 0.5, grid.height - 0.5])
    first, second = (_scaled(pool, features, at)[:, :columns] for at in (here, near))
    both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    apart = (first - second)[both]
    return {"scene": np.cov(first[both].T), "neighbours": apart.T @ apart / (2 * len(apart))}


def _scaled(pool: Pool, features: FeatureSet, places: NDArray[np.float64]) -> NDArray[np.float64]:
    values = features.sample(*features.grid.xy(places[:, 0], places[:, 1]))
    return np.concatenate([(v - s.mean) * s.gain for v, s in zip(values, pool.scalings, strict=True)], axis=1)


def whitened(x: NDArray[np.float64], covariance: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Return x in coordinates in which covariance + ridge is the identity."""
    size = len(covariance)
    factor = linalg.cholesky(covariance + ridge * np.trace(covariance) / size * np.eye(size), lower=True)
    return np.asarray(linalg.solve_triangular(factor, x.T, lower=True).T)


def blended(x: NDArray[np.float64], labels: NDArray[np.intp], shots: int, n0: int) -> tuple[NDArray[np.float64], ...]:
    """Return weights and bias with the covariance a S + (1 - a) I."""
    moments = _moments(x, labels)
    means = moments.sums / moments.counts[:, None]
    scatter = moments.products - (means * moments.counts[:, None]).T @ means
    share = shots / (shots + n0) if shots > 1 else 0.0
    covariance = share * scatter / max(len(x) - len(means), 1) + (1 - share) * np.eye(x.shape[1])
    weights = linalg.solve(covariance, means.T, assume_a="pos").T
    return weights, -0.5 * (weights * means).sum(axis=1)


def _moments(x: NDArray[np.float64], labels: NDArray[np.intp]) -> Moments:
    return Moments.of(x, labels, np.ones(len(x)), np.bincount(labels).astype(float))


def heads(
    pool: Pool, spaces: dict[str, NDArray[np.float64]], train: NDArray[np.intp], shots: int
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Yield name, features of all pixels, weights and bias of every head on the pixel levels."""
    labels = pool.labels[train]
    for name, x in spaces.items():
        for ridge in (RIDGE, 1.0):
            yield f"{name}, ridge {ridge:g}", x, *fit_lda(_moments(x[train], labels), ridge)
        for n0 in _BLENDS if name != "samples" else ():
            yield f"{name}, n0 = {n0}", x, *blended(x[train], labels, shots, n0)
    if shots >= _LOGISTIC_FROM:
        plain = [_one(level.shape[1]) for level in pool.features[: pool.base]]
        head = fit_head(training_of(pool, train, pool.base), plain, pool.strides[: pool.base], "logistic").head
        weights = np.concatenate([part for part in head.weights if part is not None], axis=1)
        yield "logistic", spaces["samples"], weights, head.bias


def _one(size: int) -> LevelScaling:
    return LevelScaling(np.zeros(size), np.ones(size))


def measure(pool: Pool, features: FeatureSet, count: int) -> dict[tuple[str, int], float]:
    """Return by head and samples per class the mean balanced accuracy over draws, the pixel levels alone."""
    x = np.concatenate(pool.features[: pool.base], axis=1)
    varies = x.std(axis=0) > 0
    spaces = {"samples": x}
    for name, covariance in covariances(pool, features, x.shape[1]).items():
        for ridge in _RIDGES:
            spaces[f"{name} + {ridge:g}"] = whitened(x[:, varies], covariance[np.ix_(varies, varies)], ridge)
    found: dict[tuple[str, int], list[float]] = {}
    for shots in SHOTS:
        for train, test in draws(pool, shots, count):
            labels = pool.labels[test]
            for name, space, weights, bias in heads(pool, spaces, train, shots):
                hit = (space[test] @ weights.T + bias).argmax(axis=1) == labels
                score = float(np.mean([hit[labels == code].mean() for code in np.unique(labels)]))
                found.setdefault((name, shots), []).append(score)
    return {key: float(np.mean(values)) for key, values in found.items()}


def main() -> None:
    """Measure all scenes and print the difference to LDA of each head, mean and worst scene, in points."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("build", type=Path, help="where feature sets are kept")
    parser.add_argument("--draws", type=int, default=40)
    arguments = parser.parse_args()
    scenes = []
    for name, source in SOURCES.items():
        pool, _ = read_pool(source, arguments.data, arguments.build / name)
        scenes.append(measure(pool, FeatureSet.open(arguments.build / name), arguments.draws))
    reference = f"samples, ridge {RIDGE:g}"
    print("| covariance |", " | ".join(map(str, SHOTS)), "|")
    print("|---|" + "---|" * len(SHOTS))
    for name in dict.fromkeys(name for scene in scenes for name, _ in scene):
        cells = []
        for shots in SHOTS:
            gains = [100 * (scene[name, shots] - scene[reference, shots]) for scene in scenes if (name, shots) in scene]
            cells.append(f"{np.mean(gains):+.1f} ({min(gains):+.1f})" if gains else "")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
