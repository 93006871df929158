# SPDX-License-Identifier: GPL-2.0-or-later
"""Class lists from elsewhere: the categories or values of a layer, or a table of names and colours."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Optional

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.errors import CanvasError

__all__ = ["Classes", "classes_of_csv", "classes_of_layer"]

# A name and its colour, None where the list has none.
Classes = dict[str, Optional[QColor]]

# More values than this are no classes but names, numbers or dates.
_MOST_VALUES = 254
# The first row of a table that names its columns instead of a class.
_HEADERS = ("class", "name", "label", "klasse")

translate = QCoreApplication.translate


def classes_of_layer(layer: QgsMapLayer, field: str = "") -> Classes:
    """Return the classes of a layer: of its renderer, or with `field` the values of that field.

    Raises:
        CanvasError: when it has none, or more than a map can hold.
    """
    if field:
        column = layer.fields().lookupField(field)
        values = sorted({str(value) for value in layer.uniqueValues(column, _MOST_VALUES + 1) if _is_value(value)})
        classes: Classes = dict.fromkeys(values)
    else:
        classes = _of_renderer(layer)
    if not classes:
        sentence = translate("Classes", "The layer “{}” has no classes; choose a field, or style it by categories.")
        raise CanvasError(sentence.format(layer.name()))
    _check_number(classes, layer.name())
    return classes


def classes_of_csv(path: str | Path) -> Classes:
    """Return the classes of a table with a name and, if it has one, a colour (#rrggbb or a name) per row.

    Raises:
        CanvasError: when it cannot be read, or a colour is none.
    """
    path = Path(path)
    try:
        # Excel writes a mark at the beginning.
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        sentence = translate("Classes", "“{}” cannot be read as text ({}); save it as CSV in UTF-8.")
        raise CanvasError(sentence.format(path, error)) from error
    delimiter = next((sign for sign in (";", "\t") if sign in text.partition("\n")[0]), ",")
    classes: Classes = {}
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), 1):
        name, color = (*(" ".join(cell.split()) for cell in row), "", "")[:2]
        if not name or (number == 1 and name.lower() in _HEADERS):
            continue
        if color and not QColor.isValidColor(color):
            sentence = translate("Classes", "Row {} of “{}” has the colour “{}”; write it as #rrggbb or leave it out.")
            raise CanvasError(sentence.format(number, path.name, color))
        classes.setdefault(name, QColor(color) if color else None)
    if not classes:
        sentence = translate("Classes", "“{}” holds no classes; write one name per row, and a colour behind a comma.")
        raise CanvasError(sentence.format(path.name))
    _check_number(classes, path.name)
    return classes


def _of_renderer(layer: QgsMapLayer) -> Classes:
    renderer = layer.renderer() if isinstance(layer, (QgsVectorLayer, QgsRasterLayer)) else None
    if isinstance(renderer, QgsCategorizedSymbolRenderer):
        return {
            item.label() or str(item.value()): QColor(item.symbol().color().rgb())
            for item in renderer.categories()
            if item.symbol() is not None and _is_value(item.value())
        }
    if isinstance(renderer, QgsPalettedRasterRenderer):
        return {item.label: QColor(item.color.rgb()) for item in renderer.classes() if item.label}
    return {}


def _is_value(value: object) -> bool:
    # The category for all other values is None, NULL or empty.
    return value is not None and str(value) not in ("", "NULL")


def _check_number(classes: Classes, name: str) -> None:
    if len(classes) > _MOST_VALUES:
        sentence = translate("Classes", "“{}” has more than {} values, which are no classes; choose another field.")
        raise CanvasError(sentence.format(name, _MOST_VALUES))
