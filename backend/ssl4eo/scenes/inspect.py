# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide from tags, names and pixel values what a raster holds, and say how sure each decision is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.bands import S1_BANDS, canonical_band
from ssl4eo.scenes.info import SceneInfo
from ssl4eo.scenes.level import decide_level, find_date
from ssl4eo.scenes.names import read_names, settle_names, tell_names
from ssl4eo.scenes.nodata import decide_nodata
from ssl4eo.scenes.offset import decide_offset
from ssl4eo.scenes.order import guess_order
from ssl4eo.scenes.place import check_place, resolution
from ssl4eo.scenes.preview import Preview, drop_fringe, read_stored
from ssl4eo.scenes.radar import decide_radar
from ssl4eo.scenes.radiometry import decide_quantification, decide_unit
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


def inspect(path: str | os.PathLike[str], **overrules: Unpack[Overrules]) -> SceneInfo:
    """Say what a raster, a folder of band files or a SAFE product holds.

    Args:
        path: what `open_raster` takes.
        **overrules: what the user knows better than the file; see `Overrules`.

    Raises:
        InputError: when nothing can be read there, or an overruling makes no sense.
    """
    with open_raster(path, nodata=overrules.get("nodata")) as raster:
        return inspect_raster(raster, **overrules)


def inspect_raster(raster: Raster, **overrules: Unpack[Overrules]) -> SceneInfo:
    """As `inspect`, of an open raster, of which it reads a thinned preview only."""
    report = Report()
    names, stored = _names(raster, overrules, report)
    check_place(raster, names, report)
    named = [i for i, name in enumerate(names) if name]
    bands = [raster.bands[i] for i in named] or list(raster.bands)
    values = read_stored(raster, [i + 1 for i in named]) if stored is None else stored[named]
    nodata = decide_nodata(bands, values, overrules.get("nodata"), report)
    if nodata is not None:
        values[values == nodata] = np.nan
    drop_fringe(values)
    sensor = _sensor(names, report)
    values_of = _radar if sensor == "S1" else _optical
    # Of a raster whose bands are unknown the rest is a guess that nobody asked for.
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
        resolution=resolution(grid),
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
    quantification = decide_quantification(raster, bands, preview, overrules.get("scale"), report)
    offset = decide_offset(raster, bands, preview, quantification, overrules.get("offset"), report)
    return _Decided(level, quantification, offset, decide_unit(overrules.get("unit"), quantification, report))


def _radar(
    raster: Raster, bands: Sequence[RasterBand], preview: Preview, overrules: Overrules, report: Report
) -> _Decided:
    level = decide_level(raster, "S1", preview, overrules.get("level"), report)
    unit, quantification = decide_radar(
        raster, bands, preview, report, unit=overrules.get("unit"), scale=overrules.get("scale")
    )
    offset = overrules.get("offset")
    if offset is not None:
        report.told("offset")
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
    if not any(names) and raster.count <= _MOST_UNNAMED:
        stored = read_stored(raster, range(1, raster.count + 1))
        names = _guessed(raster, stored.copy(), told, overrules.get("nodata"), report)
    names = settle_names(tell_names(names, told, report), raster.path, report)
    if not any(names) and not report.needs:
        report.need(_need_of_names(raster))
    return names, stored


def _guessed(
    raster: Raster, stored: NDArray[np.float64], told: Mapping[int, str], nodata: float | None, report: Report
) -> Names:
    for plane, band in zip(stored, raster.bands, strict=True):
        if nodata is not None or np.issubdtype(np.dtype(band.dtype), np.integer):
            plane[plane == (nodata or 0.0)] = np.nan
    guess = guess_order(stored, [band.dtype for band in raster.bands])
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


def _need_of_names(raster: Raster) -> str:
    if {band.dtype for band in raster.bands} == {"uint8"} and raster.count in (3, 4):
        return (
            f"{raster.path} has {raster.count} unnamed 8-bit bands, like a photo or a screenshot; "
            "use the Sentinel-2 image itself, with its reflectance bands."
        )
    if raster.count == 1:
        return (
            f"The one band of {raster.path} has no name that says which it is; "
            'tell with --bands "1=B04", or name the folder that holds the other bands too.'
        )
    return (
        f"The {raster.count} bands of {raster.path} have no names that say which Sentinel-2 band they are; "
        'tell with --bands "1=B02,2=B03,3=B04,..." or name the bands in the file.'
    )


def _sensor(names: Names, report: Report) -> str | None:
    if not any(names):
        return None
    sensor = "S1" if any(name in S1_BANDS for name in names) else "S2"
    bands = next(finding for finding in report.findings if finding.field == "bands")
    report.found("sensor", bands.how, bands.confidence, "The names of the bands are those of this sensor.")
    return sensor
