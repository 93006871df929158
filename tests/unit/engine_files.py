# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes without a grid of their own, and what lies in a feature set, for tests of the engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from ssl4eo.features import FeatureSet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BUNDLED, PATCHES, SMALL_PATCHES, RELATIVE = (
    "moco-resnet18w32-s2", "dino-vits16-s2", "softcon-vits14-s2", "data2vec-vits16-s2",
)  # fmt: skip


def texture(height: int, width: int, seed: int = 0, bands: int = 13) -> NDArray[np.uint16]:
    """Return DN (C, H, W) that look alike everywhere: noise at scales of 1, 4 and 20 pixels."""
    rng = np.random.default_rng(seed)
    values = np.full((bands, height, width), 1500.0)
    for scale in (1, 4, 20):
        noise = gaussian_filter(rng.normal(size=(bands, height, width)), (0, scale, scale), mode="wrap")
        values += 300 * noise / noise.std()
    return np.clip(values, 1, 10000).astype(np.uint16)


def decoded(folder: Path) -> list[NDArray[np.float32]]:
    """Return the values (K, H, W) of all levels, NaN where missing."""
    return [level.read(level.grid.window) for level in FeatureSet.open(folder).levels]


def stored_bytes(folder: Path) -> dict[str, bytes]:
    """Return what lies in a feature set, but for item.json, which tells when it was made."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "item.json"}


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: for what is small, several only wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
