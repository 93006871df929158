# SPDX-License-Identifier: GPL-2.0-or-later
"""k nearest neighbours and random forest, for whole maps only: their answers cannot be interpolated between cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from ssl4eo.errors import InputError
from ssl4eo.features.sampling import interpolate_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.grid import Window
    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["NONLINEAR", "NonlinearHead", "fit_nonlinear", "forest", "neighbours", "window_probabilities"]

NONLINEAR = ("knn", "forest")
_NEIGHBOURS = 5
# Pixels that are asked at once: with 300 components 40 MB.
_CHUNK = 32_768


def neighbours(labels: NDArray[np.intp]) -> KNeighborsClassifier:
    """Return k nearest neighbours for training pixels (n,): five, or as many as the rarest class has, by distance."""
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    return KNeighborsClassifier(min(_NEIGHBOURS, fewest), weights="distance", algorithm="brute")


def forest(_labels: NDArray[np.intp]) -> RandomForestClassifier:
    """Return a random forest with scikit-learn's own settings (100 trees), seeded; all classes count the same."""
    return RandomForestClassifier(random_state=0, class_weight="balanced")


@dataclass(frozen=True)
class NonlinearHead:
    """A classifier of pixels by all their features.

    Attributes:
        names: K class names.
        model: of scikit-learn; its classes are 0..K-1.
        scalings: centre and gain per level.
        scales: per level; 0 leaves a level out.
    """

    names: tuple[str, ...]
    model: KNeighborsClassifier | RandomForestClassifier
    scalings: tuple[LevelScaling, ...]
    scales: tuple[float, ...]

    def probabilities(self, values: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return (N, K) shares of the votes for stored values (N, C) per level; what is missing is the mean."""
        columns = [
            np.nan_to_num((value - scaling.mean) * (scaling.gain * scale)).astype(np.float32)
            for value, scaling, scale in zip(values, self.scalings, self.scales, strict=True)
            if scale > 0
        ]
        return np.asarray(self.model.predict_proba(np.concatenate(columns, axis=1)), np.float32)


def fit_nonlinear(
    training: Training, scalings: Sequence[LevelScaling], scales: Sequence[float], method: str
) -> NonlinearHead:
    """Fit k nearest neighbours or a random forest.

    Args:
        training: the training pixels; for the forest a polygon counts once, for the neighbours every pixel is one.
        scalings: centre and gain per level.
        scales: per level, those of `fit_head`, which says whether the encoder's levels help.
        method: knn or forest.

    Raises:
        InputError: for another method.
    """
    if method not in NONLINEAR:
        raise InputError(f"There is no head {method!r} of this kind; choose one of: {', '.join(NONLINEAR)}.")
    parts = [x * scale for x, scale in zip(training.features, scales, strict=True) if scale > 0]
    x = np.concatenate(parts, axis=1).astype(np.float32)
    model: KNeighborsClassifier | RandomForestClassifier
    if method == "knn":
        model = neighbours(training.labels).fit(x, training.labels)
    else:
        model = forest(training.labels).fit(x, training.labels, training.weights)
    return NonlinearHead(training.names, model, tuple(scalings), tuple(scales))


def window_probabilities(features: FeatureSet, head: NonlinearHead, window: Window) -> NDArray[np.float32]:
    """Return (K, H, W) shares of the votes in a window of level 0, NaN where level 0 is nodata."""
    cols = np.arange(window.col, window.col_stop) + 0.5
    rows = np.arange(window.row, window.row_stop) + 0.5
    stacked: list[NDArray[np.float32]] = []
    for level, scale in zip(features.levels, head.scales, strict=True):
        if scale == 0:
            values = np.empty((level.components, 0), np.float32)
        elif level.grid == features.grid:
            values = level.read(window).reshape(level.components, -1)
        else:
            place = ~level.grid.transform @ features.grid.transform
            cells, there_cols, there_rows = level.read_around(place.a * cols + place.c, place.e * rows + place.f)
            values = interpolate_grid(cells, there_cols, there_rows).reshape(level.components, -1)
        stacked.append(values.T)
    found = np.full((len(head.names), window.height * window.width), np.nan, np.float32)
    valid = np.flatnonzero(np.isfinite(stacked[0][:, 0]))
    for start in range(0, len(valid), _CHUNK):
        chosen = valid[start : start + _CHUNK]
        given = [values[chosen] if len(values) else values for values in stacked]
        found[:, chosen] = head.probabilities(given).T
    return found.reshape(len(head.names), window.height, window.width)
