# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode a scene: windows with a halo through the encoder, projected to 8-bit components, into a feature set."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.errors import InputError
from ssl4eo.features.item import level_entries, write_item
from ssl4eo.features.memory import peak_memory_mb
from ssl4eo.features.projection import Projection, fit_projection, fit_quantiser
from ssl4eo.features.spectral import MARGIN, spectral_level, spectral_names
from ssl4eo.features.tiling import TILE, LevelGrid, encode_tile, level_grid
from ssl4eo.features.writer import LevelWriter
from ssl4eo.files import atomic_folder, require_space
from ssl4eo.grid import Window, tiles
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.scenes.info import plan_bands
from ssl4eo.scenes.scene import Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.scenes.info import BandPlan

__all__ = ["encode"]

# Tiles that the projection is fitted on, spread over the extent, and cells taken from each. Together they give
# about 1e5 cells at the finest level, far more than the 64 x 64 covariance needs.
_SAMPLE_TILES, _CELLS_PER_TILE = 8, 16384

_Tiles = list[tuple[Window, "NDArray[np.float32]"]]


def encode(
    scene: str | PathLike[str],
    out_dir: str | PathLike[str],
    *,
    encoder: str = DEFAULT_ENCODER,
    device: str = "auto",
    precision: str = "auto",
    window: tuple[int, int, int, int] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    bands: Mapping[int, str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Encode a scene, or a part of it, into a new feature set.

    Args:
        scene: a raster that GDAL reads.
        out_dir: the folder to make; its parent must exist.
        encoder: id of a model card.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        window: column, row, width, height in pixels of the scene.
        bbox: xmin, ymin, xmax, ymax in the scene's CRS; instead of `window`.
        bands: overrules the file, as in `scenes.inspect`.
        scale: overrules the file, as in `scenes.inspect`.
        offset: overrules the file, as in `scenes.inspect`.
        progress: told how far the work is; may raise Cancelled, then nothing is left.

    Returns:
        features, encoder, device, precision, windows, seconds, peak_memory_mb, levels, warnings.

    Raises:
        InputError: for a scene, extent, encoder or device that cannot be used.
        OutputError: when the folder cannot be written.
    """
    started = time.perf_counter()
    target = Path(out_dir)
    progress(0.0, "Opening the scene")
    with open_scene(scene, bands=bands, scale=scale, offset=offset) as opened:
        extent = _extent(opened, window, bbox)
        with atomic_folder(target) as folder:
            progress(0.01, "Loading the encoder")
            from ssl4eo.encoders.encoder import load_encoder

            run = _Run(opened, load_encoder(encoder, device, precision), extent)
            require_space(folder.parent, run.bytes_needed)
            run.fit(part(progress, 0.02, 0.35))
            run.write(folder, part(progress, 0.35, 0.98))
            write_item(folder, target.name, opened, run.encoder, extent, run.levels, run.warnings, run.projections)
            entries = level_entries(run.levels)
            # The last chance to cancel is before the folder gets its name.
            progress(1.0, "Done")
    return {
        "features": str(target),
        "encoder": encoder,
        "device": str(run.encoder.device),
        "precision": run.encoder.precision,
        "windows": len(run.tiles),
        "seconds": round(time.perf_counter() - started, 2),
        "peak_memory_mb": peak_memory_mb(),
        "levels": entries,
        "warnings": list(run.warnings),
    }


def _extent(
    scene: Scene, window: tuple[int, int, int, int] | None, bbox: tuple[float, float, float, float] | None
) -> Window:
    if window is not None and bbox is not None:
        raise InputError("Both a window and a bounding box are given; give one of them.")
    if window is not None:
        return scene.grid.clip(Window(*window))
    return scene.grid.window_for_bbox(bbox) if bbox is not None else scene.grid.window


class _Run:
    """One encode: what is known of the extent, fitted first, then written."""

    def __init__(self, scene: Scene, encoder: Encoder, extent: Window) -> None:
        self.scene, self.encoder, self.extent = scene, encoder, extent
        self.plan: BandPlan = plan_bands(scene.info, encoder.card.bands)
        self.warnings = (*scene.info.warnings, *self.plan.warnings)
        self.spectral_bands = [band for band in encoder.card.bands if band in scene.info.bands]
        self.tiles = list(tiles(extent, TILE))
        centre = encoder.backbone.cell_centre
        self.grids = [
            LevelGrid(1, extent, scene.grid.subgrid(extent)),
            *(level_grid(scene.grid, extent, stride, centre) for stride in encoder.card.strides),
        ]
        self.projections: list[Projection] = []
        self.levels: list[tuple[LevelGrid, list[str]]] = []
        self._samples: list[NDArray[np.float32]] = []
        self._encoded: dict[Window, _Tiles | None] = {}

    @property
    def bytes_needed(self) -> int:
        """Scratch and final files at one byte per value, the upper bound of what lies on disk at once."""
        spectral = len(spectral_names(self.spectral_bands))
        cells = [grid.window.width * grid.window.height for grid in self.grids]
        return 2 * (cells[0] * spectral + 64 * sum(cells[1:]))

    def fit(self, progress: Progress) -> None:
        """Encode a sample of the tiles and fit projection and value ranges on it."""
        rng = np.random.default_rng(0)
        samples: list[list[NDArray[np.float32]]] = [[] for _ in self.grids]
        found = 0
        for tile in _spread(self.tiles):
            progress(found / _SAMPLE_TILES, "Looking at the scene")
            encoded = self._encoded[tile] = self._encode(tile)
            if encoded is None:
                continue
            for level, (cells, values) in enumerate(encoded):
                common = self.grids[level].window.intersect(cells)
                if common is not None:
                    samples[level].append(_valid_cells(values, cells, common, rng))
            found += bool(len(samples[0][-1]))
            if found == _SAMPLE_TILES:
                break
        pooled = [np.concatenate(parts) if parts else np.empty((0, 1), np.float32) for parts in samples]
        if len(pooled[0]) == 0:
            raise InputError(
                f"{self.scene.info.path} holds no valid pixel in the chosen extent (all nodata); choose another extent."
            )
        self.projections = [fit_projection(sample) for sample in pooled[1:]]
        projected = [
            np.asarray((sample - fitted.mean) @ fitted.components.T, np.float32)
            for sample, fitted in zip(pooled[1:], self.projections, strict=True)
        ]
        self._samples = [pooled[0], *projected]
        self.levels = list(zip(self.grids, self._names(), strict=True))

    def write(self, folder: Path, progress: Progress) -> None:
        """Encode all tiles and write every level."""
        quantisers = [fit_quantiser(sample) for sample in self._samples]
        with ExitStack() as stack:
            writers = [
                stack.enter_context(LevelWriter(folder / f"level_{index}.tif", grid, names, quantiser))
                for index, ((grid, names), quantiser) in enumerate(zip(self.levels, quantisers, strict=True))
            ]
            for number, tile in enumerate(self.tiles):
                progress(0.9 * number / len(self.tiles), f"Encoding window {number + 1} of {len(self.tiles)}")
                encoded = self._encoded.pop(tile) if tile in self._encoded else self._encode(tile)
                for level, (cells, values) in enumerate(encoded or []):
                    projected = self.projections[level - 1].apply(values) if level else values
                    writers[level].write(cells, quantisers[level].apply(projected))
            for number, writer in enumerate(writers):
                progress(0.9 + 0.1 * number / len(writers), "Compressing the levels")
                writer.finish()

    def _encode(self, tile: Window) -> _Tiles | None:
        deep = encode_tile(self.scene, self.encoder, self.plan, tile)
        inside = self.extent.intersect(tile)
        if deep is None or inside is None:
            return None
        reflectance, valid = self.scene.read(inside.grow(MARGIN), self.spectral_bands)
        return [(inside, spectral_level(reflectance, valid, self.spectral_bands)), *deep]

    def _names(self) -> list[list[str]]:
        deep = [
            [
                f"level {level} (stride {stride}), component {k + 1}, {share:.1%} of variance"
                for k, share in enumerate(projection.variance)
            ]
            for level, (stride, projection) in enumerate(
                zip(self.encoder.card.strides, self.projections, strict=True), start=1
            )
        ]
        return [spectral_names(self.spectral_bands), *deep]


def _spread(items: list[Window]) -> list[Window]:
    """Order tiles so that any first few of them are spread over all (steps of the golden ratio, made coprime)."""
    count = len(items)
    step = max(1, round(count * 0.618))
    while np.gcd(step, count) != 1:
        step += 1
    return [items[i * step % count] for i in range(count)]


def _valid_cells(
    values: NDArray[np.float32], cells: Window, wanted: Window, rng: np.random.Generator
) -> NDArray[np.float32]:
    rows, cols = wanted.shift(-cells.col, -cells.row).slices
    flat = values[:, rows, cols].reshape(len(values), -1).T
    flat = flat[np.isfinite(flat[:, 0])]
    chosen = rng.permutation(len(flat))[:_CELLS_PER_TILE]
    return flat[chosen]
