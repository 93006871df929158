# SPDX-License-Identifier: GPL-2.0-or-later
"""Encode a scene, alone or with further encoders and scenes on its grid, into a feature set."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.cards import DEFAULT_ENCODER, get_card
from ssl4eo.encoders.modes import STANDARD
from ssl4eo.encoders.weights import require
from ssl4eo.errors import Cancelled, InputError, Ssl4eoError
from ssl4eo.features.given import given_projections
from ssl4eo.features.identity import Identity, digest_of, made_before
from ssl4eo.features.item import encoder_entry, write_item
from ssl4eo.features.memory import peak_memory_mb
from ssl4eo.features.projection import COMPONENTS
from ssl4eo.features.run import Run, offered
from ssl4eo.features.scenes_of import Addition, Scenes
from ssl4eo.features.store import FeatureSet
from ssl4eo.files import Unfinished, output_errors, require_space, resumable_folder
from ssl4eo.grid import Window
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.scenes.cache import block_cache
from ssl4eo.scenes.scene import open_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from typing import Unpack

    from ssl4eo.features.run import StoredLevel
    from ssl4eo.scenes.info import SceneInfo
    from ssl4eo.scenes.overrules import Overrules
    from ssl4eo.scenes.scene import Scene

__all__ = ["Addition", "encode"]

# For all channels of the network instead of principal components.
FULL = "full"


@dataclass(frozen=True)
class _Settings:
    """How every run of a feature set is made."""

    mode: str
    components: int | None
    projection: FeatureSet | None
    device: str
    precision: str


def encode(
    scene: str | PathLike[str],
    out_dir: str | PathLike[str],
    *,
    encoder: str = DEFAULT_ENCODER,
    add: Sequence[Addition] = (),
    mode: str = STANDARD,
    components: int | str = COMPONENTS,
    projection: str | PathLike[str] | None = None,
    reuse: bool = False,
    device: str = "auto",
    precision: str = "auto",
    window: tuple[int, int, int, int] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    progress: Progress = no_progress,
    **overrules: Unpack[Overrules],
) -> dict[str, Any]:
    """Encode a scene, or a part of it, into a new feature set.

    Its levels are the pixels of the scene and their surroundings, those of its encoder, and for each addition the
    pixels of its scene (when that is another one) and the levels of its encoder. Grid, extent and CRS are those of the
    first scene. A run that was killed or failed is gone on with when the same is asked for again; a set that was made
    of the same before is not made again.

    Args:
        scene: what GDAL reads, or a folder of band files.
        out_dir: the folder to make; its parent must exist.
        encoder: id of a model card.
        add: further encoders, each on this or another scene; in standard mode where they lack `mode`.
        mode: fast or standard, as far as the encoder has it.
        components: principal components per level, or "full" for every channel; those of `projection` if given.
        projection: a feature set whose projection is taken, so that a classifier of one scene fits the other.
        reuse: also take a set in a folder beside `out_dir` that was made of the same.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        window: column, row, width, height in pixels of the scene.
        bbox: xmin, ymin, xmax, ymax in the scene's CRS; instead of `window`.
        progress: told how far the work is; may raise Cancelled, then nothing is left.
        overrules: what is known better than the file of the first scene, as in `scenes.inspect`.

    Returns:
        features, encoder, encoders, mode, components, device, device_reason, precision, precision_reason, batch,
        windows, seconds, peak_memory_mb, levels, warnings, cached (whether it was there already), resumed (tiles that
        an interrupted run had left).

    Raises:
        InputError: for a scene, extent, encoder, setting or device that cannot be used.
        OutputError: when the folder cannot be written.
    """
    started = time.perf_counter()
    target = Path(out_dir)
    progress(0.0, "Opening the scene")
    chosen = FeatureSet.open(projection) if projection is not None else None
    settings = _Settings(mode, _number(components), chosen, device, precision)
    with ExitStack() as stack:
        first = stack.enter_context(open_scene(scene, **overrules))
        scenes = Scenes(stack, Addition(encoder, scene, overrules), first, _extent(first, window, bbox))
        runs = _plan(scenes, [Addition(encoder), *add], settings)
        identity = _identity(scenes, runs, settings)
        there = made_before(target, identity.key, beside=reuse)
        if there is not None:
            return _result(there, started, cached=True)
        unfinished = stack.enter_context(resumable_folder(target, identity.run))
        height = max(tile.read.height for run in runs for tile in run.units[0].tiles)
        stack.enter_context(block_cache([run.scene for run in runs], scenes.extent.width, height))
        stack.enter_context(_said_what_is_kept(unfinished, target, resumable=identity.run is not None))
        there_already = sum(left.stat().st_size for left in unfinished.folder.iterdir())
        require_space(target.parent, sum(run.bytes_needed for run in runs) - there_already)
        levels, encoders, resumed = _write(runs, unfinished, settings, part(progress, 0.01, 0.99))
        facts = {
            "ssl4eo:key": identity.key,
            "ssl4eo:components": FULL if runs[0].components is None else runs[0].components,
            "ssl4eo:tiles": sum(run.tiles for run in runs),
            "ssl4eo:projection_of": str(chosen.folder) if chosen else None,
        }
        warnings, grid = _warnings(scenes.infos, runs), first.grid.subgrid(scenes.extent)
        write_item(unfinished.folder, target.name, grid, scenes.extent, scenes.infos, encoders, levels, warnings, facts)
        # The last chance to cancel is before the folder gets its name.
        progress(1.0, "Done")
    return _result(target, started, resumed=resumed)


def _extent(
    scene: Scene, window: tuple[int, int, int, int] | None, bbox: tuple[float, float, float, float] | None
) -> Window:
    if window is not None and bbox is not None:
        raise InputError("Both a window and a bounding box are given; give one of them.")
    if window is not None:
        return scene.grid.clip(Window(*window))
    return scene.grid.window_for_bbox(bbox) if bbox is not None else scene.grid.window


def _number(components: int | str) -> int | None:
    """Return the number of components, None for all channels."""
    if components == FULL:
        return None
    if isinstance(components, int) and not isinstance(components, bool) and components >= 1:
        return components
    raise InputError(f"There cannot be {components!r} components; give a number from 1 on, or {FULL!r}.")


def _plan(scenes: Scenes, additions: Sequence[Addition], settings: _Settings) -> list[Run]:
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
        mode = offered(card, settings.mode) if runs else settings.mode
        first, pixels = sum(run.count for run in runs), number not in seen
        run = Run(
            scene, number, card, scenes.extent, first=first, pixels=pixels, mode=mode, components=settings.components
        )
        weights = require(card)
        if settings.projection is not None:
            run.projections = given_projections(settings.projection, card, weights.sha256, mode)
            widest = max(run.projections, key=lambda projection: len(projection.components))
            run.components = None if widest.whole else len(widest.components)
        runs.append(run)
        seen.add(number)
    return runs


def _identity(scenes: Scenes, runs: Sequence[Run], settings: _Settings) -> Identity:
    # torch takes seconds to import, more than telling that a scene does not exist.
    import torch

    from ssl4eo.encoders.device import choose_device, choose_precision

    device = choose_device(settings.device)
    precision, _ = choose_precision(settings.precision, device)
    weights = [require(run.card).sha256 for run in runs]
    return digest_of(
        scenes.extent, scenes.infos, runs, weights, precision,
        device=device.type, threads=torch.get_num_threads(), torch=torch.__version__,
    )  # fmt: skip


@contextmanager
def _said_what_is_kept(unfinished: Unfinished, target: Path, *, resumable: bool) -> Iterator[None]:
    """Add to a failure that the work can be gone on with."""
    try:
        with output_errors(target):
            yield
    except Cancelled:
        raise
    except Ssl4eoError as error:
        if not unfinished.keep or not resumable:
            raise
        raise type(error)(
            f"{str(error).removesuffix('.')}; what is done so far is kept, and the same encode goes on from there."
        ) from error


def _write(
    runs: Sequence[Run], unfinished: Unfinished, settings: _Settings, progress: Progress
) -> tuple[list[StoredLevel], list[dict[str, Any]], int]:
    """Run one encoder after the other; each leaves the memory before the next one comes."""
    from ssl4eo.encoders.encoder import load_encoder

    levels: list[StoredLevel] = []
    encoders = []
    resumed = 0
    for number, run in enumerate(runs):
        report = part(progress, number / len(runs), (number + 1) / len(runs))
        report(0.0, "Loading the encoder")
        encoder = load_encoder(run.card.id, settings.device, settings.precision)
        made, found, batch = run.write(encoder, unfinished, part(report, 0.01, 1.0))
        levels += made
        resumed += found
        encoders.append(encoder_entry(encoder, run.mode.name, batch))
    # Only now: a run that is complete is not done again when a later one is interrupted.
    for left in unfinished.folder.glob("run_*"):
        left.unlink()
    return levels, encoders, resumed


def _result(folder: Path, started: float, *, cached: bool = False, resumed: int = 0) -> dict[str, Any]:
    """Return what item.json says of the feature set and what this call had to do for it."""
    properties = FeatureSet.open(folder).item["properties"]
    encoders = properties["ssl4eo:encoders"]
    told = ("mode", "device", "device_reason", "precision", "precision_reason", "batch")
    return {
        "features": str(folder),
        "encoder": encoders[0]["id"],
        "encoders": [entry["id"] for entry in encoders],
        **{name: encoders[0][name] for name in told},
        "components": properties["ssl4eo:components"],
        "windows": properties["ssl4eo:tiles"],
        "seconds": round(time.perf_counter() - started, 2),
        "peak_memory_mb": peak_memory_mb(),
        "levels": properties["ssl4eo:levels"],
        "warnings": properties["ssl4eo:warnings"],
        "cached": cached,
        "resumed": resumed,
    }


def _warnings(infos: Sequence[SceneInfo], runs: Sequence[Run]) -> list[str]:
    """Return what was assumed of each scene and done about bands; says of which scene when there are several."""
    found: dict[str, None] = {}
    for number, info in enumerate(infos):
        said = (*info.warnings, *(text for run in runs if run.number == number for text in run.plan.warnings))
        name = f"{Path(info.path).name}: " if number else ""
        found.update(dict.fromkeys(f"{name}{text}" for text in said))
    return list(found)
