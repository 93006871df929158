# SPDX-License-Identifier: GPL-2.0-or-later
"""A feature set as the panel needs it: where it lies on the map and what made it, from its item.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError

__all__ = ["ITEM", "FeatureFolder"]

ITEM = "item.json"

translate = QCoreApplication.translate


@dataclass(frozen=True)
class FeatureFolder:
    """A folder that the backend's `encode` wrote.

    `extent` is in `crs`, `width` and `height` are in pixels. `encoders` are all of them, the first one first; `mode` is
    how that one ran and `components` what was kept, "" where an older backend did not say it.
    """

    path: Path
    encoder: str
    encoder_title: str
    scene: str
    simulated: bool
    crs: QgsCoordinateReferenceSystem
    extent: QgsRectangle
    width: int
    height: int
    picture: Path
    encoders: tuple[str, ...]
    mode: str
    components: int | str

    @classmethod
    def open(cls, path: str | Path) -> FeatureFolder:
        """Read a feature set.

        Raises:
            CanvasError: when the folder holds none.
        """
        path = Path(path)
        try:
            properties = json.loads((path / ITEM).read_text(encoding="utf-8"))["properties"]
            return cls(path, *_read(path, properties))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            sentence = translate(
                "Features", "“{}” is not a feature set (it has no readable {}); encode the image again."
            )
            raise CanvasError(sentence.format(path, ITEM)) from error

    @property
    def name(self) -> str:
        """The folder's name, which the layers carry too."""
        return self.path.name

    def contains(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> bool:
        """Return whether a geometry in `crs` touches the encoded extent; a point must lie in it."""
        moved = QgsGeometry(geometry)
        try:
            moved.transform(QgsCoordinateTransform(crs, self.crs, QgsProject.instance()))
        except QgsCsException:
            return False
        return moved.intersects(QgsGeometry.fromRect(self.extent))


def _read(path: Path, properties: dict[str, Any]) -> tuple[Any, ...]:
    card, scene, levels = (properties[f"ssl4eo:{name}"] for name in ("encoder", "scene", "levels"))
    height, width = properties["proj:shape"]
    a, b, c, d, e, f = properties["proj:transform"]
    corners = [(c + a * col + b * row, f + d * col + e * row) for col in (0, width) for row in (0, height)]
    extent = QgsRectangle()
    extent.setMinimal()
    for x, y in corners:
        extent.combineExtentWith(QgsPointXY(x, y))
    # The first level of the encoder; those before it are the pixels and their surroundings.
    made = [level for level in levels if level.get("kind") == "features"] or levels[1:] or levels
    crs = QgsCoordinateReferenceSystem(properties["proj:code"])
    names = card["id"], card["title"], scene["path"], bool(scene["simulated"])
    return *names, crs, extent, width, height, path / made[0]["file"], *_settings(properties)


def _settings(properties: dict[str, Any]) -> tuple[tuple[str, ...], str, int | str]:
    encoders = properties.get("ssl4eo:encoders") or [properties["ssl4eo:encoder"]]
    return (
        tuple(entry["id"] for entry in encoders),
        encoders[0].get("mode", ""),
        properties.get("ssl4eo:components", ""),
    )
