# SPDX-License-Identifier: GPL-2.0-or-later
"""Which window of a scene the map canvas shows, and in how many pixels it is to be computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qgis.core import QgsCoordinateTransform, QgsCsException, QgsProject, QgsRectangle

if TYPE_CHECKING:
    from qgis.core import QgsCoordinateReferenceSystem, QgsMapSettings

__all__ = ["ViewBox", "view_box"]

# Pixels a side: a window of 1024 with a quarter more on each side.
LARGEST = 1536
# A pixel of the scene is cut into at most as many a side; finer ones would show nothing more.
_FINEST = 8
# Two pixel sizes that differ by less are the same: panning a map in another CRS changes them a little.
_SAME = 0.02


@dataclass(frozen=True)
class ViewBox:
    """A window of the scene: `extent` in its CRS, in `width` x `height` pixels."""

    extent: QgsRectangle
    width: int
    height: int

    def serves(self, other: ViewBox) -> bool:
        """Return whether what was computed for this window shows another one too, as sharp."""
        mine, theirs = self.extent.width() / self.width, other.extent.width() / other.width
        slack = QgsRectangle(self.extent)
        slack.grow(mine / 2)
        return abs(mine / theirs - 1) < _SAME and slack.contains(other.extent)


def view_box(
    settings: QgsMapSettings,
    crs: QgsCoordinateReferenceSystem,
    scene: QgsRectangle,
    scene_pixel: float,
    margin: float = 0.0,
) -> ViewBox | None:
    """Return the window that the canvas shows, on a grid that goes through the corner of the canvas.

    Args:
        settings: Of the canvas.
        crs: Of the scene.
        scene: The place of the scene, in `crs`.
        scene_pixel: The width of its pixels, in units of `crs`.
        margin: How much more is wanted on each side, as a share of the canvas; less where it would be too large.

    Returns:
        The window, None when the canvas shows nothing of the scene.
    """
    shown = settings.visibleExtent()
    try:
        shown = QgsCoordinateTransform(settings.destinationCrs(), crs, QgsProject.instance()).transformBoundingBox(
            shown
        )
    except QgsCsException:
        # The canvas shows a part of the world that the scene's CRS does not know.
        return None
    pixels = settings.outputSize() * settings.devicePixelRatio()
    if shown.isEmpty() or not shown.isFinite() or pixels.isEmpty():
        return None
    pixel = max(shown.width() / pixels.width(), shown.height() / pixels.height(), scene_pixel / _FINEST)
    for share in (margin, margin / 2, 0.0):
        box = _on_grid(shown, scene, pixel, share)
        if box is None or max(box.width, box.height) <= LARGEST:
            return box
    # One pixel less, because the grid may begin and end within a pixel.
    return _on_grid(shown, scene, pixel * max(box.width, box.height) / (LARGEST - 1), 0.0)


def _on_grid(shown: QgsRectangle, scene: QgsRectangle, pixel: float, share: float) -> ViewBox | None:
    """Grow what is shown by whole pixels, and cut it to the pixels that touch the scene."""
    left, top = shown.xMinimum(), shown.yMaximum()
    across, down = math.ceil(shown.width() / pixel - 1e-6), math.ceil(shown.height() / pixel - 1e-6)
    more_across, more_down = round(across * share), round(down * share)
    first_column = max(-more_across, math.floor((scene.xMinimum() - left) / pixel))
    last_column = min(across + more_across, math.ceil((scene.xMaximum() - left) / pixel))
    first_row = max(-more_down, math.floor((top - scene.yMaximum()) / pixel))
    last_row = min(down + more_down, math.ceil((top - scene.yMinimum()) / pixel))
    width, height = last_column - first_column, last_row - first_row
    if width <= 0 or height <= 0:
        return None
    extent = QgsRectangle(
        left + first_column * pixel, top - last_row * pixel, left + last_column * pixel, top - first_row * pixel
    )
    return ViewBox(extent, width, height)
