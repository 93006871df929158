# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure what a tile's halo costs in accuracy: features at a tile's edge with a halo against those of one big window.

    .venv/bin/python scripts/measure_halo.py SCENE.tif [ENCODER]

Prints, per level and halo, the root mean square difference in the outermost cells of a 512-pixel tile, as a share of
the features' own standard deviation.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from ssl4eo.encoders import load_encoder
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.grid import Window
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.info import plan_bands

TILE = 512
REFERENCE = 256
HALOS = (0, 32, 64, 96, 128, 192)


def edge(features: np.ndarray) -> np.ndarray:
    """Return the outermost ring of cells (C, n)."""
    return np.concatenate([features[:, 0], features[:, -1], features[:, 1:-1, 0], features[:, 1:-1, -1]], axis=1)


def main(path: str, encoder_id: str = DEFAULT_ENCODER) -> None:
    """Print the table for one scene."""
    encoder = load_encoder(encoder_id, "cpu", "fp32")
    with open_scene(path) as scene:
        plan = plan_bands(scene.info, encoder.card.bands)
        # A tile in the middle, so that the reference window holds real pixels wherever the scene is large enough.
        col, row = ((side - TILE) // 2 // 32 * 32 for side in (scene.grid.width, scene.grid.height))
        tile = Window(max(col, 0), max(row, 0), TILE, TILE)

        def features(halo: int) -> list[np.ndarray]:
            pixels, _ = scene.read(tile.grow(halo), plan.sources)
            levels = encoder.pyramid(encoder.normalise(torch.from_numpy(pixels)[None]))
            return [
                level[0, :, halo // s : (halo + TILE) // s, halo // s : (halo + TILE) // s].numpy()
                for s, level in levels
            ]

        reference = features(REFERENCE)
        strides = encoder.card.strides
        print("halo  " + "  ".join(f"stride {stride:>2}" for stride in strides))
        for halo in HALOS:
            errors = []
            for level, truth in zip(features(halo), reference, strict=True):
                difference = edge(level) - edge(truth)
                spread = truth.std(axis=(1, 2)).mean()
                errors.append(float(np.sqrt((difference**2).mean()) / spread))
            print(f"{halo:>4}  " + "  ".join(f"{error:9.2%}" for error in errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
