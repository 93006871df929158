# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode a scene, alone or with further encoders and scenes on its grid, into a feature set."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.cards import DEFAULT_ENCODER, get_card
from ssl4eo.encoders.weights import require
from ssl4eo.errors import InputError
from ssl4eo.features.item import encoder_entry, level_entries, write_item
from ssl4eo.features.memory import peak_memory_mb
from ssl4eo.features.run import Run, StoredLevel
from ssl4eo.files import atomic_folder, require_space
from ssl4eo.grid import Window
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.scenes.overrules import Overrules
from ssl4eo.scenes.scene import Scene, open_scene
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import Unpack

    from ssl4eo.grid import Grid
    from ssl4eo.scenes.info import SceneInfo

__all__ = ["Addition", "encode"]


@dataclass(frozen=True)
class Addition:
    """A further encoder of a feature set.

    Attributes:
        encoder: id of a model card.
        scene: the image that it encodes; the first one when None.
        overrules: what is known better than that image's file.
    """

    encoder: str
    scene: str | PathLike[str] | None = None
    overrules: Overrules = field(default_factory=Overrules)

    @property
    def told(self) -> dict[str, Any]:
        """The overrules that say something."""
        return {name: value for name, value in self.overrules.items() if value is not None}


def encode(
    scene: str | PathLike[str],
    out_dir: str | PathLike[str],
    *,
    encoder: str = DEFAULT_ENCODER,
    add: Sequence[Addition] = (),
    device: str = "auto",
    precision: str = "auto",
    window: tuple[int, int, int, int] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    progress: Progress = no_progress,
    **overrules: Unpack[Overrules],
) -> dict[str, Any]:
    """Encode a scene, or a part of it, into a new feature set.

    Its levels are the pixels of the scene, those of its encoder, and for each addition the pixels of its scene (when
    that is another one) and the levels of its encoder. Grid, extent and CRS are those of the first scene.

    Args:
        scene: what GDAL reads, or a folder of band files.
        out_dir: the folder to make; its parent must exist.
        encoder: id of a model card.
        add: further encoders, each on this or another scene.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        window: column, row, width, height in pixels of the scene.
        bbox: xmin, ymin, xmax, ymax in the scene's CRS; instead of `window`.
        progress: told how far the work is; may raise Cancelled, then nothing is left.
        overrules: what is known better than the file of the first scene, as in `scenes.inspect`.

    Returns:
        features, encoder, encoders, device, precision, windows, seconds, peak_memory_mb, levels, warnings.

    Raises:
        InputError: for a scene, extent, encoder or device that cannot be used.
        OutputError: when the folder cannot be written.
    """
    started = time.perf_counter()
    target = Path(out_dir)
    progress(0.0, "Opening the scene")
    with ExitStack() as stack:
        first = stack.enter_context(open_scene(scene, **overrules))
        extent = _extent(first, window, bbox)
        scenes = _Scenes(stack, Addition(encoder, scene, overrules), first, extent)
        runs = _plan(scenes, [Addition(encoder), *add])
        with atomic_folder(target) as folder:
            require_space(folder.parent, sum(run.bytes_needed for run in runs))
            levels, encoders = _write(runs, folder, device, precision, part(progress, 0.01, 0.98))
            warnings = _warnings(scenes.infos, runs)
            grid = first.grid.subgrid(extent)
            write_item(folder, target.name, grid, extent, scenes.infos, encoders, levels, warnings)
            # The last chance to cancel is before the folder gets its name.
            progress(1.0, "Done")
    return {
        "features": str(target),
        "encoder": encoder,
        "encoders": [entry["id"] for entry in encoders],
        "device": encoders[0]["device"],
        "precision": encoders[0]["precision"],
        "windows": sum(len(run.tiles) for run in runs),
        "seconds": round(time.perf_counter() - started, 2),
        "peak_memory_mb": peak_memory_mb(),
        "levels": level_entries(levels),
        "warnings": warnings,
    }


def _extent(
    scene: Scene, window: tuple[int, int, int, int] | None, bbox: tuple[float, float, float, float] | None
) -> Window:
    if window is not None and bbox is not None:
        raise InputError("Both a window and a bounding box are given; give one of them.")
    if window is not None:
        return scene.grid.clip(Window(*window))
    return scene.grid.window_for_bbox(bbox) if bbox is not None else scene.grid.window


class _Scenes:
    """The scenes of a feature set, each opened once on the grid of the first."""

    def __init__(self, stack: ExitStack, first: Addition, scene: Scene, extent: Window) -> None:
        self._stack, self._grid, self.extent = stack, scene.grid, extent
        self._opened = [(first, scene)]

    @property
    def infos(self) -> list[SceneInfo]:
        """What each scene is, the first one first."""
        return [scene.info for _, scene in self._opened]

    def of(self, addition: Addition) -> tuple[int, Scene]:
        """Return number and scene of an addition.

        Raises:
            InputError: when it cannot be opened or does not reach the extent.
        """
        if addition.scene is None:
            if addition.told:
                raise InputError(
                    f"{addition.encoder} is added on the first scene, so nothing can be overruled for it alone; "
                    "name its own scene, or overrule the first one."
                )
            return 0, self._opened[0][1]
        path = os.fspath(addition.scene)
        for number, (known, scene) in enumerate(self._opened):
            same_file = known.scene is not None and path == os.fspath(known.scene)
            if same_file and addition.told in ({}, known.told):
                return number, scene
        _check_overlap(path, self._grid.subgrid(self.extent))
        try:
            placed = self._stack.enter_context(open_scene(path, grid=self._grid, **addition.overrules))
        except InputError as error:
            # The options of the command line are those of the first scene.
            sentence = str(error)
            if "--" not in sentence:
                raise
            raise InputError(
                f"{sentence.removesuffix('.')}, or write it with `ssl4eo harmonise` and add the result."
            ) from error
        self._opened.append((addition, placed))
        return len(self._opened) - 1, placed


def _check_overlap(path: str, area: Grid) -> None:
    with open_raster(path) as raster:
        own = raster.grid
    if own.crs is None:
        # Opening it as a scene says so.
        return
    if own.overlap(area) is None:
        raise InputError(
            f"{path} does not reach the extent that is encoded "
            f"({', '.join(f'{value:.10g}' for value in area.bounds)}); add an image of the same place."
        )


def _plan(scenes: _Scenes, additions: Sequence[Addition]) -> list[Run]:
    """Plan every encoder before the first one works, so that what cannot be done is found at once."""
    runs: list[Run] = []
    seen: set[int] = set()
    for addition in additions:
        card = get_card(addition.encoder)
        number, scene = scenes.of(addition)
        if addition.scene is None and runs and scene.info.sensor not in (None, card.sensor):
            raise InputError(
                f"{card.id} takes Sentinel-{card.sensor[1]}, which {scene.info.path} is not; name its image: "
                f"--add {card.id}={'RADAR' if card.sensor == 'S1' else 'OPTICAL'}.tif."
            )
        if any((run.card, run.number) == (card, number) for run in runs):
            raise InputError(f"{card.id} is named twice for {scene.info.path}; name it once.")
        first = sum(run.count for run in runs)
        runs.append(Run(scene, number, card, scenes.extent, first=first, pixels=number not in seen))
        seen.add(number)
        require(card)
    return runs


def _write(
    runs: Sequence[Run], folder: Path, device: str, precision: str, progress: Progress
) -> tuple[list[StoredLevel], list[dict[str, Any]]]:
    levels: list[StoredLevel] = []
    encoders = []
    for number, run in enumerate(runs):
        made, entry = _write_one(
            run, folder, device, precision, part(progress, number / len(runs), (number + 1) / len(runs))
        )
        levels += made
        encoders.append(entry)
    return levels, encoders


def _write_one(
    run: Run, folder: Path, device: str, precision: str, progress: Progress
) -> tuple[list[StoredLevel], dict[str, Any]]:
    """Load one encoder and run it; it leaves the memory before the next one comes."""
    # torch takes seconds to import, more than telling that a scene does not exist.
    from ssl4eo.encoders.encoder import load_encoder

    progress(0.0, "Loading the encoder")
    encoder = load_encoder(run.card.id, device, precision)
    return run.write(encoder, folder, part(progress, 0.01, 1.0)), encoder_entry(encoder)


def _warnings(infos: Sequence[SceneInfo], runs: Sequence[Run]) -> list[str]:
    """Return what was assumed of each scene and done about bands; says of which scene when there are several."""
    found: dict[str, None] = {}
    for number, info in enumerate(infos):
        said = (*info.warnings, *(text for run in runs if run.number == number for text in run.plan.warnings))
        name = f"{Path(info.path).name}: " if number else ""
        found.update(dict.fromkeys(f"{name}{text}" for text in said))
    return list(found)
