# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure what stand-ins for missing bands, and misread inputs, do to the features of an encoder.

    .venv/bin/python scripts/measure_missing_bands.py FOLDER_OF_REAL_SCENES [ENCODER]

FOLDER holds havel_l1c, ssl4eo_patch, sen1floods11, terramesh and eurosat as their publishers deliver them. Prints, per
level, the cosine between features with the true bands and with the stand-in, after the mean over the scene is taken off
(else all features look alike), and the few-shot accuracy on EuroSAT's patches.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import Encoder, load_encoder
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.grid import Window
from ssl4eo.scenes import open_scene

SCENES = (
    "havel_l1c/s2l1c_13band_10m.tif",
    "ssl4eo_patch/20201002T221611_20201002T221610_T60HWB.tif",
    "sen1floods11/India_900498_S2Hand.tif",
    "sen1floods11/Spain_7370579_S2Hand.tif",
    "terramesh/S2L1C/282D_485L_3_3.tif",
    "terramesh/S2L1C/433D_629L_3_1.tif",
    "terramesh/S2L1C/637U_59R_1_3.tif",
)
TILES = ("282D_485L_3_3", "433D_629L_3_1", "637U_59R_1_3")
# EuroSAT's files hold B8A last; named here so that the measurement rests on no inference.
EUROSAT = (*S2_BANDS[:8], *S2_BANDS[9:], "B8A")
SIDE = 512
SHOTS, DRAWS = (1, 5), 20

# What takes the place of which band, and times what; the gains are ratios of SSL4EO-S12's L1C means (cards.toml).
StandIn = dict[str, tuple[str, float]]
B01, B09 = 1612.9 / 1397.6, 837.7 / 2581.0
STAND_INS: dict[str, StandIn] = {
    "B10 = 0": {"B10": ("B02", 0.0)},
    "B01 = B02": {"B01": ("B02", 1.0)},
    f"B01 = {B01:.2f} B02": {"B01": ("B02", B01)},
    "B09 = B8A": {"B09": ("B8A", 1.0)},
    f"B09 = {B09:.2f} B8A": {"B09": ("B8A", B09)},
    "all three, without gains": {"B10": ("B02", 0.0), "B01": ("B02", 1.0), "B09": ("B8A", 1.0)},
    "all three, with gains": {"B10": ("B02", 0.0), "B01": ("B02", B01), "B09": ("B8A", B09)},
}


def stood_in(pixels: np.ndarray, stand_in: StandIn) -> np.ndarray:
    """Return reflectance (13, H, W) with some bands made from others."""
    made = pixels.copy()
    for band, (source, gain) in stand_in.items():
        made[S2_BANDS.index(band)] = gain * pixels[S2_BANDS.index(source)]
    return made


def by_position(pixels: np.ndarray) -> np.ndarray:
    """Return the channels as a reader takes them that trusts EuroSAT's order to be that of the encoder."""
    return pixels[[S2_BANDS.index(band) for band in EUROSAT]]


MISREAD = {
    "+1000 left in": lambda pixels: pixels + 0.1,
    "B8A last, by position": by_position,
    "DN / 1000 as / 10000": lambda pixels: pixels / 10,
}


def pyramid(encoder: Encoder, pixels: np.ndarray) -> list[np.ndarray]:
    """Return the levels (C, cells) of reflectance (13, H, W)."""
    levels = encoder.pyramid(encoder.normalise(torch.from_numpy(pixels.astype(np.float32))[None]))
    return [level[0].flatten(1).numpy() for _, level in levels]


def centred_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean cosine over cells of two levels (C, cells), the first one's mean taken off both."""
    mean = first.mean(axis=1, keepdims=True)
    a, b = first - mean, second - mean
    return float(np.mean((a * b).sum(0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-9)))


def middle(grid_window: Window, multiple: int) -> Window:
    """Return a window of at most 512 pixels, its sides multiples of `multiple`, in the middle of the scene."""
    width, height = (min(SIDE, side) // multiple * multiple for side in (grid_window.width, grid_window.height))
    return Window((grid_window.width - width) // 2, (grid_window.height - height) // 2, width, height)


def cosines(folder: Path, encoder: Encoder) -> dict[str, np.ndarray]:
    """Return per variant the cosines (scenes, levels)."""
    found: dict[str, list[list[float]]] = {}
    for name in SCENES:
        named = dict(enumerate(S2_BANDS, start=1))
        with open_scene(folder / name, bands=named) as scene:
            window = middle(scene.grid.window, 2 * max(encoder.card.strides))
            true, _ = scene.read(window, S2_BANDS)
            levels = pyramid(encoder, true)
        variants = {key: stood_in(true, stand_in) for key, stand_in in STAND_INS.items()}
        variants.update({key: change(true) for key, change in MISREAD.items()})
        for key, pixels in variants.items():
            pairs = zip(levels, pyramid(encoder, pixels), strict=True)
            found.setdefault(key, []).append([centred_cosine(a, b) for a, b in pairs])
    for tile in TILES:
        with open_scene(folder / f"terramesh/S2L1C/{tile}.tif") as scene:
            window = middle(scene.grid.window, 2 * max(encoder.card.strides))
            true = pyramid(encoder, scene.read(window, S2_BANDS)[0])
        with open_scene(folder / f"terramesh/S2L2A/{tile}.tif") as scene:
            pixels, _ = scene.read(window, [None if band == "B10" else band for band in S2_BANDS])
        for key, made in (
            ("Level-2A, B10 = 0", pixels),
            (f"Level-2A, B10 = 0, B09 = {B09:.2f} B8A", stood_in(pixels, {"B09": ("B8A", B09)})),
        ):
            pairs = zip(true, pyramid(encoder, made), strict=True)
            found.setdefault(key, []).append([centred_cosine(a, b) for a, b in pairs])
    return {key: np.array(rows) for key, rows in found.items()}


def patches(folder: Path, encoder: Encoder) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return per variant the level means of EuroSAT's patches (N, D), z-scored by those of the true bands; labels."""
    paths = sorted(folder.glob("eurosat/*/*.tif"))
    labels = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    named = dict(enumerate(EUROSAT, start=1))
    rows: dict[str, list[np.ndarray]] = {}
    for path in paths:
        with open_scene(path, bands=named) as scene:
            window = middle(scene.grid.window, 2 * max(encoder.card.strides))
            true, _ = scene.read(window, S2_BANDS)
        variants = {"true bands": true, **{key: stood_in(true, one) for key, one in STAND_INS.items()}}
        variants.update({key: change(true) for key, change in MISREAD.items()})
        for key, pixels in variants.items():
            rows.setdefault(key, []).append(np.concatenate([x.mean(1) for x in pyramid(encoder, pixels)]))
    true_rows = np.stack(rows["true bands"])
    mean, spread = true_rows.mean(0), np.maximum(true_rows.std(0), 1e-8)
    return {key: (np.stack(value) - mean) / spread / np.sqrt(len(mean)) for key, value in rows.items()}, labels


def accuracy(train: np.ndarray, test: np.ndarray, labels: np.ndarray, shots: int) -> np.ndarray:
    """Return the accuracy (draws,) of logistic regression that learns from rows of `train` and is asked of `test`."""
    scores = []
    for draw in range(DRAWS):
        rng = np.random.default_rng((shots, draw))
        chosen = np.concatenate([rng.choice(np.flatnonzero(labels == k), shots, replace=False) for k in set(labels)])
        rest = np.setdiff1d(np.arange(len(labels)), chosen)
        head = LogisticRegression(max_iter=5000).fit(train[chosen], labels[chosen])
        scores.append(head.score(test[rest], labels[rest]))
    return np.array(scores)


def main(folder: str, encoder_id: str = DEFAULT_ENCODER) -> None:
    """Print both tables as Markdown."""
    encoder = load_encoder(encoder_id, "cpu", "fp32")
    table = cosines(Path(folder), encoder)
    strides = " | ".join(f"level {i}, stride {stride}" for i, stride in enumerate(encoder.card.strides, start=1))
    print(f"| what differs | scenes | {strides} |\n|---|---:|{'---:|' * len(encoder.card.strides)}")
    for key, values in table.items():
        cells = " | ".join(f"{mean:.3f} ({low:.3f})" for mean, low in zip(values.mean(0), values.min(0), strict=True))
        print(f"| {key} | {len(values)} | {cells} |")
    features, labels = patches(Path(folder), encoder)
    head = " | ".join(f"{shots}-shot, both | {shots}-shot, map only" for shots in SHOTS)
    print(f"\n| what differs | {head} |\n|---|{'---:|' * 2 * len(SHOTS)}")
    true = {shots: accuracy(features["true bands"], features["true bands"], labels, shots) for shots in SHOTS}
    for key, rows in features.items():
        cells = []
        for shots in SHOTS:
            for train in (rows, features["true bands"]):
                scores = accuracy(train, rows, labels, shots)
                gain = scores - true[shots]
                error = gain.std(ddof=1) / np.sqrt(DRAWS)
                cells.append(f"{scores.mean():.3f} ({gain.mean():+.3f} ± {error:.3f})")
        print(f"| {key} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
