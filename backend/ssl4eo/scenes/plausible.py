# SPDX-License-Identifier: GPL-2.0-or-later
"""Refuse what no image can have, and warn of reflectance that no ground has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from ssl4eo.scenes.preview import Preview
    from ssl4eo.scenes.report import Report

__all__ = ["TOO_BRIGHT", "brightest", "check_reflectance", "told_offset"]

# A reflectance over 10 is no reflectance: glint and cloud stay below 3.
TOO_BRIGHT = 10.0
# Atmospheric correction takes Level-2A a little below 0 over water and in shadow, but not half of an image so far.
_TOO_DARK = -0.05


def told_offset(offset: float | None, report: Report) -> float | None:
    """Return the offset that the user says, or None.

    Raises:
        InputError: when it is no finite number.
    """
    if offset is None:
        return None
    if not math.isfinite(offset):
        raise InputError(f"The offset {offset:g} is no finite number; give for example -1000, or leave it out.")
    report.told("offset")
    return offset


def brightest(preview: Preview) -> float:
    """Return the 99th percentile of the brightest band in stored values, NaN when no pixel is valid."""
    values = (preview.percentile(name, 99) for name in preview.names)
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def check_reflectance(preview: Preview, quantification: float, offset: float, report: Report) -> None:
    """Warn where scale and offset make what is no reflectance of the stored values.

    Args:
        preview: the stored values.
        quantification: reflectance = (stored + offset) / quantification.
        offset: the same.
        report: where to say so.
    """
    top = (brightest(preview) + offset) / quantification
    remedy = "check --scale and --offset"
    if top <= 0:
        report.warn(f"No reflectance is above 0 (the brightest come to {top:.3g}); {remedy}.")
        return
    if top > TOO_BRIGHT:
        report.warn(f"Reflectances up to {top:.4g} come out, and even clouds stay below 3; {remedy}.")
    # One doubt of the offset is enough.
    if any("--offset" in warning for warning in report.warnings):
        return
    dark = {name: (preview.median(name) + offset) / quantification for name in preview.names}
    dark = {name: value for name, value in dark.items() if value < _TOO_DARK}
    if dark:
        name = min(dark, key=lambda name: dark[name])
        more = f" and {len(dark) - 1} more bands" if len(dark) > 1 else ""
        report.warn(f"Half of the reflectances of {name}{more} are below 0 (median {dark[name]:.3g}); {remedy}.")
