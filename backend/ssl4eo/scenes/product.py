# SPDX-License-Identifier: GPL-2.0-or-later
"""What metadata and names say of the product that an image was made from: names, processing baseline, date."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssl4eo.scenes.raster import Raster

__all__ = ["find_baseline", "find_date", "is_harmonised", "product_names"]

# GDAL's SENTINEL2 driver, ESA's product metadata, and STAC's processing and sentinel-2 extensions.
_DATE_TAGS = (
    "date", "datetime", "acquisition_date", "acquisition_time", "sensing_time", "product_start_time",
    "datatake_1_datatake_sensing_start",
)  # fmt: skip
_BASELINE_TAGS = ("processing_baseline", "s2:processing_baseline")
# In ESA's product names only, such as S2A_MSIL2A_20220301T102101_N0400_R065_T33UUU_20220301T140000: elsewhere N0530
# may be a latitude.
_BASELINE_NAME = re.compile(r"(?<![A-Za-z0-9])MSIL(?:1C|2A)_(?:\d{8}(?:T\d{6})?_)?N(0\d)(\d\d)(?![A-Za-z0-9])")
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")


def product_names(raster: Raster) -> Iterator[str]:
    """Yield the names that may speak of the product: the scene's, its first file's, its folders', nearest first.

    Two folders up, or as many as it takes to the SAFE folder, which lies five above an L2A band.
    """
    path = raster.path if raster.path.startswith("/vsi") else os.path.abspath(raster.path)  # noqa: PTH100 - text
    pure = PurePath(path)
    yield pure.name
    file = PurePath(raster.bands[0].file).name
    if file != pure.name:
        yield file
    above = [parent.name for parent in pure.parents if parent.name][:5]
    product = next((i for i, name in enumerate(above) if name.upper().endswith(".SAFE")), None)
    yield from above[: 2 if product is None else product + 1]


def find_baseline(raster: Raster) -> tuple[float, str] | None:
    """Return the processing baseline, such as 4.0 for N0400, and one sentence that says where it stands."""
    for tag in _BASELINE_TAGS:
        text = raster.tags.get(tag, "").strip().lstrip("Nn")
        if re.fullmatch(r"\d\d\.?\d\d", text):
            text = f"{text[:2]}.{text[-2:]}"
            return float(text), f"The metadata names processing baseline {text}."
    for text in (*_product_tags(raster), *product_names(raster)):
        if match := _BASELINE_NAME.search(text):
            baseline = ".".join(match.groups())
            return float(baseline), f"The name {text} says processing baseline {baseline}."
    return None


def is_harmonised(raster: Raster) -> bool:
    """Say whether a name tells that the offset was removed, as in Earth Engine's COPERNICUS/S2_SR_HARMONIZED."""
    return any(re.search(r"harmoni[sz]ed", text.lower()) for text in (*_product_tags(raster), *product_names(raster)))


def find_date(raster: Raster) -> tuple[str, str] | None:
    """Return the day of acquisition as YYYY-MM-DD, and one sentence that says where it stands."""
    for tag in _DATE_TAGS:
        if day := _day(raster.tags.get(tag, "")):
            return day, f"The metadata says {tag} {day}."
    for part in product_names(raster):
        if day := _day(part.replace("T", " ").replace("_", " ")):
            return day, f"The name {part} says so."
    return None


def _day(text: str) -> str | None:
    for year, _dash, month, day in _DAY.findall(text):
        try:
            return dt.date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    return None


def _product_tags(raster: Raster) -> tuple[str, ...]:
    return tuple(raster.tags[tag] for tag in ("product_uri", "s2:product_uri", "collection") if tag in raster.tags)
