# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how often the order of unnamed bands is inferred right, wrong, or asked for.

Usage: python scripts/measure_band_order.py FOLDER

FOLDER holds scenes whose bands `inspect` names (by their names, or in EuroSAT's order). Each scene and windows of
64 x 64 pixels of it are stacked in every order that `inspect` knows, and in random orders, and shown without names.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes import inspect
from ssl4eo.scenes.order import ORDERS, guess_order
from ssl4eo.scenes.preview import read_stored
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WINDOW, WINDOWS_PER_SCENE, RANDOM_ORDERS = 64, 12, 20

Scene = dict[str, "NDArray[np.float64]"]


def main() -> None:
    """Print a table with one row per number of bands and order."""
    rng = np.random.default_rng(0)
    tally: Counter[tuple[int, str, str]] = Counter()
    for scene in scenes(Path(sys.argv[1])):
        for part in (scene, *windows(scene, rng)):
            judge(part, rng, tally)
    print(f"{'bands':>5}  {'right':>6}{'wrong':>6}{'asked':>6}  order")
    for count, title in dict.fromkeys((count, title) for count, title, _ in sorted(tally)):
        counts = "".join(f"{tally[count, title, verdict]:6d}" for verdict in ("right", "wrong", "asked"))
        print(f"{count:5d}  {counts}  {title}")


def scenes(folder: Path) -> Iterator[Scene]:
    """Yield thinned Sentinel-2 images as {band: values}, NaN where there is no data."""
    paths = [*folder.rglob("*.tif"), *{path.parent for path in folder.rglob("*_B02.*")}]
    for path in sorted(paths):
        try:
            info = inspect(path)
        except InputError:
            continue
        if info.sensor != "S2" or len([name for name in info.bands if name]) < min(ORDERS):
            continue
        with open_raster(path) as raster:
            values = read_stored(raster, range(1, raster.count + 1))
        values[values == (info.nodata or 0.0)] = np.nan
        yield {name: values[i] for i, name in enumerate(info.bands) if name}


def windows(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    """Yield random windows; few valid pixels make no window."""
    height, width = next(iter(scene.values())).shape
    for _ in range(WINDOWS_PER_SCENE if min(height, width) > WINDOW else 0):
        row, col = rng.integers(0, height - WINDOW), rng.integers(0, width - WINDOW)
        part = {name: plane[row : row + WINDOW, col : col + WINDOW] for name, plane in scene.items()}
        if np.isfinite(np.stack(list(part.values()))).all(axis=0).mean() > 0.5:
            yield part


def judge(part: Scene, rng: np.random.Generator, tally: Counter[tuple[int, str, str]]) -> None:
    """Show the scene in each order without names and count the answers."""
    for count, orders in ORDERS.items():
        for title, order in orders.items():
            if set(order) <= set(part):
                tally[count, title, verdict(part, order)] += 1
        first = next(iter(orders.values()))
        if set(first) <= set(part):
            for _ in range(RANDOM_ORDERS):
                tally[count, "random", verdict(part, tuple(rng.permutation(first).tolist()))] += 1
    if set(S2_BANDS[:10]) <= set(part):
        tally[10, "the first ten of thirteen", verdict(part, S2_BANDS[:10])] += 1


def verdict(part: Scene, order: tuple[str, ...]) -> str:
    """Return right, wrong or asked."""
    guess = guess_order(np.stack([part[name] for name in order]), ["uint16"] * len(order))
    return "asked" if guess is None else "right" if guess.names == order else "wrong"


if __name__ == "__main__":
    main()
