# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide which stored value means "no data", and which bands hold nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rasterio.errors import RasterioIOError

from ssl4eo.errors import InputError
from ssl4eo.grid import tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.scenes.names import Names
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["TRULY_ZERO", "decide_nodata", "drop_empty"]

# Cirrus reflectance is truly zero in places, so DN 0 in B10 is not a sign of missing data.
TRULY_ZERO = "B10"

# What GIS programs fill gaps with, and the least 16-bit number: no reflectance and no backscatter is as low, in none of
# the units that are read.
_FILLS = (-9999.0, -32768.0)
# A pixel that is exactly 0 in all bands by chance is rare; a gap is not.
_GAP = 0.001
# Side of the windows that a band is searched in: a tile of ESA's 10 m JPEG 2000 files, which is decoded whole.
_SIDE = 1024


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
    for fill in _FILLS:
        if (values == fill).any():
            report.found("nodata", "inferred", "likely", f"Pixels are exactly {fill:g}, which is no measurement.")
            return fill
    if bands and all(np.issubdtype(np.dtype(band.dtype), np.integer) for band in bands):
        # DN 0 is "no data" in ESA's products (SPECIAL_VALUE_INDEX of NODATA).
        report.found("nodata", "assumed", "likely", "No value is written in the file; 0 is ESA's.")
        return 0.0
    if values.size and (values == 0).all(axis=0).mean() >= _GAP:
        report.found("nodata", "inferred", "likely", "Pixels are exactly 0 in all bands.")
        return 0.0
    report.found("nodata", "assumed", "likely", "No value is written in the file; what is not a number is no data.")
    return None


def drop_empty(
    raster: Raster, names: Names, values: NDArray[np.float64], nodata: float | None, report: Report
) -> Names:
    """Return the names without those of bands that hold nothing but 0 and "no data", while others hold more.

    A pixel is valid where all bands that are read are, so that one empty band would void the image.

    Args:
        raster: the open raster.
        names: of its bands.
        values: stored values of the named bands (C, H, W), thinned; NaN where there is no data.
        nodata: what `decide_nodata` returned.
        report: where to say what is left aside.

    Raises:
        InputError: when the file cannot be read.
    """
    named = [i for i, name in enumerate(names) if name]
    silent = [i for i, plane in zip(named, values, strict=True) if not _holds_something(plane)]
    if len(silent) == len(named):
        if named and all(_is_empty(raster, i + 1, nodata) for i in named):
            report.warn(
                "No pixel is valid: the bands hold nothing but 0 and no data; use another image, or say which value "
                "means no data (--nodata)."
            )
        return names
    kept = list(names)
    for i in silent:
        # What was looked at so far is thinned, and a band may cover a corner of the image.
        if names[i] != TRULY_ZERO and _is_empty(raster, i + 1, nodata):
            report.warn(f"{names[i]} (band {i + 1}) holds nothing but 0 and no data; it is left aside.")
            kept[i] = None
    return tuple(kept)


def _is_empty(raster: Raster, number: int, nodata: float | None) -> bool:
    missing = {value for value in (nodata, raster.bands[number - 1].nodata, raster.fill(number)) if value is not None}
    try:
        for tile in tiles(raster.grid.window, _SIDE):
            stored = raster.read([number], raster.grid.clip(tile))
            if _holds_something(stored[~np.isin(stored, list(missing))]):
                return False
    except RasterioIOError as error:
        raise InputError(f"{raster.path} cannot be read ({error}); check the file.") from error
    return True


def _holds_something(values: NDArray[np.generic]) -> bool:
    return bool((np.isfinite(values) & (values != 0)).any())
