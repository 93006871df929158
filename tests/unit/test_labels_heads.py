# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear heads against hand-computed and scikit-learn's, and the scale of the deep levels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from ssl4eo.errors import InputError
from ssl4eo.labels.heads.linear import Moments, fit_lda, fit_logistic, to_levels
from ssl4eo.labels.heads.selection import SCALES, _errors, fit_head
from ssl4eo.labels.training import LevelScaling, Training


def _gaussians(classes: int, size: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    mixing = rng.normal(size=(size, size))
    return rng.normal(size=(classes, size))[labels] * 2 + rng.normal(size=(count, size)) @ mixing, labels


def _points(x: np.ndarray, labels: np.ndarray) -> Moments:
    return Moments.of(x, labels, np.ones(len(x)), np.bincount(labels).astype(float))


def test_lda_without_ridge_is_fishers() -> None:
    x, labels = _gaussians(4, 5, 400)
    weights, bias = fit_lda(_points(x, labels), ridge=0)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(4, 0.25)).fit(x, labels)
    ours = log_softmax(x @ weights.T + bias, axis=1)
    # scikit-learn divides the scatter by n, ours by n - classes.
    theirs = log_softmax(reference.decision_function(x) * (400 - 4) / 400, axis=1)
    # The constant of equal priors falls out of the softmax.
    np.testing.assert_allclose(ours, log_softmax(theirs, axis=1), atol=0.05)
    np.testing.assert_array_equal(ours.argmax(axis=1), reference.predict(x))


def test_lda_by_hand() -> None:
    # Classes at 0 and 4 on the first axis, each with scatter +-1 on it and none on the second axis.
    x = np.array([[-1.0, 0], [1, 0], [3, 0], [5, 0]])
    weights, bias = fit_lda(_points(x, np.array([0, 0, 1, 1])), ridge=0.5)
    # nu = 2, S = diag(2, 0), tr = 2, D = 2: covariance = (2 S + 0.5 * 2 I) / (2 + 0.5 * 2) = diag(5, 1) / 3.
    np.testing.assert_allclose(weights, [[0, 0], [4 * 3 / 5, 0]], atol=1e-12)
    np.testing.assert_allclose(bias, [0, -0.5 * 4 * 4 * 3 / 5])


def test_one_sample_per_class_is_the_nearest_mean() -> None:
    x, labels = _gaussians(3, 6, 3)
    weights, bias = fit_lda(_points(x, labels))
    other = np.random.default_rng(1).normal(size=(50, 6)) * 3
    nearest = ((other[:, None] - x[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal((other @ weights.T + bias).argmax(axis=1), nearest)


def test_moments_of_a_part_can_be_taken_away() -> None:
    x, labels = _gaussians(3, 4, 60)
    w = np.random.default_rng(0).uniform(0.1, 1, 60)
    every = Moments.of(x, labels, w, np.array([20.0, 20, 20]))
    part = Moments.of(x[:12], labels[:12], w[:12], np.array([4.0, 4, 4]))
    rest = Moments.of(x[12:], labels[12:], w[12:], np.array([16.0, 16, 16]))
    for one, other in zip(fit_lda(every - part), fit_lda(rest), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_a_polygon_counts_once_however_many_pixels() -> None:
    x, labels = _gaussians(2, 3, 40)
    alone = fit_lda(_points(x, labels))
    # The first sample becomes a polygon of 100 equal pixels of weight 1/100.
    many = np.concatenate([np.repeat(x[:1], 100, axis=0), x[1:]])
    codes = np.concatenate([np.repeat(labels[:1], 100), labels[1:]])
    weights = np.concatenate([np.full(100, 0.01), np.ones(39)])
    polygon = Moments.of(many, codes, weights, np.bincount(labels).astype(float))
    np.testing.assert_allclose(polygon.sums, _points(x, labels).sums)
    np.testing.assert_allclose(fit_lda(polygon)[0], alone[0], rtol=0.03)
    w, b = fit_logistic(many, codes, weights, 2, 1.0)
    w_alone, b_alone = fit_logistic(x, labels, np.ones(40), 2, 1.0)
    np.testing.assert_allclose(w, w_alone, atol=1e-3)
    np.testing.assert_allclose(b, b_alone, atol=1e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_is_scikit_learns_and_balanced(classes: int) -> None:
    x, labels = _gaussians(classes, 5, 120)
    labels[:40] = 0
    w, b = fit_logistic(x, labels, np.ones(120), classes, 0.5)
    reference = LogisticRegression(C=0.5, max_iter=500, class_weight="balanced").fit(x, labels)
    probability = np.exp(log_softmax(x @ w.T + b, axis=1))
    np.testing.assert_allclose(probability, reference.predict_proba(x), atol=1e-3)


def test_logistic_with_more_dimensions_than_samples_is_scikit_learns() -> None:
    x, labels = _gaussians(3, 40, 12)
    w, b = fit_logistic(x, labels, np.ones(12), 3, 0.5)
    reference = LogisticRegression(C=0.5, max_iter=5000, tol=1e-8).fit(x, labels)
    # Both stop within a tolerance of the same optimum.
    other, _ = _gaussians(3, 40, 50, seed=1)
    probability = np.exp(log_softmax(other @ w.T + b, axis=1))
    np.testing.assert_allclose(probability, reference.predict_proba(other), atol=5e-3)


@pytest.mark.parametrize("present", [[0, 2], [0, 1, 3], [1]])
def test_a_class_without_samples_never_wins(present: list[int]) -> None:
    x, _ = _gaussians(4, 5, 60)
    labels = np.array(present)[np.arange(60) % len(present)]
    observations = np.bincount(labels, minlength=4).astype(float)
    for w, b in (
        fit_lda(Moments.of(x, labels, np.ones(60), observations)),
        fit_logistic(x, labels, np.ones(60), 4, 1.0),
    ):
        assert set((x @ w.T + b).argmax(axis=1)) <= set(present)


def test_maps_per_level_give_the_logits_of_the_stack() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(3, 2, (20, size)) for size in (4, 6)]
    scalings = [LevelScaling(v.mean(axis=0), rng.uniform(0.1, 2, v.shape[1])) for v in values]
    scales = np.array([1.0, 0.25])
    stack = np.concatenate(
        [(v - s.mean) * s.gain * scale for v, s, scale in zip(values, scalings, scales, strict=True)], axis=1
    )
    w, b = rng.normal(size=(3, 10)), rng.normal(size=3)
    head = to_levels((w, b), ("a", "b", "c"), scalings, scales)
    logits = head.bias + sum(
        v @ weights.T + shift for v, weights, shift in zip(values, head.weights, head.shifts, strict=True)
    )
    np.testing.assert_allclose(logits, stack @ w.T + b, atol=1e-4)
    assert to_levels((w, b), ("a", "b", "c"), scalings, np.array([1.0, 0])).weights[1] is None


def _training(rng: np.random.Generator, count: int, deep: str, classes: int = 3) -> tuple[Training, np.ndarray]:
    """Return training points far from each other: level 0 says a little, the deep level all or nothing."""
    labels = np.arange(count) % classes
    level_0 = np.eye(classes, 8)[labels] * 1.2 + rng.normal(size=(count, 8))
    signal = np.eye(classes, 32)[labels] * (12 if deep == "informative" else 0)
    level_1 = (signal + rng.normal(size=(count, 32))) / 6
    places = np.stack([np.arange(count) * 100.0, np.zeros(count)], axis=1)
    ones = np.ones(count)
    names = tuple("abcdefgh"[:classes])
    training = Training(names, (level_0 / 3, level_1), labels, np.arange(count), ones, ones, places, ())
    return training, labels


PLAIN = [LevelScaling(np.zeros(8), np.ones(8)), LevelScaling(np.zeros(32), np.ones(32))]


def _accuracy(training: Training, rng: np.random.Generator, deep: str, method: str, *, alone: bool) -> float:
    fitted = fit_head(training, PLAIN, [1, 32], method)
    if alone:
        only = Training(**{**training.__dict__, "features": training.features[:1]})
        fitted = fit_head(only, PLAIN[:1], [1], method)
    test, labels = _training(rng, 600, deep)
    logits = fitted.head.bias + sum(
        x @ w.T for x, w in zip(test.features, fitted.head.weights, strict=False) if w is not None
    )
    return float((logits.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("method", ["lda", "logistic"])
def test_noise_in_deep_levels_does_not_pull_the_map_below_level_0(method: str) -> None:
    losses = []
    for seed in range(12 if method == "lda" else 5):
        training, _ = _training(np.random.default_rng(seed), 18, "noise")
        both, alone = (
            _accuracy(training, np.random.default_rng(seed + 1000), "noise", method, alone=alone)
            for alone in (False, True)
        )
        losses.append(alone - both)
    assert np.mean(losses) < 0.01
    assert np.median(losses) == 0


@pytest.mark.parametrize("method", ["lda", "logistic"])
def test_deep_levels_that_know_more_are_heard(method: str) -> None:
    training, _ = _training(np.random.default_rng(0), 30, "informative")
    both, alone = (
        _accuracy(training, np.random.default_rng(1000), "informative", method, alone=alone) for alone in (False, True)
    )
    assert both > alone + 0.1


def test_what_neighbours_give_away_is_not_believed() -> None:
    """A deep level that only tells places apart looks perfect when neighbours stay in, and is worth nothing."""
    rng = np.random.default_rng(0)
    training, labels = _training(rng, 60, "noise")
    place = np.arange(60) // 6
    codes = rng.normal(size=(10, 32))[place]
    clustered = Training(
        **{
            **training.__dict__,
            "labels": place % 3,
            "features": (training.features[0], codes),
            "places": np.stack([place * 100.0 + np.arange(60) % 6, np.zeros(60)], axis=1),
        }
    )
    assert fit_head(clustered, PLAIN, [1, 32], "lda").scales == (1.0, 0.0)
    apart = Training(**{**clustered.__dict__, "places": training.places})
    assert fit_head(apart, PLAIN, [1, 32], "lda").scales[1] > 0
    assert labels.max() == 2


def test_too_few_places_to_judge_means_level_0_alone() -> None:
    training, _ = _training(np.random.default_rng(0), 3, "informative")
    fitted = fit_head(training, PLAIN, [1, 32], "auto")
    assert fitted.scales == (1.0, 0.0)
    assert fitted.indication is None


@pytest.mark.parametrize("method", ["lda", "logistic"])
def test_all_levels_of_the_base_are_in_and_the_others_are_measured_against_them(method: str) -> None:
    """What a third level repeats of the second one gains nothing over the base, though it gains much over level 0."""
    plain = [*PLAIN, PLAIN[1]]
    training, _ = _training(np.random.default_rng(0), 30, "informative")
    repeated = (*training.features, training.features[1])
    for base, scales in ((2, (1.0, 1.0, 0.0)), (1, None)):
        given = Training(**{**training.__dict__, "features": repeated, "base": base})
        fitted = fit_head(given, plain, [1, 4, 32], method)
        assert [weights is None for weights in fitted.head.weights] == [scale == 0 for scale in fitted.scales]
        if scales is not None:
            assert fitted.scales == scales
        else:
            assert fitted.scales[1] == fitted.scales[2] > 0


def test_the_indication_is_called_one() -> None:
    training, _ = _training(np.random.default_rng(0), 30, "informative")
    fitted = fit_head(training, PLAIN, [1, 32])
    assert fitted.indication is not None
    assert set(fitted.indication["per_class"]) == {"a", "b", "c"}
    assert fitted.indication["samples"] == 30
    assert 0.8 < fitted.indication["balanced_accuracy"] <= 1
    assert "indication" in fitted.indication["note"]
    assert fitted.scales[1] in SCALES


def test_an_unknown_head_is_refused() -> None:
    training, _ = _training(np.random.default_rng(0), 6, "noise")
    with pytest.raises(InputError, match="There is no head 'tree'; choose one of: auto, lda, logistic"):
        fit_head(training, PLAIN, [1, 32], "tree")


def test_few_places_must_show_more() -> None:
    """As rare by chance as 1.5 standard errors of many: Student's t distribution, from its table for 3 and 19."""
    assert _errors(4) == pytest.approx(2.04, abs=0.01)
    assert _errors(20) == pytest.approx(1.57, abs=0.01)
    assert _errors(100_000) == pytest.approx(1.5, abs=1e-3)
