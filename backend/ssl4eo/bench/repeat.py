# SPDX-License-Identifier: GPL-2.0-or-later
"""A scene of any size out of a small one: a VRT that repeats it, which takes no space."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ElementTree, SubElement

import rasterio
from rasterio.errors import RasterioError

from ssl4eo.errors import InputError
from ssl4eo.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

    from rasterio.io import DatasetReader

__all__ = ["LARGEST", "repeat_scene", "side_of"]

# Width and height in pixels of a Sentinel-2 tile at 10 m.
LARGEST = 10980
# One megapixel is 1024 x 1024 pixels here: the windows of a transformer, which begin every 112 pixels, then stick out
# of the image by about the same share at every size (77.2 to 78.0 of them per million pixels).
_MEGAPIXEL_SIDE = 1024
# GDAL's names of rasterio's types, where they are not the same with a capital letter.
_GDAL_TYPES = {"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}


def side_of(megapixels: float) -> int:
    """Return width and height in pixels of a square scene, at most those of a Sentinel-2 tile."""
    return min(round(_MEGAPIXEL_SIDE * math.sqrt(megapixels)), LARGEST)


def repeat_scene(source: str | PathLike[str], path: Path, side: int) -> Path:
    """Write a VRT of `side` x `side` pixels that begins where `source` does and repeats it rightwards and downwards.

    Georeference, and the names, tags, nodata values, scales and offsets of its bands, are those of the source.

    Raises:
        InputError: when GDAL cannot read the source as one raster.
        OutputError: when the file cannot be written.
    """
    try:
        with rasterio.open(source) as dataset:
            root = _dataset(dataset, side)
    except RasterioError as error:
        raise InputError(
            f"{source} is not one raster that can be repeated; write it as one with `ssl4eo harmonise` first."
        ) from error
    with atomic_file(path) as temporary:
        ElementTree(root).write(temporary, encoding="utf-8")
    return path


def _dataset(dataset: DatasetReader, side: int) -> Element:
    root = Element("VRTDataset", rasterXSize=str(side), rasterYSize=str(side))
    if dataset.crs is not None:
        SubElement(root, "SRS").text = dataset.crs.to_wkt()
    SubElement(root, "GeoTransform").text = ", ".join(repr(float(value)) for value in dataset.transform.to_gdal())
    _metadata(root, dataset.tags())
    for number in range(1, dataset.count + 1):
        band = SubElement(root, "VRTRasterBand", dataType=_gdal_type(dataset.dtypes[number - 1]), band=str(number))
        _metadata(band, dataset.tags(number))
        _describe(band, dataset, number - 1)
        for col, row, width, height in _places(dataset, side):
            _source(band, dataset, number, (col, row, width, height))
    return root


def _describe(band: Element, dataset: DatasetReader, index: int) -> None:
    facts = {
        "Description": dataset.descriptions[index],
        "NoDataValue": dataset.nodatavals[index],
        "Offset": dataset.offsets[index],
        "Scale": dataset.scales[index],
    }
    for name, value in facts.items():
        if value is not None:
            SubElement(band, name).text = value if isinstance(value, str) else repr(float(value))


def _metadata(parent: Element, tags: Mapping[str, str]) -> None:
    if not tags:
        return
    element = SubElement(parent, "Metadata")
    for key, value in tags.items():
        SubElement(element, "MDI", key=key).text = value


def _places(dataset: DatasetReader, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield column, row, width and height of each repeat, those at the right and bottom cut off."""
    for row in range(0, side, dataset.height):
        for col in range(0, side, dataset.width):
            yield col, row, min(dataset.width, side - col), min(dataset.height, side - row)


def _source(band: Element, dataset: DatasetReader, number: int, place: tuple[int, int, int, int]) -> None:
    col, row, width, height = place
    source = SubElement(band, "SimpleSource")
    name = dataset.name
    # GDAL also reads names that are no files.
    plain = Path(name).exists()
    SubElement(source, "SourceFilename", relativeToVRT="0").text = str(Path(name).resolve()) if plain else name
    SubElement(source, "SourceBand").text = str(number)
    block_height, block_width = dataset.block_shapes[number - 1]
    # With its size and type given, GDAL opens a source only when it is read.
    SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(dataset.width),
        RasterYSize=str(dataset.height),
        DataType=_gdal_type(dataset.dtypes[number - 1]),
        BlockXSize=str(block_width),
        BlockYSize=str(block_height),
    )
    for rect, left, top in (("SrcRect", 0, 0), ("DstRect", col, row)):
        SubElement(source, rect, xOff=str(left), yOff=str(top), xSize=str(width), ySize=str(height))


def _gdal_type(name: str) -> str:
    return _GDAL_TYPES.get(name, name.capitalize())
