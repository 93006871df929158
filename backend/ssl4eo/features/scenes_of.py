# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenes of a feature set, each opened once on the grid of the first."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssl4eo.errors import InputError
from ssl4eo.scenes.overrules import Overrules
from ssl4eo.scenes.scene import Scene, open_scene
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from contextlib import ExitStack
    from os import PathLike

    from ssl4eo.grid import Grid, Window
    from ssl4eo.scenes.info import SceneInfo

__all__ = ["Addition", "Scenes"]


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


class Scenes:
    """The scenes of a feature set."""

    def __init__(self, stack: ExitStack, first: Addition, scene: Scene, extent: Window) -> None:
        """Begin with the first scene.

        Args:
            stack: closes the others.
            first: what opened it.
            scene: the open scene.
            extent: the part of it that is encoded.
        """
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
