# SPDX-License-Identifier: GPL-2.0-or-later
"""Discriminant analysis by the products of the pixels against the direct way, and what leaving places out says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ssl4eo.errors import InputError
from ssl4eo.labels.heads.dual import Folds, Products
from ssl4eo.labels.heads.leaveout import Questions, spatial_groups, split_groups
from ssl4eo.labels.heads.linear import Moments, fit_lda, shrinkage_of
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.training import LevelScaling, Training

_SIZES = (6, 40)
_PLAIN = [LevelScaling(np.zeros(size), np.ones(size)) for size in _SIZES]


def _training(
    count: int, classes: int = 4, *, pixels: int = 1, deep: float = 0.0, shift: float = 1.5, seed: int = 0
) -> Training:
    """Return samples of `pixels` pixels each, far from each other; the deep level tells classes apart by `deep`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = []
    for size, apart in zip(_SIZES, (shift, deep), strict=True):
        middle = rng.normal(size=(classes, size))[labels] * apart + rng.normal(size=(count, size))
        x = np.repeat(middle, pixels, axis=0) + 0.3 * rng.normal(size=(count * pixels, size))
        features.append(x / np.sqrt(size))
    samples = np.repeat(np.arange(count), pixels)
    places = np.stack([np.arange(count) * 100.0, np.zeros(count)], axis=1)
    weights, seen = np.full(count * pixels, 1 / pixels), np.full(count, float(min(pixels, 3)))
    names = tuple("abcdefghij"[:classes])
    return Training(names, tuple(features), labels[samples], samples, weights, seen, places, ())


def _direct(training: Training, scale: float, folds: list[np.ndarray]) -> tuple[tuple, np.ndarray]:
    """Fit all pixels, and the rest of each fold, with D x D covariances."""
    x = np.concatenate(training.features, axis=1) * np.repeat([1.0, scale], _SIZES)

    def moments(samples: np.ndarray) -> Moments:
        rows = samples[training.samples]
        seen = np.bincount(
            training.sample_labels[samples], training.observations[samples], minlength=len(training.names)
        )
        return Moments.of(x[rows], training.labels[rows], training.weights[rows], seen)

    every = moments(np.ones(len(training.places), bool))
    logits = np.empty((len(x), len(training.names)))
    for fold in folds:
        weights, bias = fit_lda(moments(~fold), shrunk=shrinkage_of(every))
        rows = fold[training.samples]
        logits[rows] = x[rows] @ weights.T + bias
    return fit_lda(every), logits


def _products(training: Training) -> Products:
    seen = np.bincount(training.sample_labels, training.observations, minlength=len(training.names))
    x = np.concatenate(training.features, axis=1)
    return Products(x, training.labels, training.weights, seen, _SIZES[0])


def _rows(training: Training, folds: list[np.ndarray]) -> Folds:
    return Folds([np.flatnonzero(fold[training.samples]) for fold in folds])


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
@pytest.mark.parametrize(("count", "pixels"), [(12, 1), (30, 1), (12, 5)])
def test_products_give_what_covariances_give(scale: float, count: int, pixels: int) -> None:
    training = _training(count, pixels=pixels, deep=0.5)
    groups = spatial_groups(training, 250.0)
    folds = split_groups(training, groups, 5)
    (weights, bias), logits = _direct(training, scale, folds)
    made = _products(training)
    found, its_bias = made.fit(scale)
    np.testing.assert_allclose(found, weights, atol=1e-9 * np.abs(weights).max())
    np.testing.assert_allclose(its_bias, bias, atol=1e-9 * np.abs(bias).max())
    np.testing.assert_allclose(made.left_out(scale, _rows(training, folds)), logits, rtol=1e-7, atol=1e-7)


def test_a_class_that_leaves_whole_never_wins() -> None:
    training = _training(12)
    training = replace(training, labels=np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 3]))
    folds = split_groups(training, np.arange(12), 12)
    logits = _products(training).left_out(0.5, _rows(training, folds))
    np.testing.assert_allclose(logits, _direct(training, 0.5, folds)[1], rtol=1e-7, atol=1e-6)
    assert logits[11, 3] == logits[11].min() == -1e9


def test_identical_samples_are_the_nearest_mean() -> None:
    training = _training(8)
    same = tuple(np.repeat(x[:4], 2, axis=0) for x in training.features)
    training = replace(training, features=same, labels=np.repeat(np.arange(4), 2))
    fitted = fit_head(training, _PLAIN, [1, 32])
    assert fitted.indication is not None
    assert fitted.indication["balanced_accuracy"] == 1
    np.testing.assert_array_equal(fitted.says, np.repeat(np.arange(4), 2))


@pytest.mark.parametrize("pixels", [1, 40])
def test_many_and_few_pixels_choose_alike(pixels: int) -> None:
    """40 pixels per sample go by covariances, one pixel by products; the samples are the same."""
    training = _training(40, pixels=pixels, deep=2.0, shift=0.4)
    fitted = fit_head(training, _PLAIN, [1, 32])
    assert fitted.scales[1] > 0
    assert "points higher than the pixels alone" in fitted.reason
    assert fitted.indication is not None
    assert fitted.indication["balanced_accuracy"] > 0.9


def test_the_groups_of_a_class_leave_in_turn() -> None:
    training = _training(20, classes=10)
    masks = split_groups(training, np.arange(20), 5)
    assert sum(mask.sum() for mask in masks) == 20
    for mask in masks:
        assert len(set(training.sample_labels[mask].tolist())) == mask.sum()


def test_the_same_place_is_one_group() -> None:
    training = replace(_training(4), places=np.array([[10.0, 10], [20, 20], [70, 10], [10, 200]]))
    groups = spatial_groups(training, 64)
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def _questions(labels: list[int], classes: int = 2) -> Questions:
    count = len(labels)
    training = replace(
        _training(count, classes), labels=np.array(labels), places=np.stack([np.arange(count) * 100.0] * 2, axis=1)
    )
    return Questions(training, np.arange(count))


def test_the_temperature_makes_the_head_as_sure_as_it_is_right() -> None:
    """Of 400 samples three quarters are right; a softmax of 0.75 has a logit of log 3, the head's is 8 log 3."""
    labels = [0, 1] * 200
    questions = _questions(labels)
    right = np.random.default_rng(0).permutation(400) < 300
    logits = np.zeros((400, 2))
    logits[np.arange(400), np.where(right, labels, 1 - np.array(labels))] = 8 * np.log(3)
    assert questions.temperature(logits, 99.0) == pytest.approx(8, rel=0.01)


def test_a_few_easy_samples_do_not_make_it_certain() -> None:
    few, many = ([0, 1] * count for count in (2, 200))
    found = []
    for labels in (few, many):
        logits = np.zeros((len(labels), 2))
        logits[np.arange(len(labels)), labels] = 10.0
        found.append(_questions(labels).temperature(logits, 99.0))
    assert found[0] > found[1]
    # Two samples of two: (2 + 1) / (2 + 2), a logit of log 3.
    assert 1 / (1 + np.exp(-10 / found[0])) == pytest.approx(0.75, abs=0.05)


def test_what_cannot_be_asked_has_no_answer() -> None:
    training = _training(5, classes=4)
    fitted = fit_head(training, _PLAIN, [1, 32])
    np.testing.assert_array_equal(np.isnan(fitted.hits), [False, True, True, True, False])
    np.testing.assert_array_equal(fitted.says[1:4], -1)
    alone = fit_head(_training(4), _PLAIN, [1, 32])
    assert np.isnan(alone.hits).all()
    assert alone.indication is None
    assert alone.temperature == sum(_SIZES)
    assert "until a class has samples in two places" in alone.reason


def test_flagged_is_what_its_neighbours_are_not() -> None:
    training = _training(40, classes=2, shift=3.0)
    labels = training.labels.copy()
    labels[7] = 1 - labels[7]
    fitted = fit_head(replace(training, labels=labels), _PLAIN, [1, 32])
    assert fitted.hits[7] == 0
    assert fitted.says[7] == 1 - labels[7]
    assert np.delete(fitted.hits, 7).mean() > 0.9


def test_one_sample_among_500_of_another_class_is_a_class() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 500 + [1])
    x = np.concatenate([rng.normal(size=(500, 6)), np.full((1, 6), 6.0)]) / 10
    features = (x, rng.normal(size=(501, 40)) / 6)
    places = np.stack([np.arange(501) * 100.0, np.zeros(501)], axis=1)
    ones = np.ones(501)
    training = Training(("many", "one"), features, labels, np.arange(501), ones, ones, places, ())
    for balance in ("equal", "samples"):
        fitted = fit_head(training, _PLAIN, [1, 32], balance=balance)
        weights = fitted.head.weights[0]
        assert weights is not None
        said = (x @ weights.T + fitted.head.bias).argmax(axis=1)
        # By the number of samples 500 to 1 may outvote it; alike it wins its own place.
        assert balance == "samples" or said[500] == 1
        assert (said[:500] == 0).mean() > 0.99
        # Nobody can say how the lone sample would have done.
        assert np.isnan(fitted.hits[500])
        assert fitted.indication is not None
        assert set(fitted.indication["per_class"]) == {"many"}


def test_balance_by_samples_is_the_prior_of_a_calibrated_head() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([0] * 90 + [1] * 10)
    x = np.eye(2, 6)[labels] / 5 + rng.normal(size=(100, 6)) / 6
    training = replace(
        _training(100, 2),
        features=(x, np.zeros((100, 40))),
        labels=labels,
        samples=np.arange(100),
        weights=np.ones(100),
    )
    equal, prior = (fit_head(training, _PLAIN, [1, 32], balance=balance) for balance in ("equal", "samples"))
    assert equal.settings["balance"] == "equal"
    assert equal.temperature == prior.temperature
    moved = prior.head.bias - equal.head.bias
    assert (moved[0] - moved[1]) / prior.temperature == pytest.approx(np.log(9), rel=1e-4)
    # More of the frequent class's samples are right then, fewer of the rare one's.
    assert prior.hits[:90].mean() > equal.hits[:90].mean()
    assert prior.hits[90:].mean() < equal.hits[90:].mean()


def test_an_unknown_balance_is_refused() -> None:
    with pytest.raises(InputError, match="There is no balance 'odd'; choose one of: equal, samples"):
        fit_head(_training(8), _PLAIN, [1, 32], balance="odd")


def test_noise_of_an_encoder_never_lowers_the_score_of_the_base() -> None:
    for seed in range(25):
        training = _training(24, seed=seed, shift=0.8)
        silent = replace(training, features=(training.features[0], np.zeros_like(training.features[1])))
        both, base = (fit_head(one, _PLAIN, [1, 32]).indication for one in (training, silent))
        assert both is not None
        assert base is not None
        assert both["balanced_accuracy"] >= base["balanced_accuracy"]


def _stretched(metric: np.ndarray | None) -> list[LevelScaling]:
    return [replace(_PLAIN[0], metric=metric), _PLAIN[1]]


def test_with_one_sample_per_class_near_pixels_say_what_counts_as_far() -> None:
    """Neighbours differ ten times as much along the first axis, so a step along the second one means more."""
    metric = np.diag([0.1, 1.0, 1, 1, 1, 1])
    x = np.zeros((2, 6))
    x[1, :2] = 1.0
    training = replace(_training(2, 2), features=(x, np.zeros((2, 40))))
    plain, turned = (fit_head(training, _stretched(one), [1, 32]) for one in (None, metric))
    asked = np.zeros((1, 6))
    asked[0, :2] = 1.0, 0.3
    said = []
    for fitted in (plain, turned):
        weights = fitted.head.weights[0]
        assert weights is not None
        said.append(int((asked @ weights.T + fitted.head.bias).argmax()))
    assert said == [1, 0]
    assert "by how neighbouring pixels differ" in turned.reason
    assert turned.settings["covariance"] == "of neighbouring pixels"


def test_with_more_samples_their_own_covariance_counts() -> None:
    metric = np.diag([0.1, 1.0, 1, 1, 1, 1])
    for count, same in ((8, False), (40, True)):
        plain, turned = (fit_head(_training(count), _stretched(one), [1, 32]).head for one in (None, metric))
        first, second = plain.weights[0], turned.weights[0]
        assert first is not None
        assert second is not None
        assert np.allclose(first, second) == same
