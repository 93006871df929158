# SPDX-License-Identifier: GPL-2.0-or-later
"""Small feature sets and samples for tests of the live map, and what a view must show by the plain way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from label_files import UTM, cover, pixel_point, write_features
from ssl4eo.labels.heads.linear import LinearHead
from ssl4eo.labels.live import Sample, Session, Wish

if TYPE_CHECKING:
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray

NAMES = ("field", "wood", "water")


def write_scene(folder: Path, height: int, width: int, side: int, deep: dict[int, int] | None = None) -> Path:
    """Write a feature set of three covers on a chess board, two components of each pixel telling them, with noise."""
    rng = np.random.default_rng(1)
    board = cover(height, width, side, classes=3)
    pixels = np.stack([board, (board == 1) * 2.0, board * 0]).astype(np.float32)
    return write_features(folder, (pixels + 0.1 * rng.normal(size=pixels.shape)).astype(np.float32), deep)


def board_samples(side: int, number: int = 6) -> tuple[Sample, ...]:
    """Return samples in the middle of the first squares of the board, down its diagonal and beside it."""
    places = [(i, j) for i in range(number) for j in range(2)]
    return tuple(
        Sample(
            f"p{row}.{col}",
            NAMES[(row + col) % 3],
            pixel_point(col * side + side // 2, row * side + side // 2).wkt,
        )
        for row, col in places
    )


def wish(samples: tuple[Sample, ...], **options: object) -> Wish:
    """Return what a client sends, in the scene's CRS."""
    return Wish(**{"crs": UTM, "samples": samples, "classes": NAMES, **options})


def use_every_level(session: Session, classes: int = 3) -> LinearHead:
    """Give the session a head that uses all levels, as if it had been learnt."""
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=(classes, level.components)).astype(np.float32) for level in session.features.levels]
    shifts = tuple(rng.normal(size=classes).astype(np.float32) for _ in weights)
    head = LinearHead(NAMES[:classes], tuple(weights), shifts, rng.normal(size=classes).astype(np.float32))
    learnt = session.learnt
    scales = (1.0,) * len(weights)
    session._learnt = replace(learnt, fitted=replace(learnt.fitted, head=head, scales=scales, temperature=2.0))
    return head


def plainly(session: Session, bbox: tuple[float, ...], width: int, height: int) -> NDArray[np.float64]:
    """Return logits (K, H, W) at pixel centres from interpolated features, NaN outside and in cells without value."""
    features, head = session.features, session.learnt.fitted.head
    xs = bbox[0] + (np.arange(width) + 0.5) * (bbox[2] - bbox[0]) / width
    ys = bbox[3] - (np.arange(height) + 0.5) * (bbox[3] - bbox[1]) / height
    xs, ys = (grid.ravel() for grid in np.meshgrid(xs, ys))
    total = np.tile(head.bias.astype(float), (len(xs), 1))
    for values, weights, shift in zip(features.sample(xs, ys), head.weights, head.shifts, strict=True):
        total += np.nan_to_num(values.astype(float) @ weights.T.astype(float) + shift)
    grid = features.grid
    cols, rows = (np.floor(position).astype(int) for position in grid.colrow(xs, ys))
    inside = (cols >= 0) & (rows >= 0) & (cols < grid.width) & (rows < grid.height)
    total[~inside] = np.nan
    missing = ~np.isfinite(features.levels[0].read(grid.window)[0])
    total[np.flatnonzero(inside)[missing[rows[inside], cols[inside]]]] = np.nan
    return total.T.reshape(-1, height, width)


def blank(folder: Path, level: int, rows: slice, cols: slice) -> None:
    """Take the values of some cells of a level away."""
    with rasterio.open(folder / f"level_{level}.tif", "r+") as dataset:
        values = dataset.read()
        values[:, rows, cols] = 0
        dataset.write(values)


def turn(folder: Path, by: Affine) -> None:
    """Turn a feature set: `by` maps coordinates to coordinates."""
    for path in folder.glob("level_*.tif"):
        with rasterio.open(path, "r+") as dataset:
            dataset.transform = by @ dataset.transform
