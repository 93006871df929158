# SPDX-License-Identifier: GPL-2.0-or-later
"""The heads that `evaluate fewshot` compares: ours, on all levels and on the pixel levels alone, and plain ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ssl4eo.labels.heads.nonlinear import forest, neighbours
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.training import LevelScaling, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin

__all__ = ["BASE", "RIVALS", "Task"]


@dataclass(frozen=True)
class Task:
    """Pixels to learn from and pixels to ask.

    Attributes:
        names: K class names.
        learn: per level (n, C), scaled.
        labels: (n,) class indices.
        places: (n, 2) column and row.
        ask: per level (m, C), scaled.
        base: how many levels, the first ones, are the pixels and their surroundings.
        strides: pixels per cell, per level.
        metric: of `LevelScaling`, on the base.
    """

    names: tuple[str, ...]
    learn: list[NDArray[np.float64]]
    labels: NDArray[np.intp]
    places: NDArray[np.float64]
    ask: list[NDArray[np.float64]]
    base: int
    strides: list[int]
    metric: NDArray[np.float64] | None

    def pixels_only(self) -> Task:
        """Return the task with the pixel levels alone."""
        kept = slice(self.base)
        return replace(self, learn=self.learn[kept], ask=self.ask[kept], strides=self.strides[kept])


def linear(task: Task, method: str) -> NDArray[np.intp]:
    """Return what a head of `classify` says of the pixels that are asked."""
    plain = [LevelScaling(np.zeros(level.shape[1]), np.ones(level.shape[1])) for level in task.learn]
    plain[0] = replace(plain[0], metric=task.metric)
    count, ones = np.arange(len(task.labels)), np.ones(len(task.labels))
    training = Training(task.names, tuple(task.learn), task.labels, count, ones, ones, task.places, (), base=task.base)
    head = fit_head(training, plain, task.strides, method).head
    logits = head.bias + sum(
        level @ weights.T for level, weights in zip(task.ask, head.weights, strict=True) if weights is not None
    )
    return np.asarray(logits.argmax(axis=1))


def _plain(task: Task, make: Callable[[NDArray[np.intp]], ClassifierMixin]) -> NDArray[np.intp]:
    model = make(task.labels)
    # Fits this small would only wait for each other's threads.
    with threadpool_limits(limits=1):
        model.fit(np.concatenate(task.learn, axis=1), task.labels)
        return np.asarray(model.predict(np.concatenate(task.ask, axis=1)), np.intp)


def _nearest_mean(task: Task) -> NDArray[np.intp]:
    learn, ask = np.concatenate(task.learn, axis=1), np.concatenate(task.ask, axis=1)
    means = np.stack([learn[task.labels == code].mean(axis=0) for code in range(len(task.names))])
    return np.asarray((ask @ means.T - 0.5 * (means**2).sum(axis=1)).argmax(axis=1))


BASE = "auto, pixel levels"
RIVALS: dict[str, Callable[[Task], NDArray[np.intp]]] = {
    "auto, all levels": lambda task: linear(task, "auto"),
    BASE: lambda task: linear(task.pixels_only(), "auto"),
    "nearest mean, pixel levels": lambda task: _nearest_mean(task.pixels_only()),
    "nearest mean, all levels": _nearest_mean,
    "kNN, pixel levels": lambda task: _plain(task.pixels_only(), neighbours),
    "kNN, all levels": lambda task: _plain(task, neighbours),
    "random forest, pixel levels": lambda task: _plain(task.pixels_only(), forest),
    "random forest, all levels": lambda task: _plain(task, forest),
}
