# SPDX-License-Identifier: GPL-2.0-or-later
"""Sentinel-2 band names, their order, ground sampling distance and the names that other people give them."""

from __future__ import annotations

import re

__all__ = ["NATIVE_GSD", "S2_BANDS", "canonical_band"]

# Order of the 13 Level-1C bands in SSL4EO-S12 (zhu-xlab/SSL4EO-S12@2156913c,
# src/benchmark/pretrain_ssl/datasets/SSL4EO/ssl4eo_dataset.py:16) and in ESA's product format.
S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

# Metres per pixel as delivered: ESA, Sentinel-2 User Handbook, issue 1.2 (2015), table 4.
NATIVE_GSD = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20,
    "B08": 10, "B8A": 20, "B09": 60, "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip

# Asset names of the Earth Search catalogue (sentinel-2-l2a and -l1c). Its trap: `nir` is B08 and `nir08` is B8A.
_COMMON_NAMES = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04",
    "rededge1": "B05", "rededge2": "B06", "rededge3": "B07",
    "nir": "B08", "nir08": "B8A", "nir09": "B09", "cirrus": "B10", "swir16": "B11", "swir22": "B12",
}  # fmt: skip

_CODE = re.compile(r"^B(\d{1,2}|8A)$")


def canonical_band(text: str | None) -> str | None:
    """Return the canonical name ("B01" ... "B12", "B8A") of a band name, or None when it is not one.

    Accepts "B1", "B01", "b8a", "B08 (842 nm)", and the common names of the Earth Search catalogue. A bare
    number or "Band 4" says a position, not a wavelength, and is not accepted.
    """
    words = (text or "").strip().split()
    if not words:
        return None
    word = words[0].strip(",;:()").upper()
    if word.lower() in _COMMON_NAMES:
        return _COMMON_NAMES[word.lower()]
    match = _CODE.match(word)
    if match is None:
        return None
    code = match.group(1)
    name = "B8A" if code == "8A" else f"B{int(code):02d}"
    return name if name in S2_BANDS else None
