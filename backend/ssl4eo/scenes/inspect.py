# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide from tags, names and pixel values what a raster holds, and say how sure each decision is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.bands import S1_BANDS, canonical_band
from ssl4eo.errors import InputError
from ssl4eo.scenes.cache import block_cache
from ssl4eo.scenes.info import SceneInfo
from ssl4eo.scenes.level import decide_level
from ssl4eo.scenes.names import read_names, settle_names, strange_names, tell_names
from ssl4eo.scenes.nodata import decide_nodata, drop_empty
from ssl4eo.scenes.offset import decide_offset
from ssl4eo.scenes.order import ORDERS, guess_order
from ssl4eo.scenes.place import check_place
from ssl4eo.scenes.plausible import check_reflectance, told_offset
from ssl4eo.scenes.preview import Preview, drop_fringe, read_detail, read_stored
from ssl4eo.scenes.product import find_date
from ssl4eo.scenes.radar import decide_radar, looks_like_decibels
from ssl4eo.scenes.radiometry import decide_quantification, decide_unit, told_unit
from ssl4eo.scenes.report import Report
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from ssl4eo.scenes.names import Names
    from ssl4eo.scenes.overrules import Overrules
    from ssl4eo.scenes.raster import Raster, RasterBand

__all__ = ["inspect", "inspect_raster"]

# Unnamed bands can be told apart by their values in stacks up to this many.
_MOST_UNNAMED = 13
# Names that a sentence shows of bands that are called otherwise.
_SHOWN = 4


def inspect(path: str | os.PathLike[str], **overrules: Unpack[Overrules]) -> SceneInfo:
    """Say what a raster, a folder of band files or a SAFE product holds.

    Args:
        path: what `open_raster` takes.
        **overrules: what the user knows better than the file; see `Overrules`.

    Raises:
        InputError: when nothing can be read there, or an overruling makes no sense.
    """
    with open_raster(path, nodata=overrules.get("nodata")) as raster, block_cache([raster], height=1):
        return inspect_raster(raster, **overrules)


def inspect_raster(raster: Raster, **overrules: Unpack[Overrules]) -> SceneInfo:
    """As `inspect`, of an open raster, of which it reads a thinned preview only."""
    report = Report()
    told_nodata = overrules.get("nodata")
    if told_nodata is not None and math.isinf(told_nodata):
        raise InputError(f"The nodata value {told_nodata:g} is no finite number; give for example 0, or nan for none.")
    names, stored = _names(raster, overrules, report)
    check_place(raster, names, report)
    named = [i for i, name in enumerate(names) if name]
    bands = [raster.bands[i] for i in named] or list(raster.bands)
    values = read_stored(raster, [i + 1 for i in named]) if stored is None else stored[named]
    nodata = decide_nodata(bands, values, told_nodata, report)
    if nodata is not None:
        values[values == nodata] = np.nan
    names = drop_empty(raster, names, values, nodata, report)
    drop_fringe(values)
    sensor = _sensor(names, report)
    values_of = _radar if sensor == "S1" else _optical
    if sensor is None:
        # The rest is a guess that nobody asked for, and which units and levels there are hangs on the sensor.
        overrules = {**overrules, "level": None, "unit": None}
    decided = values_of(
        raster, bands, Preview([names[i] for i in named], values), overrules, report if sensor else Report()
    )
    date = find_date(raster)
    if date:
        report.found("date", "read", "likely", date[1])
    grid = raster.grid
    return SceneInfo(
        path=raster.path,
        sensor=sensor,
        level=decided.level if sensor else None,
        bands=names,
        quantification=decided.quantification,
        offset=decided.offset,
        unit=decided.unit,
        nodata=nodata,
        width=grid.width,
        height=grid.height,
        crs=grid.crs.to_string() if grid.crs else None,
        resolution=grid.resolution,
        bounds=grid.bounds,
        simulated=raster.tags.get("simulated", "").upper() == "YES",
        date=date[0] if date else None,
        warnings=report.warnings,
        needs=report.needs,
        findings=report.findings,
        files=tuple(dict.fromkeys(band.file for band in raster.bands)),
    )


@dataclass(frozen=True)
class _Decided:
    level: str | None
    quantification: float
    offset: float
    unit: str


def _optical(
    raster: Raster, bands: Sequence[RasterBand], preview: Preview, overrules: Overrules, report: Report
) -> _Decided:
    level = decide_level(raster, "S2", preview, overrules.get("level"), report)
    unit = told_unit(overrules.get("unit"))
    quantification = decide_quantification(raster, bands, preview, report, unit=unit, scale=overrules.get("scale"))
    offset = decide_offset(
        raster, bands, preview, report, level=level, quantification=quantification, told=overrules.get("offset")
    )
    check_reflectance(preview, quantification, offset, report)
    return _Decided(level, quantification, offset, decide_unit(unit, quantification, report))


def _radar(
    raster: Raster, bands: Sequence[RasterBand], preview: Preview, overrules: Overrules, report: Report
) -> _Decided:
    level = decide_level(raster, "S1", preview, overrules.get("level"), report)
    unit, quantification = decide_radar(
        raster, bands, preview, report, unit=overrules.get("unit"), scale=overrules.get("scale")
    )
    offset = told_offset(overrules.get("offset"), report)
    return _Decided(level, quantification, offset or 0.0, unit)


def _names(raster: Raster, overrules: Overrules, report: Report) -> tuple[Names, NDArray[np.float64] | None]:
    """Return the names of the bands, and the thinned values of all bands where they had to be looked at."""
    if any(band.dtype.startswith("complex") for band in raster.bands):
        report.need(
            f"{raster.path} holds complex numbers, as a single-look radar image does; calibrate it to sigma0 in ground "
            "range first (in SNAP: Radiometric, Calibrate; then Terrain Correction)."
        )
        return (None,) * raster.count, np.empty((raster.count, 0, 0))
    told = overrules.get("bands") or {}
    names, stored = read_names(raster, report), None
    strange = [] if any(names) else strange_names(raster)
    if not any(names) and raster.count <= _MOST_UNNAMED:
        stored = read_stored(raster, range(1, raster.count + 1))
        if not strange:
            names = _guessed(raster, stored, told, overrules.get("nodata"), report)
    names = settle_names(tell_names(names, told, report), raster.path, report)
    if not any(names) and not report.needs:
        report.need(_need_of_names(raster, strange, stored))
    return names, stored


def _guessed(
    raster: Raster, stored: NDArray[np.float64], told: Mapping[int, str], nodata: float | None, report: Report
) -> Names:
    views = [stored.copy()]
    if raster.count in ORDERS:
        views.append(read_detail(raster, range(1, raster.count + 1)))
    for view in views:
        for plane, band in zip(view, raster.bands, strict=True):
            if nodata is not None or np.issubdtype(np.dtype(band.dtype), np.integer):
                plane[plane == (nodata or 0.0)] = np.nan
    guess = guess_order(views[0], [band.dtype for band in raster.bands], views[-1])
    # A name that contradicts the guess shows that it is wrong.
    if guess is None or any(guess.names[i - 1] != canonical_band(t) for i, t in told.items() if i <= raster.count):
        return (None,) * raster.count
    report.found(
        "bands",
        "inferred",
        guess.confidence,
        f"The bands have no names; taken for {', '.join(guess.names)} ({guess.confidence}), for there are "
        f"{guess.because}; check it, --bands says otherwise.",
        warn=len(told) < raster.count,
    )
    return guess.names


def _need_of_names(raster: Raster, strange: Sequence[str], stored: NDArray[np.float64] | None) -> str:
    if not strange and {band.dtype for band in raster.bands} == {"uint8"} and raster.count in (3, 4):
        return (
            f"{raster.path} has {raster.count} unnamed 8-bit bands, like a photo or a screenshot; "
            "use the Sentinel-2 image itself, with its reflectance bands."
        )
    if raster.count == 1:
        trouble = f"is called {strange[0]}, which" if strange else "has no name that"
        says = "is no band of Sentinel-2 or Sentinel-1" if strange else "says which it is"
        return (
            f"The one band of {raster.path} {trouble} {says}; "
            'tell with --bands "1=B04", or name the folder that holds the other bands too.'
        )
    which, example = "Sentinel-2 band", "1=B02,2=B03,3=B04,..."
    dtypes = [band.dtype for band in raster.bands]
    if raster.count == 2 and stored is not None and looks_like_decibels(stored[::-1], dtypes):
        which, example = "polarisation", "1=VH,2=VV"
    trouble = f"have no names that say which {which} they are"
    if strange:
        more = " ..." if len(strange) > _SHOWN else ""
        trouble = f"are called {', '.join(strange[:_SHOWN])}{more}, as no bands of Sentinel-2 or Sentinel-1 are here"
        if {text.upper() for text in strange} <= {"HH", "HV"}:
            return f"The bands of {raster.path} are {' and '.join(strange)}; use an image of VV and VH."
    return (
        f'The {raster.count} bands of {raster.path} {trouble}; tell with --bands "{example}" or name the bands in '
        "the file."
    )


def _sensor(names: Names, report: Report) -> str | None:
    if not any(names):
        return None
    sensor = "S1" if any(name in S1_BANDS for name in names) else "S2"
    bands = next(finding for finding in report.findings if finding.field == "bands")
    report.found("sensor", bands.how, bands.confidence, "The names of the bands are those of this sensor.")
    return sensor
