# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide the processing level from metadata, names and bands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes.product import product_names

if TYPE_CHECKING:
    from ssl4eo.scenes.preview import Preview
    from ssl4eo.scenes.raster import Raster
    from ssl4eo.scenes.report import Report

__all__ = ["decide_level"]

LEVELS = {"S2": ("L1C", "L2A"), "S1": ("GRD", "RTC")}

# GDAL's SENTINEL2 driver, ESA's product metadata, and STAC's processing and sentinel-2 extensions.
_LEVEL_TAGS = (
    "level", "processing_level", "processing:level", "product_type", "s2:product_type", "product_uri",
    "s2:product_uri", "product_level", "collection",
)  # fmt: skip

# Words in metadata and names: L1C, MSIL1C (ESA's product names), S2MSI1C (product type), S2L1C, GRDH, S1RTC ...
_WORDS = {
    "L1C": re.compile(r"(?:s2[abc]?|sentinel2)?(?:(?:msi)?l1c|msi1c)"),
    "L2A": re.compile(r"(?:s2[abc]?|sentinel2)?(?:(?:msi)?l2a|msi2a)"),
    "GRD": re.compile(r"(?:s1[abc]?|sentinel1)?grd[fhm]?"),
    "RTC": re.compile(r"(?:s1[abc]?|sentinel1)?rtc"),
}
_PHRASES = {
    "L1C": re.compile(r"level[ _-]?1c|top[ _-]of[ _-](the[ _-])?atmosphere|(?<![a-z])toa(?![a-z])"),
    "L2A": re.compile(
        r"level[ _-]?2a|bottom[ _-]of[ _-](the[ _-])?atmosphere|surface[ _-]reflectance|(?<![a-z])boa(?![a-z])"
        r"|(?<![a-z])s2[ _-]sr(?![a-z])"
    ),
    "RTC": re.compile(r"terrain[ _-](corrected|flattened)|gamma[ _-]?0"),
}


def decide_level(raster: Raster, sensor: str, preview: Preview, told: str | None, report: Report) -> str | None:
    """Return L1C, L2A, GRD or RTC, or None where nothing tells.

    Raises:
        InputError: when the user names a level that the sensor does not have.
    """
    if told is not None:
        level = told.strip().upper()
        if level not in LEVELS[sensor]:
            raise InputError(f"{told!r} is no level of {sensor}; use {' or '.join(LEVELS[sensor])}.")
        report.told("level")
        return level
    tagged, named = _tagged_level(raster, sensor), _named_level(raster, sensor)
    if tagged:
        level, because = tagged
        report.found("level", "read", "certain", because)
        if named and named[0] != level:
            report.warn(f"{because} {named[1]} The metadata is believed; say --level {named[0]} if it is wrong.")
    elif named:
        level, because = named
        report.found("level", "read", "likely", because)
    else:
        return _level_of_bands(preview, report) if sensor == "S2" else _level_of_radar(raster, report)
    if level == "L2A" and _has_cirrus(preview):
        report.warn(f"{because} Yet there is a cirrus band (B10), which no Level-2A product holds; check the level.")
    return level


def _tagged_level(raster: Raster, sensor: str) -> tuple[str, str] | None:
    for tag in _LEVEL_TAGS:
        text = raster.tags.get(tag, "")
        if level := _level_in(text, sensor):
            return level, f'The metadata says {tag} "{text}".'
    return None


def _named_level(raster: Raster, sensor: str) -> tuple[str, str] | None:
    for part in product_names(raster):
        if level := _level_in(part, sensor):
            return level, f"The name {part} says {level}."
    return None


def _level_in(text: str, sensor: str) -> str | None:
    lower = text.lower()
    words = re.split(r"[^a-z0-9]+", lower)
    for level in LEVELS[sensor]:
        if any(_WORDS[level].fullmatch(word) for word in words):
            return level
    return next((level for level in LEVELS[sensor] if level in _PHRASES and _PHRASES[level].search(lower)), None)


def _has_cirrus(preview: Preview) -> bool:
    # Stacks made up to 13 bands hold zeros in its place.
    return "B10" in preview and bool((np.nan_to_num(preview["B10"]) != 0).any())


def _level_of_bands(preview: Preview, report: Report) -> str | None:
    if _has_cirrus(preview):
        report.found("level", "inferred", "likely", "There is a cirrus band (B10), which Level-2A products never hold.")
        return "L1C"
    held = {name for name in preview.names if name != "B10" and np.isfinite(preview[name]).any()}
    if held == set(S2_BANDS) - {"B10"}:
        because = "There are all bands but cirrus (B10), as in Level-2A products."
        if "B10" in preview:
            because = "Cirrus (B10) is there but empty, as in Level-2A products that were made up to 13 bands."
        report.found("level", "inferred", "likely", because)
        return "L2A"
    report.found("level", "inferred", "unsure", "Nothing says whether it is Level-1C or Level-2A.")
    return None


def _level_of_radar(raster: Raster, report: Report) -> str:
    described = " ".join(band.description or "" for band in raster.bands).lower()
    if _PHRASES["RTC"].search(described):
        report.found("level", "inferred", "likely", "The bands are gamma0, as terrain-corrected images are.")
        return "RTC"
    if re.search(r"sigma[ _-]?0|amplitude", described):
        report.found("level", "inferred", "likely", "The bands are sigma0 or amplitude, as ground-range images are.")
        return "GRD"
    if all(np.issubdtype(np.dtype(band.dtype), np.unsignedinteger) for band in raster.bands):
        report.found("level", "inferred", "likely", "The values are whole numbers, as the amplitudes of GRD are.")
        return "GRD"
    report.found(
        "level",
        "assumed",
        "unsure",
        "Nothing says whether the radar image is GRD (sigma0) or RTC (terrain-corrected gamma0): taken for GRD.",
        warn=True,
    )
    return "GRD"
