# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide the unit of a Sentinel-1 image: decibels, linear power or amplitude."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.scenes.radiometry import quantification_of, whole_numbers, written_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.scenes.preview import Preview
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["decide_radar", "looks_like_decibels"]

_UNITS = ("db", "linear", "amplitude")
# Mean and standard deviation in dB of SSL4EO-S12 (zhu-xlab/SSL4EO-S12@2156913c, ssl4eo_dataset.py:24).
_KNOWN = {"VV": (-12.55, 5.26), "VH": (-20.19, 5.91)}
# Medians of a scene lie within about three deviations of the mean; cross-polarised backscatter of land and water is
# 3 to 12 dB below the co-polarised (4 to 8 dB in the measured images).
_VV_RANGE, _VH_RANGE, _CONTRAST = (-28.0, 3.0), (-38.0, -3.0), (3.0, 12.0)
# Stored as hundredths: no radar image is at -100 dB.
_HUNDREDTHS_BELOW = -100.0

_SPOKEN = {
    "db": re.compile(r"(?<![a-z])(?:db|decibels?)(?![a-z])"),
    "amplitude": re.compile(r"amplitude"),
    "linear": re.compile(r"linear|power|intensity|natural|(?:sigma|gamma|beta)[ _-]?(?:0|nought)"),
}


def looks_like_decibels(values: NDArray[np.float64], dtypes: Sequence[str]) -> bool:
    """Say whether two unnamed bands (2, H, W) are VV and VH in decibels, or hundredths of them."""
    if any(dtype.startswith(("u", "complex")) for dtype in dtypes) or not np.isfinite(values).any(axis=(1, 2)).all():
        return False
    vv, vh = (float(np.nanmedian(plane)) for plane in values)
    factor = 100 if vv < _HUNDREDTHS_BELOW and vh < _HUNDREDTHS_BELOW else 1
    return (
        _VV_RANGE[0] <= vv / factor <= 0
        and _VH_RANGE[0] <= vh / factor <= _VH_RANGE[1]
        and _CONTRAST[0] <= (vv - vh) / factor <= _CONTRAST[1]
    )


def decide_radar(
    raster: Raster,
    bands: Sequence[RasterBand],
    preview: Preview,
    report: Report,
    *,
    unit: str | None,
    scale: float | None,
) -> tuple[str, float]:
    """Return the unit and the quantification: stored / quantification is in decibels, power or amplitude.

    Args:
        raster: the image.
        bands: its radar bands.
        preview: their stored values.
        report: where to say how it came about.
        unit: what the user says.
        scale: what the user says.

    Raises:
        InputError: for a unit or a scale that does not exist.
    """
    unit = _told(unit, report) or _spoken(raster, bands, preview, report) or _seen(bands, preview, report)
    quantification = _quantification(raster, bands, preview, unit, scale, report)
    _check(preview, unit, quantification, report)
    return unit, quantification


def _told(unit: str | None, report: Report) -> str | None:
    if unit is None:
        return None
    if unit.strip().lower() not in _UNITS:
        raise InputError(f"{unit!r} is no unit of a radar image; use {', '.join(_UNITS)}.")
    report.told("unit")
    return unit.strip().lower()


def _spoken(raster: Raster, bands: Sequence[RasterBand], preview: Preview, report: Report) -> str | None:
    texts = [raster.tags.get(tag, "") for tag in ("unit", "units")]
    for band in bands:
        texts += [
            band.description or "",
            PurePath(band.file).stem,
            band.tags.get("unit", ""),
            band.tags.get("units", ""),
        ]
    text = " ".join(texts).lower()
    for unit, pattern in _SPOKEN.items():
        match = pattern.search(text)
        if match and (unit == "db") == _negative(preview):
            report.found("unit", "read", "certain" if unit == "db" else "likely", f'A name says "{match.group()}".')
            return unit
        if match and unit == "db" and any(preview.median(name) > 0 for name in preview.names):
            report.warn(
                f'A name says "{match.group()}", yet the values are positive, as decibels of land and water are not; '
                "say --unit db if they are decibels."
            )
    return None


def _seen(bands: Sequence[RasterBand], preview: Preview, report: Report) -> str:
    if _negative(preview):
        report.found("unit", "inferred", "certain", "Most values are negative, as only decibels are.")
        return "db"
    if whole_numbers(bands):
        report.found("unit", "inferred", "likely", "The values are whole numbers, as the amplitudes of GRD are.")
        return "amplitude"
    far = {unit: _distance(preview, unit, 1.0) for unit in ("linear", "amplitude")}
    unit = min(far, key=lambda name: far[name])
    report.found(
        "unit",
        "inferred",
        "likely" if abs(far["linear"] - far["amplitude"]) > 1 else "unsure",
        f"No unit is written in the file: as {unit} values the backscatter is nearest to what land has "
        "(--unit says otherwise).",
        warn=True,
    )
    return unit


def _quantification(
    raster: Raster,
    bands: Sequence[RasterBand],
    preview: Preview,
    unit: str,
    scale: float | None,
    report: Report,
) -> float:
    if scale is not None:
        report.told("quantification")
        return quantification_of(scale)
    written = written_scale(raster, bands)
    if written is not None:
        report.found("quantification", "read", "certain", written[1])
        return written[0]
    if unit == "db":
        if max((preview.median(name) for name in preview.names), default=0) < _HUNDREDTHS_BELOW:
            because = "The medians are below -100: the values are hundredths of a decibel."
            report.found("quantification", "inferred", "certain", because, warn=True)
            return 100.0
    elif {band.dtype for band in bands} == {"uint8"}:
        report.need(
            f"{raster.path} holds 8-bit radar values, stretched for the eye; use the calibrated image (decibels or "
            "power)."
        )
    elif whole_numbers(bands):
        meant = "DN * scale" if unit == "linear" else "(DN * scale)^2"
        report.need(
            f"{raster.path} holds whole numbers, as an uncalibrated radar image does; calibrate it to sigma0 (in SNAP: "
            f"Radiometric, Calibrate), or give --scale so that sigma0 = {meant}."
        )
    report.found("quantification", "assumed", "likely", "No scale is written in the file.")
    return 1.0


def _check(preview: Preview, unit: str, quantification: float, report: Report) -> None:
    if report.needs:
        return
    middle = {name: _decibels(preview.median(name), unit, quantification) for name in preview.names}
    vv, vh = middle.get("VV", np.nan), middle.get("VH", np.nan)
    if vh > vv:
        report.warn(f"VH ({vh:.1f} dB) is brighter than VV ({vv:.1f} dB), which is rare; check which band is which.")
    for name in preview.names:
        if unit != "db" and preview.median(name) <= 0:
            report.warn(
                f"The median of {name} is {preview.median(name):.4g}, but power and amplitude are positive, so most "
                "pixels are no data; say --unit db if they are decibels."
            )
    for name, value in middle.items():
        low, high = _VV_RANGE if name == "VV" else _VH_RANGE
        if not low <= value <= high and np.isfinite(value):
            report.warn(f"The median of {name} is {value:.1f} dB, which is unlike land or water; check unit and scale.")


def _negative(preview: Preview) -> bool:
    return bool(preview.names) and all(preview.median(name) < 0 for name in preview.names)


def _distance(preview: Preview, unit: str, quantification: float) -> float:
    """Return how many standard deviations of SSL4EO-S12 the medians lie off its means, in the mean of the bands."""
    off = [
        abs(_decibels(preview.median(name), unit, quantification) - _KNOWN[name][0]) / _KNOWN[name][1]
        for name in preview.names
    ]
    return float(np.mean(off)) if np.isfinite(off).all() else np.inf


def _decibels(value: float, unit: str, quantification: float) -> float:
    value /= quantification
    if unit == "db":
        return value
    if not value > 0:
        return np.nan
    return float((10 if unit == "linear" else 20) * np.log10(value))
