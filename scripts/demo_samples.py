# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the demo clicks, and what its map is worth: by the true class map of a simulated scene, or by two indices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow
from scipy import ndimage
from ssl4eo.errors import InputError
from ssl4eo.grid import Window
from ssl4eo.scenes import open_scene

# Width and height in pixels of what the demo encodes.
SIDE = 512
# Pixels around a click that do not count in the accuracy: they are as good as given away.
GIVEN_AWAY = 5
# Pixels that clicks stay away from the edge of the extent, so that none falls under the canvas's frame.
MARGIN = 12


@dataclass(frozen=True)
class Lesson:
    """What the demo does with a scene: its extent, the classes with their colours, and the places to click."""

    window: Window
    extent: tuple[float, float, float, float]
    classes: dict[str, str]
    samples: list[dict[str, Any]]


def central_window(width: int, height: int) -> Window:
    """Return the window of at most SIDE x SIDE pixels in the middle of an image."""
    across, down = min(SIDE, width), min(SIDE, height)
    return Window((width - across) // 2, (height - down) // 2, across, down)


def from_truth(scene: Path, truth: Path, per_class: int, seed: int = 0) -> Lesson:
    """Choose places inside the areas of each class of a true class map that lies on the scene's grid."""
    with rasterio.open(truth) as dataset:
        window = central_window(dataset.width, dataset.height)
        codes = dataset.read(1, window=_rasterio(window))
        names = {int(code): name for code, name in json.loads(dataset.tags()["CLASS_NAMES"]).items()}
        colors = dataset.colormap(1)
    masks = {names[code]: codes == code for code in sorted(names)}
    palette = {name: "#{:02x}{:02x}{:02x}".format(*colors[code][:3]) for code, name in names.items()}
    return _lesson(scene, window, masks, palette, per_class, seed)


def from_indices(scene: Path, per_class: int, seed: int = 0) -> Lesson:
    """Choose places by NDVI (Rouse et al. 1974) and NDWI (McFeeters 1996), where nobody knows the truth.

    Raises:
        InputError: If the scene cannot be read, or shows less than two of the classes.
    """
    with open_scene(scene) as source:
        window = central_window(source.grid.width, source.grid.height)
        (green, red, infrared), valid = source.read(window, ("B03", "B04", "B08"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ndvi = np.nan_to_num((infrared - red) / (infrared + red))
        ndwi = np.nan_to_num((green - infrared) / (green + infrared))
    low, high = np.quantile(ndvi[valid & (ndwi < 0)], [0.2, 0.8]) if (valid & (ndwi < 0)).any() else (0, 0)
    masks = {
        "water": valid & (ndwi > 0),
        "little vegetation": valid & (ndwi < 0) & (ndvi <= low) & (low < high),
        "much vegetation": valid & (ndwi < 0) & (ndvi >= high) & (low < high),
    }
    masks = {name: mask for name, mask in masks.items() if mask.sum() >= 50 * per_class}
    if len(masks) < 2:
        raise InputError(f"{scene} shows too little land and water in its middle for the demo; try another image.")
    palette = {"water": "#326ec8", "little vegetation": "#c8a05a", "much vegetation": "#1e6e32"}
    return _lesson(scene, window, masks, palette, per_class, seed)


def accuracy(class_map: Path, truth: Path, lesson: Lesson) -> dict[str, Any]:
    """Compare a class map with the truth at all pixels of the extent that are not close to a click.

    Returns:
        `overall`, `chance` (the share of the largest class), `recall` by class, and `pixels` that were compared.
    """
    with rasterio.open(truth) as dataset:
        codes = dataset.read(1, window=_rasterio(lesson.window))
        names = {int(code): name for code, name in json.loads(dataset.tags()["CLASS_NAMES"]).items()}
        transform = dataset.transform @ Affine.translation(lesson.window.col, lesson.window.row)
    with rasterio.open(class_map) as dataset:
        if dataset.shape != codes.shape or not dataset.transform.almost_equals(transform, 1e-3):
            raise InputError(f"{class_map} does not lie on the grid of the encoded extent.")
        predicted = dataset.read(1)
        called = {name: int(code) for code, name in json.loads(dataset.tags()["CLASS_NAMES"]).items()}
    counted = np.ones(codes.shape, bool)
    for sample in lesson.samples:
        counted[tuple(int(v) for v in (~transform @ (sample["x"], sample["y"]))[::-1])] = False
    counted = (ndimage.distance_transform_edt(counted) > GIVEN_AWAY) & (codes > 0)
    right = np.zeros(codes.shape, bool)
    recall, shares = {}, []
    for code, name in names.items():
        here = counted & (codes == code)
        right |= here & (predicted == called.get(name, -1))
        shares.append(here.sum() / counted.sum())
        recall[name] = round(float(right[here].mean()), 3) if here.any() else None
    return {
        "overall": round(float(right[counted].mean()), 4),
        "chance": round(float(max(shares)), 4),
        "recall": recall,
        "pixels": int(counted.sum()),
    }


def _lesson(
    scene: Path, window: Window, masks: dict[str, NDArray[np.bool_]], palette: dict[str, str], per_class: int, seed: int
) -> Lesson:
    with open_scene(scene) as source:
        grid = source.grid.subgrid(window)
    rng = np.random.default_rng(seed)
    samples = []
    for name, mask in masks.items():
        rows, cols = _places(mask, per_class, rng)
        # The middle of the pixel, not its corner.
        xs, ys = grid.xy(cols + 0.5, rows + 0.5)
        samples += [{"class": name, "x": float(x), "y": float(y)} for x, y in zip(xs, ys, strict=True)]
    used = {sample["class"] for sample in samples}
    return Lesson(window, tuple(grid.bounds), {name: palette[name] for name in masks if name in used}, samples)


def _places(
    mask: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of `count` places inside a mask: away from its borders, and spread over its areas."""
    depth = ndimage.distance_transform_edt(mask)
    frame = np.zeros(mask.shape, bool)
    frame[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    # Two pixels inside where the class is wide enough; a road never is.
    inside = np.argwhere(frame & mask & (depth >= min(3.0, np.quantile(depth[mask], 0.8) if mask.any() else 0)))
    if not len(inside):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    chosen = [inside[rng.integers(len(inside))]]
    while len(chosen) < min(count, len(inside)):
        # Of a handful of candidates the one farthest from the places so far (Mitchell's best candidate).
        candidates = inside[rng.integers(len(inside), size=8)]
        away = [min(np.hypot(*(candidate - place)) for place in chosen) for candidate in candidates]
        chosen.append(candidates[int(np.argmax(away))])
    return np.array(chosen)[:, 0], np.array(chosen)[:, 1]


def _rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)
