# SPDX-License-Identifier: GPL-2.0-or-later
"""The plain loop that other plugins run: tile by tile, read, compute, write a GeoTIFF; at the end merge them all."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.merge import merge
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterioWindow

from ssl4eo.bench.pairs import End
from ssl4eo.bench.repeat import repeat_scene
from ssl4eo.bench.timing import Timing, Told, in_turn, shares
from ssl4eo.encoders.encoder import load_encoder
from ssl4eo.errors import InputError
from ssl4eo.features.run import Run
from ssl4eo.grid import Window
from ssl4eo.scenes.measure import measure
from ssl4eo.scenes.scene import Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from ssl4eo.bench.subject import Subject
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.tiling import Tile
    from ssl4eo.jobs import Progress

__all__ = ["PlainLoop", "against_plain_loop", "deflated"]

_MODE = "fast"


def deflated(source: Path, path: Path, side: int) -> Path:
    """Write the scene, repeated to `side` x `side` pixels, as a GeoTIFF with deflate in GDAL's tiles of 256 pixels."""
    whole = repeat_scene(source, path.with_suffix(".vrt"), side)
    copy_raster(whole, path, driver="GTiff", compress="DEFLATE", tiled="YES")
    return path


@dataclass
class PlainLoop:
    """Encodes tile by tile with nothing at the same time: fp32, one tile at once, one file per tile.

    It is spared what would only make it slow: the scene is opened once, the encoder loaded once, the tiles of the file
    are read as they lie, and PyTorch has all threads.

    Attributes:
        subject: the encoder and the scene.
        folder: for the files of tiles and the merged one.
        beat: called before each tile; may raise Cancelled.
        network: seconds of each run that the network took.
        tiles: number of tiles.
    """

    subject: Subject
    folder: Path
    beat: Callable[[], None]
    network: list[float]
    tiles: int = 0

    def __call__(self) -> float:
        """Run once and return the seconds that it took; the merged file is `folder`/merged.tif."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.network.append(0.0)
        start = time.perf_counter()
        encoder = load_encoder(self.subject.card.id, self.subject.device, "fp32")
        with open_scene(self.subject.scene) as scene, rasterio.open(self.subject.scene) as dataset:
            run = Run(scene, 0, encoder.card, scene.grid.window, first=0, pixels=False, mode=_MODE)
            tiles = [tile for unit in run.units for tile in unit.tiles]
            self.tiles = len(tiles)
            files = [self._encode(encoder, run, scene, dataset, tile) for tile in tiles]
        merge(files, dst_path=self.folder / "merged.tif", dst_kwds={"compress": "deflate"})
        return time.perf_counter() - start

    def _encode(self, encoder: Encoder, run: Run, scene: Scene, dataset: DatasetReader, tile: Tile) -> Path:
        self.beat()
        pixels = _read(run, scene, dataset, tile.read)
        start = time.perf_counter()
        features = encoder.levels(encoder.normalise(torch.from_numpy(pixels))[None])[-1][0].cpu().numpy()
        self.network[-1] += time.perf_counter() - start
        path = self.folder / f"{tile.read.row}_{tile.read.col}.tif"
        stride = encoder.card.shape.strides[-1]
        place = scene.grid.transform @ Affine.translation(tile.read.col, tile.read.row) @ Affine.scale(stride)
        profile = {"driver": "GTiff", "dtype": "float32", "compress": "deflate", "crs": scene.grid.crs}
        count, height, width = features.shape
        with rasterio.open(path, "w", **profile, transform=place, count=count, height=height, width=width) as target:
            target.write(features)
        return path


def _read(run: Run, scene: Scene, dataset: DatasetReader, area: Window) -> NDArray[np.float32]:
    """Return reflectance or decibels (C, H, W) of the encoder's bands; what lies outside the image is mirrored."""
    inside = scene.grid.clip(area)
    place = RasterioWindow(inside.col, inside.row, inside.width, inside.height)
    sources = run.plan.sources
    names = [name for name in dict.fromkeys(sources) if name is not None]
    stored = dataset.read([scene.info.bands.index(name) + 1 for name in names], window=place)
    values = np.zeros((len(sources), inside.height, inside.width), np.float32)
    for number, (name, gain) in enumerate(zip(sources, run.plan.gains, strict=True)):
        if name is not None:
            measure(stored[names.index(name)], scene.info, values[number])
            if gain != 1:
                values[number] *= np.float32(gain)
    beyond = ((0, 0), (0, area.height - inside.height), (0, area.width - inside.width))
    return np.pad(values, beyond, mode="symmetric") if inside != area else values


def against_plain_loop(subject: Subject, side: int, pairs: int, progress: Progress) -> dict[str, Any]:
    """Run the plain loop and `encode` in fast mode in turn, on one file and the same tiles.

    Returns:
        `factor` (median, least, most: how many times faster `encode` is), `loop` and `encode` (seconds), `side`,
        `tiles`, and per tile of the loop `network_ms` and `rest_ms`.

    Raises:
        InputError: for an encoder that has no fast mode, and so no such tiles.
    """
    if subject.card.shape.patch is None:
        raise InputError(
            f"{subject.card.id} has no {_MODE} mode, so that there are no same tiles to compare; choose a transformer."
        )
    told = Told(progress)
    told(0.0, "Writing the scene as one GeoTIFF")
    scene = deflated(subject.scene, subject.folder / f"deflate_{side}.tif", side)
    there = subject.on(scene)
    loop = PlainLoop(there, subject.folder / "plain", told.beat, [])
    timings = in_turn({"plain loop": loop, "encode": End(there, lambda *_: told.beat(), mode=_MODE)}, pairs, told)
    plain, ours = timings["plain loop"], timings["encode"]
    network = Timing(tuple(loop.network)).median
    return {
        "factor": shares(plain, ours),
        "loop": plain.to_dict(),
        "encode": ours.to_dict(),
        "side": side,
        "tiles": loop.tiles,
        "network_ms": 1000 * network / loop.tiles,
        "rest_ms": 1000 * (plain.median - network) / loop.tiles,
    }
