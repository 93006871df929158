# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: one encoder in one mode, on one device and in one precision, over a part of one scene."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.errors import InputError
from ssl4eo.features.run import Run
from ssl4eo.features.tiling import TILE
from ssl4eo.grid import Window
from ssl4eo.scenes.scene import open_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssl4eo.encoders.cards import Card
    from ssl4eo.jobs import Progress

__all__ = ["MOST", "Subject", "ready_scene"]

# Side in pixels of what pairs are run over at most: enough tiles to keep every thread busy, few enough to hold the
# network's whole input in memory.
MOST = 2048


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        card: the encoder.
        scene: a file that opens without a question.
        mode: fast or standard.
        device: as `encode` takes it.
        precision: as `encode` takes it.
        folder: for what is made and thrown away.
    """

    card: Card
    scene: Path
    mode: str
    device: str
    precision: str
    folder: Path

    def on(self, scene: Path) -> Subject:
        """Return the same on another scene."""
        return replace(self, scene=scene)

    @contextmanager
    def planned(self) -> Iterator[Run]:
        """Yield the run of the encoder over the part of the scene that pairs are run over, without pixel levels.

        Raises:
            InputError: when the scene or the encoder cannot be used so.
        """
        with open_scene(self.scene) as scene:
            extent = _middle(scene.grid.width, scene.grid.height)
            yield Run(scene, 0, self.card, extent, first=0, pixels=False, mode=self.mode)

    @property
    def window(self) -> tuple[int, int, int, int]:
        """Column, row, width and height of that part."""
        with open_scene(self.scene) as scene:
            extent = _middle(scene.grid.width, scene.grid.height)
        return extent.col, extent.row, extent.width, extent.height

    def encode(self, out: Path, progress: Progress, **options: Any) -> dict[str, Any]:
        """Encode the scene as a user does."""
        from ssl4eo.features import encode

        how = {"mode": self.mode, "device": self.device, "precision": self.precision, **options}
        return encode(self.scene, out, encoder=self.card.id, progress=progress, **how)


def _middle(width: int, height: int) -> Window:
    (col, across), (row, down) = ((_start(side), min(side, MOST)) for side in (width, height))
    return Window(col, row, across, down)


def _start(side: int) -> int:
    # Where the scene is larger: a tile of a ResNet is not cut at its beginning.
    return max(side - MOST, 0) // 2 // TILE * TILE


def ready_scene(scene: str | None, folder: Path, size: int, progress: Progress) -> Path:
    """Return one raster that opens without a question: the user's, harmonised if it is several files, or a simulation.

    Raises:
        InputError: when something of the user's scene must be said first.
    """
    from ssl4eo.scenes import harmonise
    from ssl4eo.scenes.simulation import simulate

    if scene is None:
        path = folder / "scene.tif"
        simulate(path, size=size, progress=progress)
        return path
    try:
        with open_scene(scene) as opened:
            alone = Path(scene).is_file() and len({band.file for band in opened.raster.bands}) == 1
            if alone and opened.raster.bands[0].file == scene:
                return Path(scene)
        path = folder / "scene.tif"
        harmonise(scene, path, progress=progress)
    except InputError as error:
        # What inspect needs to be told are options of other commands.
        sentence = str(error)
        if "--" not in sentence:
            raise
        raise InputError(
            f"{sentence.removesuffix('.')}, or write it with `ssl4eo harmonise` and measure on the result."
        ) from error
    return path
