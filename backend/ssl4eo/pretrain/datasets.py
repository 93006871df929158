# SPDX-License-Identifier: GPL-2.0-or-later
"""The pixels of scenes in memory, and random crops of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.grid import tiles
from ssl4eo.jobs import Progress, no_progress
from ssl4eo.scenes import Scene, SceneInfo, inspect, open_scene

__all__ = ["CropSource", "Pixels", "load_pixels", "read_reflectance"]

# Reflectance is kept in steps of 1e-4, the quantification of ESA's products, and clipped to [0, 1] as the encoders'
# input is (zhu-xlab/SSL4EO-S12@2156913c, ssl4eo_dataset.py:114): half the memory of float32 and nothing lost.
_STEPS = 10_000
_TILE = 1024
# Crops are drawn from a scene with a probability that grows with its area to this power. 1 would let one large scene
# fill the batch, 0 would show the pixels of a small one over and over; between them lies a compromise of our own.
_AREA_POWER = 0.7
# Where file names carry the sensing time and the MGRS tile, as ESA's and most catalogues' do.
_DATE = re.compile(r"(?<!\d)(20\d{2})(\d{2})(\d{2})(?!\d{2,5}(?!\d))")
_TILE_NAME = re.compile(r"(?<![A-Z0-9])T(\d{2}[C-X][A-Z]{2})(?![A-Z])")


@dataclass(frozen=True)
class Pixels:
    """One scene: reflectance * 10000 as uint16 (C, H, W) and where it is valid (H, W)."""

    reflectance: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    record: dict[str, Any]


def load_pixels(
    scenes: Sequence[str | Path], *, bands: Sequence[str] | None = None, progress: Progress = no_progress
) -> list[Pixels]:
    """Read scenes whole into memory, bands in the order of `S2_BANDS`.

    Args:
        scenes: rasters that `ssl4eo.scenes.open_scene` reads.
        bands: canonical names in the order of the file, for those scenes whose files do not name their bands.
        progress: told after each scene.

    Raises:
        InputError: for no scene, an unreadable or unnamed one, one that lacks a band, one without a valid pixel, or
            more pixels than the memory holds.
    """
    if not scenes:
        raise InputError("No scene was given to train on; name at least one raster.")
    pixels = []
    for i, path in enumerate(scenes):
        progress(i / len(scenes), f"Reading {Path(path).name}")
        pixels.append(_load_one(path, bands))
    return pixels


def read_reflectance(path: str | Path, bands: Sequence[str] | None = None) -> NDArray[np.float32]:
    """Read one small scene whole: reflectance (13, H, W), bands in the order of `S2_BANDS`.

    Args:
        path: a raster that `ssl4eo.scenes.open_scene` reads.
        bands: as for `load_pixels`.

    Raises:
        InputError: as for `load_pixels`.
    """
    return _load_one(path, bands).reflectance.astype(np.float32) / np.float32(_STEPS)


def _load_one(path: str | Path, bands: Sequence[str] | None) -> Pixels:
    info = inspect(path)
    overrule = None
    if bands is not None and not info.named:
        if len(bands) != len(info.bands):
            raise InputError(
                f"{path} has {len(info.bands)} bands, but {len(bands)} names were given; name each band once."
            )
        overrule = dict(enumerate(bands, start=1))
    with open_scene(path, bands=overrule) as scene:
        _require_bands(scene.info)
        _require_memory(scene.info)
        reflectance, valid = _read_whole(scene)
        if not valid.any():
            raise InputError(f"{path} holds no valid pixel; choose a scene with data in it.")
        return Pixels(reflectance, valid, _record(scene.info, int(valid.sum())))


def _require_bands(info: SceneInfo) -> None:
    missing = [band for band in S2_BANDS if band not in info.bands]
    if missing:
        raise InputError(
            f"{info.path} lacks {', '.join(missing)}; pre-training needs all {len(S2_BANDS)} Level-1C bands."
        )


def _require_memory(info: SceneInfo) -> None:
    needed = info.width * info.height * (len(S2_BANDS) * 2 + 1)
    free = psutil.virtual_memory().available
    if needed > free / 2:
        raise InputError(
            f"{info.path} needs {needed / 1e9:.1f} GB of memory but {free / 1e9:.1f} GB is free, half of which "
            "training needs itself; cut the scene into parts."
        )


def _read_whole(scene: Scene) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    shape = (scene.grid.height, scene.grid.width)
    reflectance = np.zeros((len(S2_BANDS), *shape), np.uint16)
    valid = np.zeros(shape, np.bool_)
    for tile in tiles(scene.grid.window, _TILE):
        window = scene.grid.clip(tile)
        values, mask = scene.read(window, S2_BANDS)
        rows, cols = window.slices
        reflectance[:, rows, cols] = np.rint(values.clip(0, 1) * _STEPS)
        valid[rows, cols] = mask
    return reflectance, valid


def _record(info: SceneInfo, valid_pixels: int) -> dict[str, Any]:
    stem = Path(info.path).stem
    date, tile = _DATE.search(stem), _TILE_NAME.search(stem)
    return {
        "file": stem,
        "sensor": info.sensor,
        "level": info.level,
        "date": info.date or ("-".join(date.groups()) if date else None),
        "tile": tile.group(1) if tile else None,
        "offset": float(info.offset),
        "valid_pixels": valid_pixels,
    }


class CropSource:
    """Random square crops of valid pixels, from scenes weighted by their area."""

    def __init__(self, pixels: Sequence[Pixels], size: int) -> None:
        """Find where a crop of `size` pixels fits; a scene where none does is left out.

        Raises:
            InputError: when a crop fits into none of the scenes.
        """
        self.size = size
        self.used: list[dict[str, Any]] = []
        self._images: list[NDArray[np.uint16]] = []
        self._origins: list[NDArray[np.int64]] = []
        for item in pixels:
            origins = np.flatnonzero(_fits(item.valid, size))
            if origins.size:
                self.used.append(item.record)
                self._images.append(item.reflectance)
                self._origins.append(origins)
        if not self._images:
            largest = max((item.valid.shape for item in pixels), key=min, default=(0, 0))
            raise InputError(
                f"No scene holds {size} x {size} valid pixels in one piece (the largest is {largest[1]} x {largest[0]} "
                "pixels); choose a larger scene or one with less missing data."
            )
        weights = np.array([origins.size for origins in self._origins], np.float64) ** _AREA_POWER
        self._probability = weights / weights.sum()

    def sample(self, batch: int, rng: np.random.Generator) -> Tensor:
        """Return reflectance (B, 13, size, size) float32 in [0, 1]."""
        crops = np.empty((batch, len(S2_BANDS), self.size, self.size), np.float32)
        for crop, scene in zip(crops, rng.choice(len(self._images), size=batch, p=self._probability), strict=True):
            image = self._images[scene]
            row, col = divmod(int(rng.choice(self._origins[scene])), image.shape[2])
            crop[...] = image[:, row : row + self.size, col : col + self.size]
        return torch.from_numpy(crops).div_(_STEPS)


def _fits(valid: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Say for each pixel whether the square to its lower right holds only valid pixels, by an integral image."""
    height, width = valid.shape
    fits = np.zeros(valid.shape, np.bool_)
    if min(height, width) < size:
        return fits
    integral = np.zeros((height + 1, width + 1), np.int64)
    integral[1:, 1:] = valid.cumsum(0).cumsum(1)
    count = integral[size:, size:] - integral[:-size, size:] - integral[size:, :-size] + integral[:-size, :-size]
    fits[: height - size + 1, : width - size + 1] = count == math.prod((size, size))
    return fits
