# SPDX-License-Identifier: GPL-2.0-or-later
"""Class codes of a window or of a whole scene, from a head and the stored levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.features.sampling import interpolate_grid
from ssl4eo.grid import Window
from ssl4eo.labels.heads.nonlinear import window_probabilities
from ssl4eo.labels.mapping.bytemap import UNSURE
from ssl4eo.labels.mapping.classmap import NODATA
from ssl4eo.labels.mapping.strips import classify_strips
from ssl4eo.labels.mapping.tile import plan_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.heads.nonlinear import NonlinearHead
    from ssl4eo.labels.mapping.source import Learnt
    from ssl4eo.labels.mapping.strips import Strip

__all__ = ["predict", "predict_window"]

# Pixels per side of a block whose features stand side by side for a head that is not linear: 300 MB of 300 components.
_BLOCK = 512


def predict(features: FeatureSet, learnt: Learnt, *, confidence: bool) -> Iterator[Strip]:
    """Yield the windows of a scene, row by row, with class codes (H, W) and, if asked for, percent (H, W) or else None.

    Raises:
        InputError: when a level cannot be read.
    """
    if learnt.nonlinear is not None:
        return _blocks(features, learnt.nonlinear, confidence=confidence)
    plan = plan_tiles(features, learnt.head, learnt.temperature, learnt.novelty, learnt.beyond)
    return classify_strips(features, plan, confidence=confidence)


def _blocks(features: FeatureSet, head: NonlinearHead, *, confidence: bool) -> Iterator[Strip]:
    grid = features.grid
    for row in range(0, grid.height, _BLOCK):
        for col in range(0, grid.width, _BLOCK):
            block = grid.clip(Window(col, row, _BLOCK, _BLOCK))
            shares = window_probabilities(features, head, block)
            missing = np.isnan(shares[0])
            shares = np.nan_to_num(shares)
            codes = np.where(missing, NODATA, shares.argmax(axis=0) + 1).astype(np.uint8)
            percent = np.where(missing, UNSURE, np.rint(100 * shares.max(axis=0))).astype(np.uint8)
            yield block, codes, percent if confidence else None


def predict_window(features: FeatureSet, head: LinearHead, window: Window) -> NDArray[np.uint8]:
    """Return the class codes (H, W) of a window of level 0: 1 for the first class, 0 where level 0 is nodata.

    Each level's logits are computed at its own cells and, where these are not the map's pixels, interpolated; the map
    is the same as if the features had been interpolated, because the head is linear, at a fraction of the work.
    """
    logits: NDArray[np.float32] | None = None
    cols = np.arange(window.col, window.col_stop) + 0.5
    rows = np.arange(window.row, window.row_stop) + 0.5
    for level, weights, shift in zip(features.levels, head.weights, head.shifts, strict=True):
        if weights is None:
            continue
        if level.grid == features.grid:
            there = _project(weights, shift, level.read(window))
        else:
            place = ~level.grid.transform @ features.grid.transform
            cells, local_cols, local_rows = level.read_around(place.a * cols + place.c, place.e * rows + place.f)
            there = interpolate_grid(_project(weights, shift, cells), local_cols, local_rows)
        if level.index > 0:
            # Where another level than level 0 has no value it says nothing: its mean contributes 0.
            there = np.nan_to_num(there)
        logits = there if logits is None else logits + there
    if logits is None:
        raise InputError("The head uses no level of the feature set; fit it anew.")
    logits += head.bias[:, None, None]
    missing = ~np.isfinite(logits[0])
    codes = np.asarray(np.nan_to_num(logits).argmax(axis=0) + 1, np.uint8)
    codes[missing] = NODATA
    return codes


def _project(
    weights: NDArray[np.float32], shift: NDArray[np.float32], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    channels, height, width = values.shape
    flat = weights @ values.reshape(channels, -1) + shift[:, None]
    return np.asarray(flat.reshape(-1, height, width), np.float32)
