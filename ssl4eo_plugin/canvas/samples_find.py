# SPDX-License-Identifier: GPL-2.0-or-later
"""Which samples lie under a click or a stroke, and what a stroke leaves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
)
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.samples_table import AREA, POINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qgis.core import QgsFeature

__all__ = ["cut", "sample_at", "transformed"]

# Of an area that a stroke cuts, pieces under this share of it are slivers that nobody meant to keep.
_SLIVER = 0.01

translate = QCoreApplication.translate


def transformed(
    geometry: QgsGeometry,
    source: QgsCoordinateReferenceSystem,
    target: QgsCoordinateReferenceSystem,
    project: QgsProject,
) -> QgsGeometry:
    """Return a geometry in another CRS.

    Raises:
        CanvasError: when it has no place there.
    """
    moved = QgsGeometry(geometry)
    try:
        moved.transform(QgsCoordinateTransform(source, target, project))
    except QgsCsException as error:
        sentence = translate("Samples", "This place cannot be given in {}; click nearer to the image.")
        raise CanvasError(sentence.format(target.authid() or target.description())) from error
    return moved


def sample_at(
    rows: Mapping[str, QgsFeature],
    around: Mapping[str, QgsGeometry],
    center: Mapping[str, QgsPointXY],
) -> str | None:
    """Return the id of the nearest point sample within reach, else of the smallest area there, None without either.

    Args:
        rows: The samples by id.
        around: What is within reach of the click, per kind of sample, in the CRS of its table.
        center: The click, likewise.
    """
    reach, click = around[POINT], QgsGeometry.fromPointXY(center[POINT])
    box = reach.boundingBox()
    near = {
        name: row.geometry().distance(click)
        for name, row in rows.items()
        if name[0] == POINT and box.intersects(row.geometry().boundingBox()) and reach.intersects(row.geometry())
    }
    if near:
        return min(near, key=near.__getitem__)
    click = QgsGeometry.fromPointXY(center[AREA])
    under = {
        name: row.geometry().area()
        for name, row in rows.items()
        if name[0] == AREA and row.geometry().boundingBox().contains(center[AREA]) and row.geometry().contains(click)
    }
    return min(under, key=under.__getitem__) if under else None


def cut(rows: Mapping[str, QgsFeature], stroke: Mapping[str, QgsGeometry]) -> dict[str, list[QgsGeometry]]:
    """Return what a stroke leaves of the samples it touches: no geometry, one, or several pieces of an area.

    Args:
        rows: The samples by id.
        stroke: The stroke as a polygon, per kind of sample, in the CRS of its table.
    """
    left: dict[str, list[QgsGeometry]] = {}
    for name, row in rows.items():
        shape, eraser = row.geometry(), stroke[name[0]]
        if not shape.boundingBox().intersects(eraser.boundingBox()) or not shape.intersects(eraser):
            continue
        if name[0] == POINT:
            left[name] = []
            continue
        pieces = shape.makeValid().difference(eraser).asGeometryCollection()
        left[name] = [piece for piece in pieces if piece.area() > _SLIVER * shape.area()]
    return left
