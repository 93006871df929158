# SPDX-License-Identifier: GPL-2.0-or-later
"""Places on the real Havel scene whose land cover OpenStreetMap knows: some to click, others to check the map at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

# Upper left corner and pixel size in metres of s2l1c_13band_10m.tif (EPSG:32633), and a window of 512 x 512 pixels in
# it with lake, wood and fields under a clear sky.
LEFT, TOP, PIXEL = 330000.0, 5822040.0, 10.0
COLUMN, ROW, SIDE = 512, 256, 512
EXTENT = (
    LEFT + COLUMN * PIXEL,
    TOP - (ROW + SIDE) * PIXEL,
    LEFT + (COLUMN + SIDE) * PIXEL,
    TOP - ROW * PIXEL,
)
# `fclass` of the OSM polygons -> colour; three covers that a winter image tells apart.
CLASSES = {"forest": "#1b7837", "water": "#2166ac", "farm": "#e6c35c"}
# Metres that every place keeps from its polygon's border, where pixels are mixed.
INSIDE = 25.0
# Smallest area in square metres of what then is left of a polygon.
SMALLEST = 2000.0


@dataclass(frozen=True)
class Places:
    """What to click, and the polygons, none of them clicked, where the map is checked."""

    samples: list[dict[str, object]]
    held_out: list[tuple[str, shapely.Geometry]]


def places(labels: Path, per_class: int) -> Places:
    """Split the polygons of each class: one point in each of `per_class` large ones, the others held out."""
    meta, _, shapes, columns = pyogrio.raw.read(labels, columns=["fclass"])
    assert meta["crs"] == "EPSG:32633"
    samples: list[dict[str, object]] = []
    held_out: list[tuple[str, shapely.Geometry]] = []
    for name in CLASSES:
        found = shapely.from_wkb(shapes[columns[0] == name])
        inner = shapely.buffer(shapely.intersection(found, shapely.box(*EXTENT)), -INSIDE)
        inner = sorted((shape for shape in inner if shape.area >= SMALLEST), key=lambda shape: -shape.area)
        # Every other one, so that large and small ones fall on both sides.
        clicked = inner[0 : 2 * per_class : 2]
        for shape in clicked:
            x, y = shapely.maximum_inscribed_circle(shape).coords[0]
            samples.append({"class": name, "x": x, "y": y})
        held_out += [(name, shape) for shape in inner if shape not in clicked]
    return Places(samples, held_out)


def held_out_classes(places: Places) -> NDArray[np.uint8]:
    """Burn the held-out polygons into the window: 0 = unknown, i + 1 = the i-th of CLASSES."""
    transform = Affine(PIXEL, 0, EXTENT[0], 0, -PIXEL, EXTENT[3])
    codes = {name: i + 1 for i, name in enumerate(CLASSES)}
    shapes = [(shape, codes[name]) for name, shape in places.held_out]
    return rasterize(shapes, (SIDE, SIDE), transform=transform, fill=0, dtype="uint8")
