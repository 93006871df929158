# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide which stored value means "no data"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.scenes.raster import RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["decide_nodata"]

# What programs fill gaps with: ESA and GDAL 0, GIS programs -9999, the least 16-bit number.
_FILLS = (0.0, -9999.0, -32768.0)
# A pixel that is exactly the same round number in all bands by chance is rare; a gap is not.
_GAP = 0.001


def decide_nodata(
    bands: Sequence[RasterBand], values: NDArray[np.float64], told: float | None, report: Report
) -> float | None:
    """Return the value, or None where only NaN means "no data".

    Args:
        bands: the bands that matter.
        values: their stored values (C, H, W), thinned.
        told: what the user says.
        report: where to say how it came about.
    """
    if told is not None:
        report.told("nodata")
        return None if math.isnan(told) else told
    written = [band.nodata for band in bands if band.nodata is not None]
    if written:
        report.found("nodata", "read", "certain", "The file says so.")
        value = next((value for value in written if not math.isnan(value)), None)
        return None if value is None else float(value)
    if bands and all(np.issubdtype(np.dtype(band.dtype), np.integer) for band in bands):
        # DN 0 is "no data" in ESA's products (SPECIAL_VALUE_INDEX of NODATA).
        report.found("nodata", "assumed", "likely", "No value is written in the file; 0 is ESA's.")
        return 0.0
    for fill in _FILLS:
        if values.size and (values == fill).all(axis=0).mean() >= _GAP:
            report.found("nodata", "inferred", "likely", f"Pixels are exactly {fill:g} in all bands.")
            return fill
    report.found("nodata", "assumed", "likely", "No value is written in the file; what is not a number is no data.")
    return None
