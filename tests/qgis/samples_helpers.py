# SPDX-License-Identifier: GPL-2.0-or-later
"""Geometries for the tests of the samples."""

from __future__ import annotations

from qgis.core import QgsGeometry, QgsPointXY


def point(x: float, y: float) -> QgsGeometry:
    return QgsGeometry.fromPointXY(QgsPointXY(x, y))


def square(x: float, y: float, side: float) -> QgsGeometry:
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return QgsGeometry.fromPolygonXY([[QgsPointXY(*corner) for corner in corners]])
