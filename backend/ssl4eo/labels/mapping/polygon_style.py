# SPDX-License-Identifier: GPL-2.0-or-later
"""The colours of polygons, kept in their GeoPackage where QGIS looks for a layer's own style."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pyogrio

from ssl4eo.labels.palette import rgb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["style_table"]


def style_table(path: Path, layer: str, entries: Mapping[int, tuple[str, str]]) -> None:
    """Add the table `layer_styles` with a renderer by class, which QGIS applies when it opens the layer.

    Args:
        path: a GeoPackage with the layer.
        layer: its name; the class name is in the field `class`.
        entries: name and colour `#rrggbb` by code.
    """
    columns = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": "geom",
        "styleName": "classes",
        "styleQML": _qml(entries),
        "styleSLD": "",
        "description": "Land-cover classes",
        "owner": "",
        "ui": "",
    }
    # QGIS takes the newest of several; here there is one.
    written = np.array([datetime.now(UTC).replace(tzinfo=None)], "datetime64[ms]")
    fields = [*columns, "useAsDefault", "update_time"]
    values = [np.array([text], object) for text in columns.values()] + [np.array([True]), written]
    pyogrio.raw.write(
        path, geometry=None, field_data=values, fields=fields, layer="layer_styles", geometry_type=None, append=True
    )


def _qml(entries: Mapping[int, tuple[str, str]]) -> str:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="class", enableorderby="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for number, (name, color) in enumerate(entries.values()):
        ET.SubElement(categories, "category", value=name, label=name, symbol=str(number), render="true", type="string")
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"})
        fill = ",".join(map(str, (*rgb(color), 255)))
        properties = {
            "color": fill,
            "style": "solid",
            "outline_color": "60,60,60,255",
            "outline_width": "0.1",
            "outline_width_unit": "MM",
            "outline_style": "solid",
        }
        for key, value in properties.items():
            # QGIS writes "Option" since 3.26, and still reads "prop".
            ET.SubElement(layer, "prop", k=key, v=value)
    return ET.tostring(root, encoding="unicode")
