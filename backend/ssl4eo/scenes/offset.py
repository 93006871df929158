# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide whether the +1000 of processing baseline 04.00 is still in a Sentinel-2 image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.scenes.plausible import TOO_BRIGHT, brightest, told_offset
from ssl4eo.scenes.product import find_baseline, is_harmonised
from ssl4eo.scenes.radiometry import ESA_QUANTIFICATION, default_scale, number, vegetated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl4eo.scenes.preview import Preview
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["decide_offset"]

# RADIO_ADD_OFFSET / BOA_ADD_OFFSET since processing baseline 04.00 (January 2022; Collection 1 of earlier dates too).
_OFFSET, _BASELINE = -1000.0, 4.0
_OFFSET_TAG = re.compile(r"offset|add_offset|(?:radio|boa)_add_offset(?:_\w+)?")
# Cirrus reflectance over land is about 0.002 (SSL4EO-S12 L1C mean of B10, DN 22), so a first percentile near 1000 DN
# can only be the offset, and one far below that means that it is gone.
_FLOOR = 900.0
# Level-2A goes below 0 over deep water and in shadow, where atmospheric correction takes too much away (for which
# baseline 04.00 has the offset), so only less than -0.05 there means that the offset is gone.
_NEGATIVE_FLOOR = 500.0
# Deep water, shadow and, in the visible, vegetation reflect less than 3 %: with the offset in, some band of nearly any
# scene has its floor between 900 and this.
_DARK = 1300.0
# The darkest pixels that are no noise, as a percentage: 0.5 % of a preview are some hundred pixels.
_LOW = 0.5


@dataclass(frozen=True)
class _Floors:
    """The lowest values as if the quantification were 10000, and what they prove.

    Attributes:
        cirrus: of B10, None without it.
        bands: of every other band.
        vegetation: whether a part is vegetation if the offset is in.
        step: stored units per unit of these values.
        level: L1C, L2A or None.
    """

    cirrus: float | None
    bands: dict[str, float]
    vegetation: bool
    step: float
    level: str | None

    @property
    def decisive(self) -> float | None:
        """The offset that the cirrus band proves, else None."""
        return None if self.cirrus is None else (_OFFSET if self.cirrus >= _FLOOR else 0.0)

    @property
    def gone(self) -> str | None:
        """A band too dark for the offset to be still in it, if nothing else speaks for the offset."""
        return next((name for name, floor in self.bands.items() if floor < _FLOOR), None)

    @property
    def surely_gone(self) -> str | None:
        """A band so dark that what names or metadata say of the offset is doubted."""
        limit = _NEGATIVE_FLOOR if self.level == "L2A" else _FLOOR
        return next((name for name, floor in self.bands.items() if floor < limit), None)

    @property
    def darkest(self) -> str:
        """The band with the lowest floor; there must be one."""
        return min(self.bands, key=lambda name: self.bands[name])

    @property
    def left_in(self) -> bool:
        """Whether dark ground is as bright as with the offset in, and no band is darker."""
        dark_infrared = any(self.bands.get(name, np.inf) <= _DARK for name in ("B08", "B8A", "B11", "B12"))
        known = bool(self.bands) and _FLOOR <= self.bands[self.darkest] <= _DARK
        return known and (dark_infrared or self.vegetation)

    def stored(self, value: float) -> str:
        """Return one of these values as the file stores it."""
        return f"{float(f'{value * self.step:.4g}'):g}"


def decide_offset(
    raster: Raster,
    bands: Sequence[RasterBand],
    preview: Preview,
    report: Report,
    *,
    level: str | None,
    quantification: float,
    told: float | None,
) -> float:
    """Return what is added to stored values before they are divided by the quantification.

    Args:
        raster: the image.
        bands: its reflectance bands.
        preview: their stored values.
        report: where to say how it came about.
        level: L1C, L2A or None.
        quantification: stored values per unit of reflectance.
        told: what the user says.

    Raises:
        InputError: when the user's offset is no finite number.
    """
    offset = told_offset(told, report)
    if offset is not None:
        return offset
    written = _written(raster, bands, quantification)
    if (top := brightest(preview) / quantification) > TOO_BRIGHT:
        because = f"With this scale values up to {top:.4g} come out, from which no offset can be told."
        if written:
            report.found("offset", "read", "certain", written[1])
        else:
            report.found("offset", "assumed", "unsure", because)
        return written[0] if written else 0.0
    floors = _floors(preview, quantification, level)
    if written:
        return _trusted(written, floors, report)
    # A zero would otherwise be shown as -0.
    return round(_inferred(raster, floors, report) * floors.step, 6) + 0.0


def _floors(preview: Preview, quantification: float, level: str | None) -> _Floors:
    step = quantification / ESA_QUANTIFICATION
    cirrus = preview.percentile("B10", 1) / step if "B10" in preview else np.nan
    low = {name: preview.percentile(name, _LOW) / step for name in preview.names if name != "B10"}
    vegetation = False
    infrared = next((name for name in ("B08", "B8A") if name in preview), None)
    if infrared and "B04" in preview:
        # As reflectance is if the offset is still in.
        red, near = (preview[name] / step + _OFFSET for name in ("B04", infrared))
        vegetation = bool((vegetated(red, near) & (red > 0)).mean() > 0.01)
    known = {name: floor for name, floor in low.items() if np.isfinite(floor)}
    return _Floors(float(cirrus) if np.isfinite(cirrus) else None, known, vegetation, step, level)


def _written(raster: Raster, bands: Sequence[RasterBand], quantification: float) -> tuple[float, str] | None:
    """Return the offset in stored units that metadata or GDAL's band offsets give, and where."""
    found = [(tag, value) for tag, text in raster.tags.items()
             if _OFFSET_TAG.fullmatch(tag) and (value := number(text)) is not None]  # fmt: skip
    # Where a scale of 1 was no scale, its offset of 0 is none either.
    if default_scale(raster) and quantification != 1:
        found = [(tag, value) for tag, value in found if value != 0]
    if len({value for _, value in found}) == 1:
        tag, value = found[0]
        because = f"The metadata says {tag} {value:g}."
    else:
        offsets = {band.offset for band in bands}
        value = offsets.pop() if len(offsets) == 1 else 0.0
        if value == 0:
            return None
        because = f"The bands have the offset {value:g}."
    # -0.1 is in units of reflectance, -1000 in stored ones.
    return (round(value * quantification, 6) if abs(value) < 1 else value), because


def _trusted(written: tuple[float, str], floors: _Floors, report: Report) -> float:
    offset, because = written
    report.found("offset", "read", "certain", because)
    limit = _OFFSET / 2 * floors.step
    too_dark = floors.surely_gone or ("B10" if floors.decisive == 0 else None)
    if offset <= limit and too_dark:
        report.warn(
            f"{because} Yet {too_dark} has values too low for that, so it may be removed already; say --offset 0 if "
            "the image comes out too dark."
        )
    elif offset > limit and (floors.decisive == _OFFSET or (floors.decisive is None and floors.left_in)):
        seen = (
            f"the darkest cirrus values (B10) are near {floors.stored(floors.cirrus)}"
            if floors.cirrus is not None
            else f"no band goes below {floors.stored(floors.bands[floors.darkest])} ({floors.darkest})"
        )
        report.warn(
            f"{because} Yet {seen}, as with the +1000 of processing baseline 04.00 in; say --offset "
            f"{floors.stored(_OFFSET)} if the image comes out hazy."
        )
    return offset


def _inferred(raster: Raster, floors: _Floors, report: Report) -> float:
    baseline = find_baseline(raster)
    named = (_OFFSET if baseline[0] >= _BASELINE else 0.0) if baseline else None
    if floors.decisive is not None:
        return _by_cirrus(floors, baseline, named, report)
    if baseline and named == 0:
        report.found("offset", "read", "likely", f"{baseline[1]} Before 04.00 there was no offset.")
        return 0.0
    if gone := floors.surely_gone if baseline else floors.gone:
        because = f"{gone} has values below {floors.stored(_FLOOR)}, which it could hardly have with the offset in."
        report.found("offset", "inferred", "likely", because)
        if baseline:
            report.warn(
                f"{baseline[1]} Yet {because} The offset is taken as removed; say --offset {floors.stored(_OFFSET)} if "
                "not."
            )
        return 0.0
    if is_harmonised(raster):
        report.found("offset", "read", "likely", "A name says that the image is harmonised: without the offset.")
        return 0.0
    if baseline:
        report.found("offset", "read", "likely", f"{baseline[1]} Since 04.00 +1000 is in the file and is subtracted.")
        if floors.gone:
            report.warn(
                f"{baseline[1]} Yet {floors.gone} has values below {floors.stored(_FLOOR)}, which are rare with the "
                "offset in; say --offset 0 if the image comes out too dark."
            )
        return _OFFSET
    return _by_floors(floors, report)


def _by_cirrus(floors: _Floors, baseline: tuple[float, str] | None, named: float | None, report: Report) -> float:
    offset = floors.decisive or 0.0
    seen = f"The darkest cirrus values (B10) are near {floors.stored(floors.cirrus or 0.0)}:"
    because = (
        f"{seen} the +1000 of processing baseline 04.00 is still in the file and is subtracted."
        if offset
        else f"{seen} there is no offset in the file."
    )
    agreed = named == offset
    report.found("offset", "inferred", "certain", because, warn=bool(offset) and not agreed)
    if baseline and not agreed:
        report.warn(f"{baseline[1]} The values speak against it and are believed.")
    return offset


def _by_floors(floors: _Floors, report: Report) -> float:
    if not floors.bands:
        report.found("offset", "assumed", "unsure", "There is no valid pixel to tell an offset from.")
        return 0.0
    low = f"{floors.stored(floors.bands[floors.darkest])}"
    if floors.left_in:
        report.found(
            "offset",
            "inferred",
            "likely",
            f"No band goes below {low} ({floors.darkest}): the +1000 of processing baseline 04.00 seems to be in the "
            "file and is subtracted (--offset 0 says otherwise).",
            warn=True,
        )
        return _OFFSET
    report.found(
        "offset",
        "assumed",
        "unsure",
        f"No pixel is dark enough (the darkest, of {floors.darkest}, are near {low}) to tell whether the +1000 of "
        f"processing baseline 04.00 is in the file: assumed that it is not (--offset {floors.stored(_OFFSET)} says "
        "otherwise).",
        warn=True,
    )
    return 0.0
