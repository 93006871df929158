# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols of the samples: readable on any image, in the colour of their class."""

from __future__ import annotations

import math

from qgis.core import (
    QgsFillSymbol,
    QgsMarkerSymbol,
    QgsSimpleFillSymbolLayer,
    QgsSimpleLineSymbolLayer,
    QgsSimpleMarkerSymbolLayer,
    QgsSymbol,
)
from qgis.PyQt.QtGui import QColor

__all__ = ["area_symbol", "class_color", "next_color", "paint", "point_symbol"]

# Qualitative scheme "bright", distinct also for colour-blind readers (Tol 2021, SRON/EPS/TN/09-002, figure 1),
# with green and yellow first because most maps start with vegetation.
_BRIGHT = ("#228833", "#CCBB44", "#4477AA", "#EE6677", "#66CCEE", "#AA3377", "#BBBBBB")
# Degrees: steps of the golden angle keep hues apart however many there are.
_GOLDEN_ANGLE = 137.508
# Distance in RGB (0 to 441) under which two of the scheme's greens or blues look alike on a map.
_APART = 80.0
# An area shows the image beneath it.
_AREA_ALPHA = 90


def next_color(used: list[QColor]) -> QColor:
    """Return a colour that stands apart from those in use."""
    for name in _BRIGHT:
        if all(_distance(QColor(name), color) > _APART for color in used):
            return QColor(name)
    return QColor.fromHsv(int(len(used) * _GOLDEN_ANGLE) % 360, 170, 220)


def point_symbol(color: QColor) -> QgsMarkerSymbol:
    """Return a dot in `color` with a white ring and a dark rim, so that it shows on dark and light pixels."""
    rim = QgsSimpleMarkerSymbolLayer()
    rim.setSize(3.6)
    rim.setColor(QColor(30, 30, 30, 160))
    rim.setStrokeColor(QColor(0, 0, 0, 0))
    # Locked layers keep their colour when the class gets another one.
    rim.setLocked(True)
    dot = QgsSimpleMarkerSymbolLayer()
    dot.setSize(2.8)
    dot.setColor(color)
    dot.setStrokeColor(QColor("white"))
    dot.setStrokeWidth(0.4)
    # Handed over one by one: QGIS 3.22 does not take ownership of layers in a list, and Python would free them.
    symbol = QgsMarkerSymbol()
    symbol.changeSymbolLayer(0, rim)
    symbol.appendSymbolLayer(dot)
    return symbol


def area_symbol(color: QColor) -> QgsFillSymbol:
    """Return a see-through fill and an outline in `color` with white edges, which show on its own class too."""
    edge = QgsSimpleLineSymbolLayer(QColor("white"), 1.2)
    edge.setLocked(True)
    fill = QgsSimpleFillSymbolLayer()
    fill.setStrokeWidth(0.6)
    # Not in a list, as in point_symbol.
    symbol = QgsFillSymbol()
    symbol.changeSymbolLayer(0, edge)
    symbol.appendSymbolLayer(fill)
    paint(symbol, color)
    return symbol


def paint(symbol: QgsSymbol, color: QColor) -> None:
    """Give a symbol the colour of a class and leave its size and shape as the user may have set them."""
    color = QColor(color.rgb())
    if isinstance(symbol, QgsFillSymbol):
        inside = QColor(color)
        inside.setAlpha(_AREA_ALPHA)
        symbol.setColor(inside)
        for part in symbol.symbolLayers():
            if not part.isLocked():
                part.setStrokeColor(color)
    else:
        symbol.setColor(color)


def class_color(symbol: QgsSymbol) -> QColor:
    """Return the colour of a class as its symbol shows it, without transparency."""
    return QColor(symbol.color().rgb())


def _distance(one: QColor, other: QColor) -> float:
    parts = zip((one.red(), one.green(), one.blue()), (other.red(), other.green(), other.blue()))
    return math.sqrt(sum((a - b) ** 2 for a, b in parts))
