# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a magnified image, or an average over shifts, worth its time for a ResNet? See docs/quality-modes.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_modes.py ../shared/data build/modes [--scenes NAME ...]

Accuracies are kept in the second folder, one file per scene; the tables are over all files there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from few_shot_scores import accuracies
from few_shot_sites import Level, levels_of, load_site, reduced, scaled
from measure_heads import SHOTS, SOURCES
from ssl4eo.encoders import load_encoder
from ssl4eo.features.projection import COMPONENTS
from ssl4eo.features.sampling import interpolate_grid
from ssl4eo.files import atomic_file
from torch.nn import functional

if TYPE_CHECKING:
    from few_shot_sites import Site
    from numpy.typing import NDArray
    from ssl4eo.encoders import Encoder

# Each level sees its four phases: modulo 4 these are all of 2 x 2, modulo 8, 16 and 32 four different rows and columns.
SHIFTS = ((0, 0), (10, 20), (20, 30), (30, 10))
STANDARD = "standard"
_HEADS = {
    "deep": "Deep levels alone",
    "alike": "Pixels and deep levels alike",
    "weighed": "Pixels, deep levels weighed (the head of `classify`)",
}


def averaged(runs: list[list[Level]]) -> list[Level]:
    """Return the mean of shifted runs of a network at half its strides, where those of the magnified image lie."""
    levels = []
    for same in zip(*runs, strict=True):
        stride, (col, row) = same[0].stride / 2, same[0].origin
        height, width = (2 * side - 1 for side in same[0].values.shape[1:])
        total = np.zeros((len(same[0].values), height, width), np.float32)
        for level in same:
            cols = (col + stride * np.arange(width) - level.origin[0]) / level.stride + 0.5
            rows = (row + stride * np.arange(height) - level.origin[1]) / level.stride + 0.5
            total += interpolate_grid(level.values, cols, rows)
        levels.append(Level(total / len(same), stride, (col, row)))
    return levels


def variants(encoder: Encoder, site: Site) -> dict[str, list[Level]]:
    """Return the levels of each way to run the network."""
    plain, double = levels_of(encoder, site.pixels), levels_of(encoder, site.pixels, 2)
    shifted = averaged([levels_of(encoder, site.pixels, 1, shift) for shift in SHIFTS])
    return {
        STANDARD: plain,
        "x2": double,
        "4 shifts": shifted,
        "x2, level 1": [*double[:1], *plain[1:]],
        "x2, levels 1-2": [*double[:2], *plain[2:]],
        "x2, levels 1-3": [*double[:3], *plain[3:]],
        "x2, levels 3-4": [*plain[:2], *double[2:]],
        "x2 and level 4": [*double, plain[3]],
        "x1 and x2": [*plain, *double],
    }


def measure(encoder: Encoder, site: Site, count: int) -> dict[str, NDArray[np.float64]]:
    """Return accuracies (shots, count) under "VARIANT|HEAD"."""
    found, known = {}, {}
    for name, levels in variants(encoder, site).items():
        for level in levels:
            if id(level.values) not in known:
                known[id(level.values)] = level, scaled(reduced(level, site.shape, COMPONENTS)[0], site)
        deep = [known[id(level.values)][1] for level in levels]
        heads = accuracies(site, deep, max(level.stride for level in levels), count)
        found.update({f"{name}|{head}": values for head, values in heads.items()})
    return found


def seconds(encoder: Encoder, site: Site, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way to run the network, in turn, round by round."""
    enlarged = functional.interpolate(site.pixels, scale_factor=2.0, mode="bilinear", align_corners=False)

    def first_two() -> None:
        with torch.inference_mode():
            encoder.network.forward_intermediates(enlarged, indices=[1, 2], stop_early=True, intermediates_only=True)

    def plain() -> None:
        encoder.pyramid(site.pixels)

    ways = {
        STANDARD: [plain],
        "x2": [lambda: encoder.pyramid(enlarged)],
        "4 shifts": [plain] * len(SHIFTS),
        "x2, levels 1-2": [plain, first_two],
    }
    found: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, runs in ways.items():
            start = time.perf_counter()
            for run in runs:
                run()
            found.setdefault(name, []).append(time.perf_counter() - start)
    # The first round warms up.
    return {name: values[1:] for name, values in found.items()}


def gain_text(gains: NDArray[np.float64]) -> str:
    """Return mean and standard error of differences, in points."""
    return f"{100 * gains.mean():+.1f} ± {100 * gains.std(ddof=1) / np.sqrt(len(gains)):.1f}"


def overall(gains: NDArray[np.float64]) -> str:
    """Return the mean of differences (scenes, shots, draws) with the standard error over draws, then over scenes."""
    of_draws = np.sqrt((gains.var(axis=2, ddof=1) / gains.shape[2]).sum()) / (gains.shape[0] * gains.shape[1])
    of_scenes = gains.mean(axis=(1, 2)).std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    return f"{100 * gains.mean():+.2f} ± {100 * of_draws:.2f} (scenes ± {100 * of_scenes:.2f})"


def table(found: dict[str, dict[str, NDArray[np.float64]]], head: str, against: str, *, rows: bool = True) -> None:
    """Print a table of one head: accuracies of `against`, then differences of all others.

    Args:
        found: per scene accuracies (shots, count) under "VARIANT|HEAD".
        head: which head.
        against: the variant that the others are compared with.
        rows: whether to print a row per scene and number of samples before the mean.
    """
    scenes = [scene for scene, values in found.items() if f"{against}|{head}" in values]
    if not scenes:
        return
    names = [key.split("|")[0] for key in found[scenes[0]] if key.endswith(f"|{head}")]
    names = [against, *(name for name in names if name != against)]
    stacked = {name: np.stack([found[scene][f"{name}|{head}"] for scene in scenes]) for name in names}
    base = stacked.pop(against)
    print(f"\n| scene | samples | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for i, scene in enumerate(scenes if rows else []):
        for j, shots in enumerate(SHOTS):
            cells = [gain_text(values[i, j] - base[i, j]) for values in stacked.values()]
            print(f"| {scene} | {shots} | {base[i, j].mean():.3f} | {' | '.join(cells)} |")
    cells = [overall(values - base) for values in stacked.values()]
    print(f"| **mean** | | {base.mean():.3f} | {' | '.join(cells)} |", flush=True)


def collect(folder: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return what is kept in a folder, by scene."""
    found = {}
    for scene in SOURCES:
        path = folder / f"{scene}.npz"
        if path.exists():
            with np.load(path) as arrays:
                found[scene] = dict(arrays)
    return found


def keep(path: Path, found: dict[str, NDArray[np.float64]]) -> None:
    """Write accuracies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **found)


def parser_of(description: str) -> argparse.ArgumentParser:
    """Return a parser of the arguments that measure_projection.py has too."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="the folder with the labelled scenes")
    parser.add_argument("build", type=Path, help="where accuracies are kept")
    parser.add_argument("--scenes", nargs="*", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--draws", type=int, default=40)
    return parser


def main() -> None:
    """Measure what is not kept yet, and print the tables."""
    parser = parser_of(__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="of the clock; 0 leaves it out")
    arguments = parser.parse_args()
    encoder = load_encoder("moco-resnet18w32-s2", "cpu", "fp32")
    for scene in arguments.scenes:
        path = arguments.build / f"{scene}.npz"
        if not path.exists():
            keep(path, measure(encoder, load_site(scene, arguments.data, encoder), arguments.draws))
    found = collect(arguments.build)
    for head, title in _HEADS.items():
        print(f"\n{title}")
        table(found, head, STANDARD)
        print(f"\n{title}, test pixels at most 2 pixels from another class")
        table(found, f"{head}, near", STANDARD, rows=False)
    print("\nBase alone", {scene: values["standard|base"].mean(axis=1).round(3) for scene, values in found.items()})
    if arguments.rounds:
        clock = seconds(encoder, load_site("spain", arguments.data, encoder), arguments.rounds)
        base = np.median(clock[STANDARD])
        for name, values in clock.items():
            spread = f"{min(values):.2f}-{max(values):.2f}"
            print(f"{name}: {np.median(values):.2f} s ({spread}), {np.median(values) / base:.2f} x the standard")


if __name__ == "__main__":
    main()
