# SPDX-License-Identifier: GPL-2.0-or-later
"""The class map on disk: a Cloud Optimized GeoTIFF with colours and names, its attribute table, and a QGIS style."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from ssl4eo.files import atomic_file
from ssl4eo.labels.mapping.areas import pixel_areas
from ssl4eo.labels.mapping.bytemap import ByteWriter, byte_map, require_tif
from ssl4eo.labels.palette import rgb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from ssl4eo.grid import Grid, Window

__all__ = ["CLASS_NAMES", "NODATA", "NONE", "NONE_NAME", "PROVENANCE", "ClassMapWriter", "class_map", "legend"]

NODATA = 0
# What lies beyond all classes; class codes end at 254.
NONE = 255
NONE_NAME = "none of these"
_NONE_COLOR = "#9a9a9a"
# The dataset tag with the class names as JSON, {"1": "forest", ...}.
CLASS_NAMES = "CLASS_NAMES"
# What tags begin with that say what the map was made of.
PROVENANCE = "SSL4EO_"
# GDALRATFieldType and GDALRATFieldUsage in gdal.h (GDAL 3.0 and later).
_INTEGER, _STRING = 0, 2
_COUNT, _NAME, _VALUE, _RED, _GREEN, _BLUE = 1, 2, 5, 6, 7, 8


@dataclass
class ClassMapWriter:
    """Takes the map window by window, and adds up its pixels and their area per class code.

    Attributes:
        areas: (256,) square metres on the ground.
    """

    bytes: ByteWriter
    of_row: NDArray[np.float64]
    areas: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pixels (256,) per code."""
        return self.bytes.counts

    def write(self, window: Window, codes: NDArray[np.uint8]) -> None:
        """Write codes (H, W) at a window of the map."""
        self.bytes.write(window, codes)
        size = self.of_row[window.row : window.row_stop]
        if np.all(size == size[0]):
            self.areas += size[0] * np.bincount(codes.ravel(), minlength=256)
        else:
            for row, area in zip(codes, size, strict=True):
                self.areas += area * np.bincount(row, minlength=256)


def legend(colors: Mapping[str, str], *, none: bool = False) -> dict[int, tuple[str, str]]:
    """Return name and colour by code: the classes from 1 on in map order, then what is none of them if that can be."""
    entries = dict(enumerate(colors.items(), start=1))
    return {**entries, NONE: (NONE_NAME, _NONE_COLOR)} if none else entries


@contextmanager
def class_map(
    path: str | Path,
    grid: Grid,
    colors: Mapping[str, str],
    *,
    none: bool = False,
    about: Mapping[str, str] | None = None,
) -> Iterator[ClassMapWriter]:
    """Open a class map for writing; it and its companions appear when the block ends well, or not at all.

    Beside `path` come `path`.aux.xml (category names and attribute table for GDAL and QGIS) and a .qml (QGIS style).

    Args:
        path: a .tif or .tiff.
        grid: its place.
        colors: `#rrggbb` by class name, in map order: the first is code 1.
        none: whether pixels can be none of the classes, code 255.
        about: what the map was made of, kept in its tags.

    Raises:
        InputError: when `path` is not a GeoTIFF's name or its folder does not exist.
        OutputError: when it cannot be written.
    """
    out = Path(path)
    require_tif(out, "The class map")
    entries = legend(colors, none=none)

    def describe(dataset: DatasetWriter) -> None:
        names = {str(code): name for code, (name, _) in entries.items()}
        tags = {f"{PROVENANCE}{key.upper()}": value for key, value in (about or {}).items()}
        dataset.update_tags(**{CLASS_NAMES: json.dumps(names, ensure_ascii=False)}, **tags)
        dataset.set_band_description(1, "class")
        palette = {code: (*rgb(color), 255) for code, (_, color) in entries.items()}
        dataset.write_colormap(1, {NODATA: (0, 0, 0, 0), **palette})

    style, table = out.with_suffix(".qml"), out.with_name(out.name + ".aux.xml")
    # Contexts end from the right: the map itself is renamed last, when all that describes it is there.
    with atomic_file(out) as final, atomic_file(style) as qml, atomic_file(table) as pam:
        with byte_map(final, out, grid, NODATA, "mode", describe) as writer:
            yield (made := ClassMapWriter(writer, pixel_areas(grid), np.zeros(256)))
        _write_xml(pam, _attribute_table(entries, made.counts))
        _write_xml(qml, _style(entries), doctype="<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n")


def _attribute_table(entries: Mapping[int, tuple[str, str]], counts: NDArray[np.int64]) -> ET.Element:
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = ET.SubElement(band, "CategoryNames")
    for code in range(max(entries) + 1):
        ET.SubElement(names, "Category").text = entries[code][0] if code in entries else ""
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    fields = (
        ("Value", _INTEGER, _VALUE),
        ("Class", _STRING, _NAME),
        ("Count", _INTEGER, _COUNT),
        ("Red", _INTEGER, _RED),
        ("Green", _INTEGER, _GREEN),
        ("Blue", _INTEGER, _BLUE),
    )
    for index, (name, kind, usage) in enumerate(fields):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, tag).text = str(text)
    for index, (code, (name, color)) in enumerate(entries.items()):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (code, name, counts[code], *rgb(color)):
            ET.SubElement(row, "F").text = str(value)
    return root


def _style(entries: Mapping[int, tuple[str, str]]) -> ET.Element:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    ET.SubElement(renderer, "rasterTransparency")
    palette = ET.SubElement(renderer, "colorPalette")
    for code, (name, color) in entries.items():
        ET.SubElement(palette, "paletteEntry", value=str(code), color=color, label=name, alpha="255")
    ET.SubElement(root, "blendMode").text = "0"
    return root


def _write_xml(path: Path, root: ET.Element, doctype: str = "") -> None:
    ET.indent(root)
    path.write_text(doctype + ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8")
