# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide the scale of Sentinel-2 values: reflectance = (stored + offset) / quantification."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.scenes.plausible import TOO_BRIGHT, brightest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.scenes.preview import Preview
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = [
    "ESA_QUANTIFICATION", "decide_quantification", "decide_unit", "default_scale", "number", "quantification_of",
    "told_unit", "vegetated", "whole_numbers", "written_scale",
]  # fmt: skip

# ESA's Level-1C and Level-2A products store reflectance x 10000 (QUANTIFICATION_VALUE in the product metadata).
ESA_QUANTIFICATION = 10000.0
_SCALE_TAG = re.compile(r"(?:scale|scale_factor|(?:l1c_toa_|l2a_boa_|boa_|toa_)?quantification_value)")
# What people multiply reflectance by: nothing, per cent, per mille, and ESA's.
_CUSTOMARY = (1.0, 100.0, 1000.0, 10000.0)
# Dense vegetation reflects 15 to 60 % of the near infrared, whatever the sensor: the SSL4EO-S12 mean of B8A is 0.26
# with a deviation of 0.13 (ssl4eo_dataset.py:27-30), and of the customary factors one at most fits.
_NEAR_INFRARED = (0.15, 0.6)
_VEGETATED_NDVI = 0.5
# Fewer pixels than this may be noise: 0.1 % of a preview.
_ENOUGH = 0.001


def quantification_of(scale: float) -> float:
    """Return the divisor that a scale stands for: 10000 for 0.0001 and for 10000.

    Raises:
        InputError: when the scale is not positive.
    """
    if not math.isfinite(scale) or scale <= 0:
        raise InputError(f"The scale {scale:g} is not positive; give for example 0.0001 for DN / 10000.")
    return round(scale if scale > 1 else 1 / scale, 6)


def default_scale(raster: Raster) -> bool:
    """Say whether the metadata hold a scale of 1, which GDAL gives to every band that has none and others copy."""
    return any(_SCALE_TAG.fullmatch(tag) and number(text) == 1 for tag, text in raster.tags.items())


def written_scale(raster: Raster, bands: Sequence[RasterBand]) -> tuple[float, str] | None:
    """Return the quantification that metadata or GDAL's band scales give, and one sentence that says where.

    A scale of 1 says nothing of whole numbers.
    """
    whole = whole_numbers(bands)
    for tag, text in raster.tags.items():
        value = number(text)
        if _SCALE_TAG.fullmatch(tag) and value is not None and value > 0 and not (whole and value == 1):
            return quantification_of(value), f"The metadata says {tag} {text}."
    scales = {band.scale for band in bands}
    if len(scales) == 1 and (scale := scales.pop()) not in (0, 1) and scale > 0:
        return quantification_of(scale), f"The bands have the scale {scale:g}."
    return None


def decide_quantification(
    raster: Raster,
    bands: Sequence[RasterBand],
    preview: Preview,
    report: Report,
    *,
    unit: str | None,
    scale: float | None,
) -> float:
    """Return the quantification of a Sentinel-2 image; an 8-bit picture is reported as a need.

    Args:
        raster: the image.
        bands: its reflectance bands.
        preview: their stored values.
        report: where to say how it came about.
        unit: what the user says; reflectance means that it is stored as it is.
        scale: what the user says.

    Raises:
        InputError: when the user's scale is not positive, or what the user says is no reflectance.
    """
    if scale is None and unit == "reflectance":
        if whole_numbers(bands):
            raise InputError(
                f"{raster.path} holds whole numbers, which are no reflectance as they stand; leave the unit out, and "
                "give the scale (--scale 0.0001 for DN / 10000) if what is found is wrong."
            )
        scale = 1.0
    if scale is not None:
        if unit == "reflectance" and quantification_of(scale) != 1:
            raise InputError(
                f"The unit reflectance and the scale {scale:g} contradict each other: values that are reflectance have "
                "the scale 1; leave one of the two out."
            )
        report.told("quantification")
        return quantification_of(scale)
    written, seen = written_scale(raster, bands), _from_vegetation(bands, preview)
    if written and not (written[0] == 1 and brightest(preview) >= TOO_BRIGHT):
        quantification, because = written
        report.found("quantification", "read", "certain", because)
        if seen and seen != quantification:
            report.warn(
                f"{because} Yet vegetation is as bright as with reflectance x {seen:g}; say --scale {1 / seen:g} if "
                "the file is wrong."
            )
        return quantification
    if {band.dtype for band in bands} == {"uint8"}:
        report.need(
            f"{raster.path} has 8-bit bands, stretched for the eye like a photo; use the reflectance image itself, or "
            "say --scale 255 if they hold reflectance x 255."
        )
        return 255.0
    return _from_values(bands, preview, seen, report)


def _from_values(bands: Sequence[RasterBand], preview: Preview, seen: float | None, report: Report) -> float:
    if seen:
        # ESA's own factor is expected; another is worth a second look.
        report.found(
            "quantification",
            "inferred",
            "likely",
            f"No scale is written in the file: vegetation is as bright as with reflectance x {seen:g}.",
            warn=seen not in (1.0, ESA_QUANTIFICATION),
        )
        return seen
    if not whole_numbers(bands) and brightest(preview) < TOO_BRIGHT:
        report.found("quantification", "inferred", "likely", "Decimal numbers below 10 are reflectance itself.")
        return 1.0
    report.found(
        "quantification",
        "assumed",
        "unsure",
        "No scale is written in the file: assumed reflectance = DN / 10000.",
        warn=True,
    )
    return ESA_QUANTIFICATION


def vegetated(red: NDArray[np.float64], infrared: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where the normalised difference vegetation index says dense vegetation, whatever the scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((infrared - red) / (infrared + red) > _VEGETATED_NDVI)


def _from_vegetation(bands: Sequence[RasterBand], preview: Preview) -> float | None:
    infrared = next((preview[name] for name in ("B08", "B8A") if name in preview), None)
    if infrared is None or "B04" not in preview:
        return None
    dense = vegetated(preview["B04"], infrared) & (preview["B04"] > 0)
    if dense.mean() < _ENOUGH:
        return None
    low, high = _NEAR_INFRARED
    typical = float(np.median(infrared[dense]))
    fitting = [q for q in _CUSTOMARY if low <= typical / q <= high and not (q == 1 and whole_numbers(bands))]
    return fitting[0] if fitting else None


def told_unit(text: str | None) -> str | None:
    """Return the unit that the user names, or None.

    Raises:
        InputError: when it is none of Sentinel-2.
    """
    unit = None if text is None else text.strip().lower()
    if unit not in (None, "dn", "reflectance"):
        raise InputError(f"{text!r} is no unit of a Sentinel-2 image; use dn or reflectance.")
    return unit


def decide_unit(told: str | None, quantification: float, report: Report) -> str:
    """Return "reflectance" where the stored values are that already, else "dn"; the user's word first."""
    if told is None:
        return "reflectance" if quantification == 1 else "dn"
    report.told("unit")
    return told


def number(text: str | None) -> float | None:
    """Return the finite number that a text says, or None."""
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def whole_numbers(bands: Sequence[RasterBand]) -> bool:
    """Say whether all bands are stored as whole numbers."""
    return all(np.issubdtype(np.dtype(band.dtype), np.integer) for band in bands)
