# SPDX-License-Identifier: GPL-2.0-or-later
"""Bands of Sentinel-2 and Sentinel-1, their order, ground sampling distance and the names that others give them."""

from __future__ import annotations

import re

__all__ = ["NATIVE_GSD", "S1_BANDS", "S2_BANDS", "band_at_wavelength", "canonical_band", "is_foreign"]

# Order of the 13 Level-1C bands in SSL4EO-S12 (zhu-xlab/SSL4EO-S12@2156913c,
# src/benchmark/pretrain_ssl/datasets/SSL4EO/ssl4eo_dataset.py:16) and in ESA's product format.
S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

# Order of the polarisations in the same (ssl4eo_dataset.py:18).
S1_BANDS = ("VV", "VH")

# Metres per pixel as delivered: ESA, Sentinel-2 User Handbook, issue 1.2 (2015), table 4.
NATIVE_GSD = {
    "B01": 60, "B02": 10, "B03": 10, "B04": 10, "B05": 20, "B06": 20, "B07": 20,
    "B08": 10, "B8A": 20, "B09": 60, "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip

# Centre wavelengths in nm: lowest and highest of the nominal ones (Sentinel-2 User Handbook, issue 1.2, table 4) and
# those of Sentinel-2A and 2B (ESA, Sentinel-2 Spectral Response Functions, COPE-GSEG-EOPG-TN-15-0007, version 3.0).
_CENTRES = {
    "B01": (442.2, 443), "B02": (490, 492.4), "B03": (559, 560), "B04": (664.6, 665), "B05": (703.8, 705),
    "B06": (739.1, 740.5), "B07": (779.7, 783), "B08": (832.8, 842), "B8A": (864, 865), "B09": (943.2, 945.1),
    "B10": (1373.5, 1376.9), "B11": (1610, 1614), "B12": (2185.7, 2202.4),
}  # fmt: skip
# B08 and B8A lie 22 nm apart at the closest; half of that would take one for the other. Landsat's blue (482 nm) and
# red (655 nm) stay outside.
_CENTRE_TOLERANCE = 6.0

# Compared without spaces, hyphens and underscores. Earth Search (sentinel-2-l2a and -l1c): its trap is that `nir` is
# B08 and `nir08` is B8A. The STAC extension eo 1.1 (rededge071 ...), Earth Engine ("Red Edge 4" is B8A), Digital Earth
# (nbart_nir_1, and nbart_swir_2 is B11), and plain words.
_COMMON_NAMES = {
    "coastal": "B01", "coastalaerosol": "B01", "aerosol": "B01", "aerosols": "B01", "ultrablue": "B01",
    "blue": "B02", "green": "B03", "red": "B04",
    "rededge1": "B05", "rededge2": "B06", "rededge3": "B07", "rededge4": "B8A",
    "rededge071": "B05", "rededge075": "B06", "rededge078": "B07",
    "re1": "B05", "re2": "B06", "re3": "B07", "re4": "B8A",
    "vegetationrededge1": "B05", "vegetationrededge2": "B06", "vegetationrededge3": "B07", "vegetationrededge4": "B8A",
    "nir": "B08", "nearinfrared": "B08", "nirbroad": "B08", "broadnir": "B08", "nirwide": "B08", "widenir": "B08",
    "nir08": "B8A", "nirnarrow": "B8A", "narrownir": "B8A", "nearinfrarednarrow": "B8A", "narrownearinfrared": "B8A",
    "nir09": "B09", "watervapour": "B09", "watervapor": "B09", "cirrus": "B10", "swircirrus": "B10",
    "swir16": "B11", "swir1": "B11", "shortwaveinfrared1": "B11",
    "swir22": "B12", "swir2": "B12", "shortwaveinfrared2": "B12",
    "nbartcoastalaerosol": "B01", "nbartblue": "B02", "nbartgreen": "B03", "nbartred": "B04",
    "nbartrededge1": "B05", "nbartrededge2": "B06", "nbartrededge3": "B07",
    "nbartnir1": "B08", "nbartnir2": "B8A", "nbartswir2": "B11", "nbartswir3": "B12",
}  # fmt: skip

# Words beside a band's name that leave it what it is.
_FILLERS = {
    "band", "bands", "msi", "sentinel", "sentinel2", "s2", "s2a", "s2b", "s2c", "l1c", "l2a", "toa", "boa", "surface",
    "reflectance", "central", "wavelength",
}  # fmt: skip
# Words before a band's name that make another one of it: "infra red" is not red.
_QUALIFIERS = {
    "infra", "near", "mid", "far", "short", "long", "wave", "thermal", "narrow", "broad", "wide", "deep", "dark",
    "light", "pan", "not", "non", "no",
}  # fmt: skip
# Words that make something else of it.
_DERIVED = {
    "std", "stddev", "stdev", "var", "variance", "mask", "msk", "qa", "quality", "ndvi", "ndwi", "evi", "ratio",
    "diff", "difference", "delta", "texture", "glcm", "contrast", "entropy", "angle", "zenith", "azimuth",
    "incidence", "detector", "footprint", "error", "noise", "snr", "prob", "probability", "class", "classes", "scl",
    "aot", "wvp", "cld", "snw", "count", "index",
}  # fmt: skip
# Other satellites number their bands alike: Landsat's SR_B4 (Earth Engine) and HLS.L30 files are not Sentinel-2's.
_FOREIGN = re.compile(r"(?:^|[^a-z])(?:s[rt]_b\d|landsat|modis|l30|oli|etm|tm5|l[cetom]0[4-9])(?![a-z])")

_WAVELENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(nm|nanomet[a-z]*|um|micromet[a-z]*|microns?)(?![a-z])")
_SIZE = re.compile(r"\d+m")
_CODE = re.compile(r"b0*(\d{1,2}|8a)")
_NUMBER = re.compile(r"(?:band|channel)?[ _.-]*0*(\d{1,2}|8a)", re.IGNORECASE)
# What is no part of the name: "Band 4" before "- Red", and the mission.
_PREFIX = re.compile(r"^(?:band|channel)[ _]*\d+\s*[-:=(]\s*(?=[a-z])|sentinel[ _-]?2(?!\d)")


def canonical_band(text: str | None, *, numbers: bool = False, tail: bool = False) -> str | None:
    """Return the canonical name ("B01" ... "B12", "B8A", "VV", "VH") of a band name, or None when it is not one.

    Accepts "B1", "B01", "b8a", "B08 (842 nm)", "B08_10m", a file name's stem that holds one such code, the names of
    catalogues ("nir08", "swir16") and plain words ("red edge 1", "narrow NIR"), a wavelength ("842 nm", "0.842 um"),
    and what SNAP calls a polarisation ("Sigma0_VV_db").

    Args:
        text: what the file calls the band.
        numbers: take "Band 4" or "8A" for the number of a Sentinel-2 band. Otherwise it says a position in the file,
            not a wavelength, and is not accepted.
        tail: take words at the end for the name, whatever stands before them that does not change their meaning, as
            in "S2A_33UUU_20170216_0_L2A_red_edge_1".
    """
    # The micro sign and the Greek letter look alike.
    plain = (text or "").strip().lower().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    if numbers and (match := _NUMBER.fullmatch(plain)):
        return _numbered(match.group(1))
    if _FOREIGN.search(plain):
        return None
    wavelengths = {_from_units(float(value), unit) for value, unit in _WAVELENGTH.findall(plain)}
    words = [word for word in re.split(r"[^a-z0-9]+", _WAVELENGTH.sub(" ", _PREFIX.sub("", plain))) if word]
    if len(wavelengths) == 1 and not set(words) - _FILLERS:
        return next(iter(wavelengths))
    name = _spoken(words) or (_spoken_last(words) if tail else None)
    # "B5 (865 nm)" is Landsat's near infrared, not Sentinel-2's B05.
    return name if not wavelengths or wavelengths == {name} else None


def _spoken(words: list[str]) -> str | None:
    """Return the band that words name, None when they name none or several, or what is made of one."""
    if _DERIVED.intersection(words):
        return None
    names = {word.upper() for word in words if word.upper() in S1_BANDS}
    codes = {match.group(1) for word in words if (match := _CODE.fullmatch(word))}
    if codes or names:
        found = {*names, *map(_numbered, codes)}
        return found.pop() if len(found) == 1 else None
    return _COMMON_NAMES.get("".join(word for word in words if word not in _FILLERS and not _SIZE.fullmatch(word)))


def _spoken_last(words: list[str]) -> str | None:
    """Return the band that the longest run of plain words at the end names."""
    # A code such as B4 that was refused in the whole is refused for a reason.
    if _DERIVED.intersection(words) or any(_CODE.fullmatch(word) for word in words):
        return None
    for start in range(1, len(words)):
        if words[start - 1] not in _QUALIFIERS and (name := _spoken(words[start:])):
            return name
    return None


def is_foreign(text: str) -> bool:
    """Say whether a name is of another satellite that numbers its bands alike, such as Landsat's "SR_B4"."""
    return bool(_FOREIGN.search(text.lower()))


def band_at_wavelength(nanometres: float) -> str | None:
    """Return the Sentinel-2 band whose centre lies within 6 nm, or None."""
    for name, (low, high) in _CENTRES.items():
        if low - _CENTRE_TOLERANCE <= nanometres <= high + _CENTRE_TOLERANCE:
            return name
    return None


def _from_units(value: float, unit: str) -> str | None:
    return band_at_wavelength(value if unit.startswith("n") else value * 1000)


def _numbered(code: str) -> str | None:
    name = "B8A" if code == "8a" else f"B{int(code):02d}"
    return name if name in S2_BANDS else None
