# SPDX-License-Identifier: GPL-2.0-or-later
"""Geometries for the tests of the samples."""

from __future__ import annotations

from contextlib import contextmanager

from qgis.core import QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.samples_store import SamplesStore
from tests.qgis.canvas_helpers import UTM

X, Y = 334000, 5816000


def point(x: float, y: float) -> QgsGeometry:
    return QgsGeometry.fromPointXY(QgsPointXY(x, y))


def square(x: float, y: float, side: float) -> QgsGeometry:
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return QgsGeometry.fromPolygonXY([[QgsPointXY(*corner) for corner in corners]])


@contextmanager
def labelled_store(folder):
    """Open a samples file in the project with a forest at X, Y and a water 100 m east of it."""
    store = SamplesStore(folder / "job_samples.gpkg", UTM, QgsProject.instance())
    QgsProject.instance().addMapLayers([store.points, store.areas])
    store.add_class("forest", QColor("#1b7837"))
    store.add_class("water", QColor("#2166ac"))
    store.add(point(X, Y), UTM, "forest")
    store.add(point(X + 100, Y), UTM, "water")
    yield store
    store.close()
    QgsProject.instance().clear()
