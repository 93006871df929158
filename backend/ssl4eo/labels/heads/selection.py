# SPDX-License-Identifier: GPL-2.0-or-later
"""Which head, and how much the other levels may say: chosen by leaving places out, never to the harm of the base."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.labels.heads.learners import Learner, Logistic, discriminant, level_scales
from ssl4eo.labels.heads.leaveout import Questions, spatial_groups
from ssl4eo.labels.heads.linear import LinearHead, to_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["BALANCES", "HEADS", "Fitted", "fit_head"]

HEADS = ("auto", "lda", "logistic")
# Whether all classes count the same, or each by the number of its samples.
BALANCES = ("equal", "samples")
# Scale of the other levels against the base, which is the pixels of the first scene and their surroundings. Without any
# (0) the head is the base alone.
SCALES = (0.0, 0.1, 0.25, 0.5, 1.0)
# Standard errors by which a scale must beat the base alone. One is the rule of Breiman et al. 1984 (Classification and
# Regression Trees, 3.4.3); with it one real scene of six still lost a little (docs/few-shot-heads.md).
_ERRORS = 1.5


@dataclass(frozen=True)
class Fitted:
    """A head and how it was chosen.

    Attributes:
        head: the head.
        method: lda or logistic.
        scales: per level, what its features were multiplied by; 0 leaves a level out.
        settings: further settings of the method.
        indication: what leaving places out says, or None when it says nothing.
        reason: one sentence: which head, and why.
        temperature: what to divide logits by before softmax.
        hits: (G,) share of a sample's weight that got its own class when its place was left out; NaN where that cannot
            be asked.
        says: (G,) the class that most of a sample got then; -1 where that cannot be asked.
    """

    head: LinearHead
    method: str
    scales: tuple[float, ...]
    settings: dict[str, Any]
    indication: dict[str, Any] | None
    reason: str = ""
    temperature: float = 1.0
    hits: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    says: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))


def fit_head(
    training: Training,
    scalings: list[LevelScaling],
    strides: list[int],
    method: str = "auto",
    progress: Progress = no_progress,
    *,
    balance: str = "equal",
) -> Fitted:
    """Fit a head and choose the scale of all levels beyond the base by leave-one-place-out.

    The pixels of an added scene are weighed with the deep levels: were they always in, a head could fall below the base
    alone, which the choice is there to prevent. 200 points of ten classes with four levels of 64 components take about
    9 ms of one core, 270 samples of 10 800 pixels 0.17 s, 20 000 pixels 0.3 s.

    Args:
        training: the training pixels.
        scalings: centre and gain per level.
        strides: pixels per cell, per level.
        method: auto, lda or logistic.
        progress: told how far the work is.
        balance: equal, all classes count the same, or samples, each by the number of its samples.

    Raises:
        InputError: for an unknown method or balance.
    """
    if method not in HEADS:
        raise InputError(f"There is no head {method!r}; choose one of: {', '.join(HEADS)}.")
    if balance not in BALANCES:
        raise InputError(f"There is no balance {balance!r}; choose one of: {', '.join(BALANCES)}.")
    # Bilinear interpolation reads two cells along each axis.
    questions = Questions(training, spatial_groups(training, 2.0 * max(strides)))
    # Matrices of a few hundred rows: more threads cost more than they give, many times so on a busy computer.
    with _threads().limit(limits=1, user_api="blas"):
        learner = Logistic(questions) if method == "logistic" else discriminant(questions, scalings[0].metric)
        choice = _choose(questions, learner, progress)
        name = "logistic" if method == "logistic" else "lda"
        return _fitted(questions, scalings, balance, learner, name, choice)


@cache
def _threads() -> ThreadpoolController:
    # Looking for the libraries takes some milliseconds, so it is done once.
    return ThreadpoolController()


@cache
def _errors(places: int) -> float:
    """Return the standard errors that are as rare by chance as `_ERRORS` of many places when there are so few.

    Of few places the error itself is uncertain (Student 1908, doi:10.2307/2331554): 2.0 of four, 1.6 of twenty.
    """
    return float(special.stdtrit(places - 1, special.ndtr(_ERRORS)))


@dataclass(frozen=True)
class _Choice:
    """A scale, the logits (N, K) of places left out at it, and by how much their score is above that of the base."""

    scale: float
    logits: NDArray[np.float64]
    gain: float = 0.0


def _choose(questions: Questions, learner: Learner, progress: Progress) -> _Choice:
    """Choose the scale of the levels beyond the base.

    A scale above 0 must gain more over the base alone than chance explains; among those the largest gain wins, then
    the smaller scale.
    """
    training = questions.training
    if not questions.asked.any():
        return _Choice(SCALES[0], np.zeros((len(training.labels), len(training.names))))
    progress(0.0, "Weighing the levels")
    best = _Choice(SCALES[0], learner.left_out(SCALES[0]))
    base = questions.score(best.logits)
    for number, scale in enumerate(SCALES[1:], start=1):
        if training.base == len(training.features) or len(base) < 2:
            break
        progress(number / len(SCALES), "Weighing the levels")
        logits = learner.left_out(scale)
        gain = questions.score(logits) - base
        error = _errors(len(gain)) * gain.std(ddof=1) / np.sqrt(len(gain))
        if gain.mean() > max(error, best.gain + 1e-9):
            best = _Choice(scale, logits, float(gain.mean()))
    return best


def _fitted(
    questions: Questions,
    scalings: list[LevelScaling],
    balance: str,
    learner: Learner,
    method: str,
    choice: _Choice,
) -> Fitted:
    training, logits = questions.training, choice.logits
    # With nothing to ask, the spread of a class is taken to be that of the scene, whose total variance is 1: the
    # inverse of its covariance is D times smaller than what the nearest mean is given.
    size = sum(values.shape[1] for values in training.features)
    temperature = questions.temperature(logits, float(size) if method == "lda" else 1.0)
    weights, bias = learner.fit(choice.scale)
    if balance == "samples":
        counts = np.bincount(training.sample_labels, minlength=len(training.names))
        prior = temperature * np.log(counts / counts.sum())
        bias, logits = bias + prior, logits + prior
    scales = level_scales(training, choice.scale)
    head = to_levels((weights, bias), training.names, scalings, scales)
    made = Fitted(head, method, tuple(map(float, scales)), {**learner.settings, "balance": balance}, None)
    return replace(
        made,
        indication=questions.indication(logits),
        reason=_reason(questions, learner, method, choice),
        temperature=temperature,
        hits=np.where(questions.asked, questions.hits(logits), np.nan),
        says=np.where(questions.asked, questions.votes(logits).argmax(axis=1), -1),
    )


def _reason(questions: Questions, learner: Learner, method: str, choice: _Choice) -> str:
    training = questions.training
    name = "Logistic regression" if method == "logistic" else "Discriminant analysis"
    if "covariance" in learner.settings:
        name += " by how neighbouring pixels differ"
    learnt = f"{name}, from {len(training.places)} samples of {len(training.names)} classes"
    if training.base == len(training.features):
        return f"{learnt}, on the pixels and their surroundings."
    if not questions.asked.any():
        return f"{learnt}, on the pixels and their surroundings alone until a class has samples in two places."
    if choice.scale == 0:
        return f"{learnt}, on the pixels and their surroundings alone: more did not score higher on places left out."
    return (
        f"{learnt}, with the encoder's levels weighed {choice.scale:g}: "
        f"on places left out that scores {100 * choice.gain:.0f} points higher than the pixels alone."
    )
