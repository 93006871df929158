# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a simulated Sentinel-2 L1C scene and its true class map, to try the main job without an image."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from scipy import ndimage

from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.files import atomic_file, require_space
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.scenes.simulation.landscape import CELLS, LABELS, PIXEL, Landscape
from ssl4eo.scenes.simulation.layout import smooth_noise
from ssl4eo.scenes.simulation.sensor import QUANTIFICATION, observe
from ssl4eo.scenes.simulation.spectra import CLASS_COLOURS, CLASSES, COVERS

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["simulate"]

# Upper left corner of Sentinel-2 tile 33UVT, metres in EPSG:32633: real tiles begin there, 20 km west of Berlin's
# southern edge.
_CRS, _LEFT, _TOP = "EPSG:32633", 399960.0, 5800020.0
# Below, a town is a few pixels; above, memory passes 2 GB.
_SMALLEST, _LARGEST = 128, 4096
_NOTE = (
    "Simulated by ssl4eo, not observed by a satellite: an invented landscape with the mean spectra of real "
    "Sentinel-2 pixels. Seed {seed}."
)
# Bands whose variation within a cover goes with the near infrared; the others go with the visible and shortwave
# infrared. The two share this much of their correlation.
_INFRARED = frozenset({"B06", "B07", "B08", "B8A", "B09"})
_COMMON = 0.6


def simulate(
    path: str | PathLike[str],
    *,
    classes_path: str | PathLike[str] | None = None,
    size: int = 1024,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write a simulated scene and its true class map.

    Args:
        path: the scene, a GeoTIFF of 13 bands with DN = reflectance * 10000.
        classes_path: the class map; by default beside the scene, with "_classes" in its name.
        size: width and height in pixels of 10 m.
        seed: the same seed and size give the same files.
        progress: told how far the work is; may raise Cancelled, then nothing is left.

    Returns:
        scene, classes_map, classes, size, seed, simulated, seconds.

    Raises:
        InputError: for a size or seed that cannot be used, or two paths that are one.
        OutputError: when a file cannot be written.
    """
    started = time.perf_counter()
    scene = Path(path)
    classes = Path(classes_path) if classes_path is not None else scene.with_name(f"{scene.stem}_classes.tif")
    _check(scene, classes, size, seed)
    with atomic_file(scene) as scene_part, atomic_file(classes) as classes_part:
        require_space(scene.parent, size * size * (2 * len(S2_BANDS) + 1))
        progress(0.0, "Placing rivers, roads and towns")
        rng = np.random.default_rng(seed)
        counts, parcel = _draw(Landscape(rng, size), part(progress, 0.02, 0.5))
        _write_classes(classes_part, counts, seed)
        _write_scene(scene_part, counts, parcel, rng, seed, part(progress, 0.5, 1.0))
        progress(1.0, "Done")
    return {
        "scene": str(scene),
        "classes_map": str(classes),
        "classes": {str(code): name for code, name in CLASSES.items()},
        "size": size,
        "seed": seed,
        "simulated": True,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _check(scene: Path, classes: Path, size: int, seed: int) -> None:
    if not _SMALLEST <= size <= _LARGEST:
        raise InputError(f"The size {size} is not between {_SMALLEST} and {_LARGEST} pixels; choose one that is.")
    if seed < 0:
        raise InputError(f"The seed {seed} is negative; give a whole number of 0 or more.")
    if scene.resolve() == classes.resolve():
        raise InputError(f"Scene and class map are both {scene}; give the class map another name.")


def _draw(landscape: Landscape, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    size = landscape.size
    counts = np.empty((len(LABELS), size, size), np.uint8)
    parcel = np.empty((size, size), np.float32)
    for strip in landscape.strips():
        progress(strip.rows.start / size, "Drawing the landscape")
        counts[:, strip.rows] = strip.counts
        parcel[strip.rows] = strip.parcel
    return counts, parcel


def _write_classes(path: Path, counts: NDArray[np.uint8], seed: int) -> None:
    """Write the class that fills most of each pixel."""
    cells = np.stack(
        [sum(counts[i].astype(np.uint8) for i, (_, c) in enumerate(LABELS) if c == code) for code in CLASSES]
    )
    codes = np.asarray(list(CLASSES), np.uint8)[cells.argmax(axis=0)]
    with rasterio.open(path, "w", **_profile(counts.shape[1], 1, "uint8"), nodata=0) as dataset:
        dataset.write(codes, 1)
        dataset.write_colormap(1, {0: (0, 0, 0, 0), **{code: (*rgb, 255) for code, rgb in CLASS_COLOURS.items()}})
        dataset.set_band_description(1, "true class")
        names = {str(code): name for code, name in CLASSES.items()}
        dataset.update_tags(CLASS_NAMES=json.dumps(names), SIMULATED="YES", NOTE=_NOTE.format(seed=seed))


def _write_scene(
    path: Path,
    counts: NDArray[np.uint8],
    parcel: NDArray[np.float32],
    rng: np.random.Generator,
    seed: int,
    progress: Progress,
) -> None:
    variations = _variations(parcel, rng)
    with rasterio.open(path, "w", **_profile(counts.shape[1], len(S2_BANDS), "uint16")) as dataset:
        for index, band in enumerate(S2_BANDS):
            progress(index / len(S2_BANDS), f"Observing {band}")
            dataset.write(observe(_reflectance(counts, variations, index), band, rng), index + 1)
            dataset.set_band_description(index + 1, band)
        dataset.update_tags(
            LEVEL="L1C", SCALE=str(1 / QUANTIFICATION), OFFSET="0", SIMULATED="YES", NOTE=_NOTE.format(seed=seed)
        )


def _profile(size: int, count: int, dtype: str) -> dict[str, Any]:
    return {
        "driver": "GTiff", "width": size, "height": size, "count": count, "dtype": dtype, "crs": _CRS,
        "transform": Affine(PIXEL, 0, _LEFT, 0, -PIXEL, _TOP),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2,
        "interleave": "band",
    }  # fmt: skip


def _variations(
    parcel: NDArray[np.float32], rng: np.random.Generator
) -> dict[tuple[float, float, float, float], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return how far each pixel lies from its cover's mean, in standard deviations: visible, infrared, by shares."""
    size = parcel.shape[0]
    modes = []
    for mode in range(2):
        # Uniform numbers by parcel become the same spread as the others; the second mode reshuffles the first.
        by_parcel = (np.mod(parcel * (1 + 16 * mode), 1.0) - 0.5) * np.float32(np.sqrt(12))
        grain = ndimage.gaussian_filter(rng.standard_normal((size, size)).astype(np.float32), 0.5)
        modes.append((by_parcel, smooth_noise(rng, size, 0.3 * size), smooth_noise(rng, size, 14), grain / grain.std()))
    result = {}
    for shares in {cover.shares: None for cover in COVERS}:
        weights = np.sqrt(np.asarray(shares, np.float32))
        visible, other = (sum(w * field for w, field in zip(weights, mode, strict=True)) for mode in modes)
        infrared = _COMMON * visible + np.sqrt(1 - _COMMON**2) * other
        # Tails beyond two standard deviations would make covers that no real pixel has.
        result[shares] = visible.clip(-2, 2), infrared.astype(np.float32).clip(-2, 2)
    return result


def _reflectance(
    counts: NDArray[np.uint8],
    variations: dict[tuple[float, float, float, float], tuple[NDArray[np.float32], NDArray[np.float32]]],
    index: int,
) -> NDArray[np.float32]:
    """Mix the covers of each pixel in one band."""
    infrared = S2_BANDS[index] in _INFRARED
    total = np.zeros(counts.shape[1:], np.float32)
    for label, (cover_index, _) in enumerate(LABELS):
        if not counts[label].any():
            continue
        cover = COVERS[cover_index]
        variation = variations[cover.shares][infrared]
        total += counts[label] * (np.float32(cover.mean[index]) + np.float32(cover.spread[index]) * variation)
    return np.asarray(np.maximum(total, 0) / (CELLS * CELLS * QUANTIFICATION), np.float32)
