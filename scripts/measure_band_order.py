# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how often the order of unnamed bands is inferred right, wrong, or asked for.

Usage: python scripts/measure_band_order.py FOLDER

FOLDER holds scenes with named bands, or unnamed in ESA's order, or in EuroSAT's below a folder "eurosat". Each scene
and windows of 64 x 64 pixels of it are stacked in every order that `inspect` knows, in the same with two bands
exchanged, and in random orders, and shown without names.
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
from ssl4eo.scenes.preview import read_detail, read_stored
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

WINDOW, WINDOWS_PER_SCENE, RANDOM_ORDERS = 64, 12, 20

# What people exchange (RGB for BGR), and what a spectrum hardly tells apart.
EXCHANGES = (("B02", "B04"), ("B08", "B8A"), ("B03", "B05"), ("B01", "B12"), ("B11", "B12"))

Scene = dict[str, "NDArray[np.float64]"]


def main() -> None:
    """Print a table with one row per number of bands and order."""
    rng = np.random.default_rng(0)
    tally: Counter[tuple[int, str, str]] = Counter()
    for thinned, detail, full in scenes(Path(sys.argv[1])):
        judge(thinned, detail, rng, tally)
        for part in windows(full, rng):
            judge(part, part, rng, tally)
    print(f"{'bands':>5}  {'right':>6}{'wrong':>6}{'asked':>6}  order")
    for count, title in dict.fromkeys((count, title) for count, title, _ in sorted(tally)):
        counts = "".join(f"{tally[count, title, verdict]:6d}" for verdict in ("right", "wrong", "asked"))
        print(f"{count:5d}  {counts}  {title}")


def scenes(folder: Path) -> Iterator[tuple[Scene, Scene, Scene]]:
    """Yield Sentinel-2 images as {band: values}, NaN where there is no data: thinned, in detail, and all of it."""
    paths = [*folder.rglob("*.tif"), *{path.parent for path in folder.rglob("*_B02.*")}]
    for path in sorted(paths):
        try:
            info = inspect(path)
        except InputError:
            continue
        names = info.bands if info.named else unnamed(path, len(info.bands))
        if len([name for name in names if name]) < min(ORDERS):
            continue
        with open_raster(path) as raster:
            numbers = range(1, raster.count + 1)
            views = (read_stored(raster, numbers), read_detail(raster, numbers), raster.read(numbers).astype(float))
        for values in views:
            values[values == (info.nodata or 0.0)] = np.nan
        thinned, detail, full = ({name: view[i] for i, name in enumerate(names) if name} for view in views)
        yield thinned, detail, full


def unnamed(path: Path, count: int) -> tuple[str, ...]:
    """Return the true order of the unnamed bands of an image, or none."""
    esa, eurosat = list(ORDERS.get(count, {}).values())[:2] or ((), ())
    return eurosat if "eurosat" in path.parts else esa


def windows(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    """Yield random windows; few valid pixels make no window."""
    height, width = next(iter(scene.values())).shape
    for _ in range(WINDOWS_PER_SCENE if min(height, width) > WINDOW else 0):
        row, col = rng.integers(0, height - WINDOW), rng.integers(0, width - WINDOW)
        part = {name: plane[row : row + WINDOW, col : col + WINDOW] for name, plane in scene.items()}
        if np.isfinite(np.stack(list(part.values()))).all(axis=0).mean() > 0.5:
            yield part


def judge(part: Scene, detail: Scene, rng: np.random.Generator, tally: Counter[tuple[int, str, str]]) -> None:
    """Show the scene in each order without names and count the answers."""
    for count, orders in ORDERS.items():
        for title, order in orders.items():
            if not set(order) <= set(part):
                continue
            tally[count, title, verdict(part, detail, order)] += 1
            for a, b in EXCHANGES:
                if {a, b} <= set(order):
                    other = tuple({a: b, b: a}.get(name, name) for name in order)
                    tally[count, f"{a} and {b} exchanged", verdict(part, detail, other)] += 1
        first = next(iter(orders.values()))
        if set(first) <= set(part):
            for _ in range(RANDOM_ORDERS):
                tally[count, "random", verdict(part, detail, tuple(rng.permutation(first).tolist()))] += 1
    if set(S2_BANDS[:10]) <= set(part):
        tally[10, "the first ten of thirteen", verdict(part, detail, S2_BANDS[:10])] += 1


def verdict(part: Scene, detail: Scene, order: tuple[str, ...]) -> str:
    """Return right, wrong or asked."""
    shown, fine = (np.stack([planes[name] for name in order]) for planes in (part, detail))
    guess = guess_order(shown, ["uint16"] * len(order), fine)
    return "asked" if guess is None else "right" if guess.names == order else "wrong"


if __name__ == "__main__":
    main()
