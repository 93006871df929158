# SPDX-License-Identifier: GPL-2.0-or-later
"""Seams between the windows of a transformer, and bf16 against fp32, on a real scene. See docs/quality-modes.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_windows.py SCENE.tif FOLDER_OF_RULE_WEIGHTS

The folder holds build_checkpoint.py and vectors/NAME.json, which say how to make checkpoints in the layouts of the
released ones with weights by rule. The released weights themselves were not at hand.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from measure_projection import cosines
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import Encoder, load_checkpoint
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.cards import get_card
from ssl4eo.features.engine.cells import taper
from ssl4eo.scenes import open_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Random weights of two architectures, and rules in the layouts of five released files.
_RANDOM = ("moco-vits16-s2", "moco-resnet50-s2")
_RULES = (
    "moco_v3_vits16_B13_full", "dino_vits16_B13_full", "mae_vits16_B13_enc", "data2vec_vits16_B13_full",
    "moco_v2_resnet50_B13_full",
)  # fmt: skip
_SIDE, _INNER = 224, 128
# Windows that run at once.
_BATCH = 12


def encoders(rules: Path) -> Iterator[tuple[str, Encoder]]:
    """Yield what is measured, in fp32 on the CPU."""
    for name in _RANDOM:
        torch.manual_seed(0)
        card = get_card(name)
        yield f"{card.backbone}, random", Encoder(card, build_network(card.backbone, len(card.bands)))
    sys.path.insert(0, str(rules))
    spec = importlib.util.spec_from_file_location("build_checkpoint", rules / "build_checkpoint.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in _RULES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.pth"
            module.build_file(rules / "vectors" / f"{name}.json", path)
            yield f"{name.split('_B13')[0]}, by rule", load_checkpoint(path)


def in_windows(encoder: Encoder, pixels: torch.Tensor, step: int) -> tuple[list[tuple[int, int]], list[torch.Tensor]]:
    """Return (row, column) of windows every `step` pixels, and their levels (B, C, n, n)."""
    rows, cols = (range(0, side - _SIDE + 1, step) for side in pixels.shape[1:])
    places = [(row, col) for row in rows for col in cols]
    parts: list[list[torch.Tensor]] = []
    for start in range(0, len(places), _BATCH):
        batch = [pixels[:, r : r + _SIDE, c : c + _SIDE] for r, c in places[start : start + _BATCH]]
        parts.append([level for _, level in encoder.pyramid(torch.stack(batch))])
    return places, [torch.cat(level) for level in zip(*parts, strict=True)]


def put_together(
    places: list[tuple[int, int]], windows: torch.Tensor, patch: int, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the weighted mean (C, h, w) of windows, NaN where none says anything; weights (n,) along each side."""
    size = windows.shape[2]
    height, width = (max(place[axis] for place in places) // patch + size for axis in (0, 1))
    total, weight = np.zeros((windows.shape[1], height, width), np.float32), np.zeros((height, width), np.float32)
    square = weights[:, None] * weights
    for (row, col), window in zip(places, windows.numpy(), strict=True):
        area = slice(row // patch, row // patch + size), slice(col // patch, col // patch + size)
        total[(slice(None), *area)] += window * square
        weight[area] += square
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)


def steps(cells: NDArray[np.float32], period: int) -> tuple[float, float]:
    """Return the root mean square step between neighbours across borders, every `period` cells, and elsewhere."""
    across, inside = [], []
    for turned in (cells, cells.transpose(0, 2, 1)):
        squares = np.square(np.diff(turned, axis=2)).mean(axis=(0, 1))
        at = np.arange(1, turned.shape[2]) % period == 0
        across.append(squares[at].mean())
        inside.append(squares[~at].mean())
    return float(np.sqrt(np.mean(across))), float(np.sqrt(np.mean(inside)))


def by_position(windows: torch.Tensor) -> float:
    """Return the share of the variance that the place within the window explains, beyond what chance does."""
    between = windows.mean(dim=0).var(dim=(1, 2)).sum()
    within = windows.var(dim=0).mean(dim=(1, 2)).sum()
    return float((between - within / len(windows)) / (between + within))


def seams(encoder: Encoder, pixels: torch.Tensor) -> list[list[float]]:
    """Return per level the step across the borders of windows by that inside them, and the share of the position.

    Side by side, with the inner 128 pixels kept, and with half overlapping: by the steps between its borders, where
    two windows are mixed, and by those inside a single window.
    """
    patch = encoder.backbone.patch
    cells = _SIDE // patch
    inner = np.zeros(cells, np.float32)
    margin = (_SIDE - _INNER) // 2 // patch
    inner[margin:-margin] = 1
    # Step from window to window, weights of its cells, and what is left out at the image's edge, in cells.
    ways = {
        "side by side": (_SIDE, np.ones(cells, np.float32), 0),
        "inner": (_INNER, inner, margin),
        "overlap": (_SIDE // 2, taper(cells), cells // 2),
    }
    found: dict[str, list[tuple[float, float]]] = {}
    shares = []
    for name, (step, weights, cut) in ways.items():
        places, levels = in_windows(encoder, pixels, step)
        wholes = (put_together(places, level, patch, weights) for level in levels)
        own = (whole[:, cut : whole.shape[1] - cut, cut : whole.shape[2] - cut] for whole in wholes)
        found[name] = [steps(level, step // patch) for level in own]
        if step == _SIDE:
            shares = [by_position(level) for level in levels]
    return [
        [side[0] / side[1], kept[0] / kept[1], mixed[0] / mixed[1], mixed[0] / side[1], share]
        for side, kept, mixed, share in zip(*found.values(), shares, strict=True)
    ]


def precision(encoder: Encoder, pixels: torch.Tensor) -> list[tuple[float, float]]:
    """Return per level the cosines of bf16 with fp32, as features are and with their mean off."""
    half = Encoder(encoder.card, copy.deepcopy(encoder.network), "cpu", "bf16")
    pairs = zip(in_windows(encoder, pixels, _SIDE)[1], in_windows(half, pixels, _SIDE)[1], strict=True)
    return [cosines(*(level.permute(0, 2, 3, 1).flatten(0, 2).numpy() for level in pair)) for pair in pairs]


def main(path: str, rules: str) -> None:
    """Print a line per encoder and level."""
    with open_scene(path) as scene:
        reflectance, _ = scene.read(scene.grid.window, S2_BANDS)
    columns = ("weights", "level", "cosine", "mean taken off", "side by side", "inner 128", "overlap", "overlap by one")
    print(f"| {' | '.join((*columns, 'share of position'))} |\n|{'---|' * (len(columns) + 1)}")
    for name, encoder in encoders(Path(rules)):
        pixels = encoder.normalise(torch.from_numpy(reflectance))
        near = precision(encoder, pixels)
        rows = seams(encoder, pixels) if encoder.backbone.patch is not None else [[]] * len(near)
        for number, (pair, row) in enumerate(zip(near, rows, strict=True), start=1):
            texts = [f"{value:.2f}" for value in row] or ["-"] * 5
            print(f"| {name} | {number} | {pair[0]:.5f} | {pair[1]:.5f} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
