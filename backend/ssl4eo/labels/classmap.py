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
import rasterio
import rasterio.shutil
from rasterio.windows import Window as RasterioWindow

from ssl4eo.errors import InputError, OutputError
from ssl4eo.files import atomic_file, require_space
from ssl4eo.labels.palette import rgb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.io import DatasetWriter

    from ssl4eo.grid import Grid, Window

__all__ = ["CLASS_NAMES", "NODATA", "ClassMapWriter", "class_map"]

NODATA = 0
# The dataset tag with the class names as JSON, {"1": "forest", ...}.
CLASS_NAMES = "CLASS_NAMES"
_BLOCK = 256
# GDALRATFieldType and GDALRATFieldUsage in gdal.h (GDAL 3.0 and later).
_INTEGER, _STRING = 0, 2
_COUNT, _NAME, _VALUE, _RED, _GREEN, _BLUE = 1, 2, 5, 6, 7, 8


@dataclass
class ClassMapWriter:
    """Takes the map window by window and counts its pixels per class code."""

    dataset: DatasetWriter
    counts: NDArray[np.int64]

    def write(self, window: Window, codes: NDArray[np.uint8]) -> None:
        """Write codes (H, W) at a window of the map."""
        self.dataset.write(codes, 1, window=RasterioWindow(window.col, window.row, window.width, window.height))
        self.counts += np.bincount(codes.ravel(), minlength=256)


@contextmanager
def class_map(path: str | Path, grid: Grid, colors: Mapping[str, str]) -> Iterator[ClassMapWriter]:
    """Open a class map for writing; it and its companions appear when the block ends well, or not at all.

    Beside `path` come `path`.aux.xml (category names and attribute table for GDAL and QGIS) and a .qml (QGIS style).

    Args:
        path: a .tif or .tiff.
        grid: its place.
        colors: `#rrggbb` by class name, in map order: the first is code 1.

    Raises:
        InputError: when `path` is not a GeoTIFF's name or its folder does not exist.
        OutputError: when it cannot be written.
    """
    out = Path(path)
    if out.suffix.lower() not in {".tif", ".tiff"}:
        raise InputError(f"The class map {out} is written as a GeoTIFF; give it a name that ends in .tif.")
    style, table = out.with_suffix(".qml"), out.with_name(out.name + ".aux.xml")
    # Contexts end from the right: the map itself is renamed last, when all that describes it is there.
    with atomic_file(out) as final, atomic_file(style) as qml, atomic_file(table) as pam:
        # The scratch file is plain and whole, the final one compressed: both may lie on the disk at once.
        require_space(out.parent, 2 * grid.width * grid.height)
        scratch = final.with_suffix(".scratch.tif")
        try:
            with _scratch(scratch, grid, colors) as dataset:
                writer = ClassMapWriter(dataset, np.zeros(256, np.int64))
                yield writer
            rasterio.shutil.copy(
                scratch,
                final,
                driver="COG",
                compress="DEFLATE",
                blocksize=_BLOCK,
                overview_resampling="mode",
                BIGTIFF="IF_SAFER",
            )
            _verify(final, out, writer.counts)
            _write_xml(pam, _attribute_table(colors, writer.counts))
            _write_xml(qml, _style(colors), doctype="<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n")
        finally:
            for leftover in (scratch, scratch.with_name(scratch.name + ".aux.xml")):
                leftover.unlink(missing_ok=True)
            final.with_name(final.name + ".aux.xml").unlink(missing_ok=True)


def _scratch(path: Path, grid: Grid, colors: Mapping[str, str]) -> DatasetWriter:
    dataset = rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.width,
        height=grid.height,
        count=1,
        dtype="uint8",
        crs=grid.crs,
        transform=grid.transform,
        nodata=NODATA,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        photometric="palette",
        BIGTIFF="IF_SAFER",
    )
    names = {str(code): name for code, name in enumerate(colors, start=1)}
    dataset.update_tags(**{CLASS_NAMES: json.dumps(names, ensure_ascii=False)})
    dataset.set_band_description(1, "class")
    palette = {code: (*rgb(color), 255) for code, color in enumerate(colors.values(), start=1)}
    dataset.write_colormap(1, {NODATA: (0, 0, 0, 0), **palette})
    return dataset


def _verify(path: Path, out: Path, counts: NDArray[np.int64]) -> None:
    """Read the map back: a full disk can go unnoticed until the last block is flushed at closing."""
    found = np.zeros(256, np.int64)
    with rasterio.open(path) as dataset:
        for _, window in dataset.block_windows(1):
            found += np.bincount(dataset.read(1, window=window).ravel(), minlength=256)
    if not np.array_equal(found, counts):
        raise OutputError(f"Cannot write {out}: what was written reads back differently; check the disk.")


def _attribute_table(colors: Mapping[str, str], counts: NDArray[np.int64]) -> ET.Element:
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = ET.SubElement(band, "CategoryNames")
    for name in ("", *colors):
        ET.SubElement(names, "Category").text = name
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
    for code, (name, color) in enumerate(colors.items(), start=1):
        row = ET.SubElement(table, "Row", index=str(code - 1))
        for value in (code, name, counts[code], *rgb(color)):
            ET.SubElement(row, "F").text = str(value)
    return root


def _style(colors: Mapping[str, str]) -> ET.Element:
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    ET.SubElement(renderer, "rasterTransparency")
    palette = ET.SubElement(renderer, "colorPalette")
    for code, (name, color) in enumerate(colors.items(), start=1):
        ET.SubElement(palette, "paletteEntry", value=str(code), color=color, label=name, alpha="255")
    ET.SubElement(root, "blendMode").text = "0"
    return root


def _write_xml(path: Path, root: ET.Element, doctype: str = "") -> None:
    ET.indent(root)
    path.write_text(doctype + ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8")
