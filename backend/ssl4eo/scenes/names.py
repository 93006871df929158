# SPDX-License-Identifier: GPL-2.0-or-later
"""Which band is which, from what the files and the user call them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ssl4eo.bands import S1_BANDS, band_at_wavelength, canonical_band
from ssl4eo.errors import InputError
from ssl4eo.scenes.folders import band_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssl4eo.scenes.info import Confidence
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["Names", "read_names", "settle_names", "tell_names"]

Names = tuple[str | None, ...]

# Metadata of a whole file that some writers use for the list of its bands.
_LIST_TAGS = ("band_names", "bands", "band_order")
_NUMBERED = re.compile(r"(?:band|channel)?[ _.-]*0*(\d{1,2}|8a)", re.IGNORECASE)


def read_names(raster: Raster, report: Report) -> Names:
    """Return what descriptions, metadata or file names call the bands, as it stands there; None where they are mute."""
    ways: tuple[tuple[Names, Confidence, str], ...] = (
        (_from_descriptions(raster), "certain", "The band descriptions say so."),
        (_from_numbers(raster), "likely", "The descriptions are numbers of Sentinel-2 bands, not simply 1, 2, 3 ..."),
        (_from_metadata(raster), "certain", "The file's metadata says so."),
        (_from_wavelengths(raster), "likely", "The wavelengths in the file are those of Sentinel-2's bands."),
        (_from_files(raster), "likely", "The names of the files say so."),
    )
    for names, confidence, because in ways:
        if any(names):
            report.found("bands", "read", confidence, because)
            return names
    return (None,) * raster.count


def tell_names(names: Names, told: Mapping[int, str], report: Report) -> Names:
    """Return the names with those of the user in place; what the user gives to one band no other band keeps.

    Raises:
        InputError: for a band number or a name that does not exist, a name told twice, or bands of two sensors.
    """
    given: dict[int, str] = {}
    for number, text in told.items():
        name = canonical_band(text)
        if not 1 <= number <= len(names):
            raise InputError(f"There is no band {number}: the image has {len(names)}; correct the band list.")
        if name is None:
            raise InputError(
                f"{text!r} is not a band of Sentinel-2 or Sentinel-1; use names such as B02, B8A, B11 or VV."
            )
        given[number] = name
    if name := next(iter(_repeated(list(given.values()))), None):
        where = ", ".join(str(number) for number, other in given.items() if other == name)
        raise InputError(f'Bands {where} are all named {name}; say which is which, as in "1=B02,2=B03".')
    result = [given.get(number, name) for number, name in enumerate(names, start=1)]
    for number, name in enumerate(result, start=1):
        if name in given.values() and number not in given:
            result[number - 1] = None
            report.warn(
                f"The file calls band {number} {name}; it is left aside, as you gave that name to another band."
            )
    if len(_sensors(list(given.values()))) > 1 or (given and len(_sensors(result)) > 1):
        raise InputError(
            f"The bands {', '.join(filter(None, result))} are of two sensors; an image is read as Sentinel-2 or as "
            "Sentinel-1, so name the bands of one."
        )
    if given:
        report.told("bands")
    return tuple(result)


def settle_names(names: Names, path: str, report: Report) -> Names:
    """Return the names without those that cannot stand: of a second sensor, or borne by several bands."""
    if len(_sensors(names)) > 1:
        report.warn(
            "The file holds bands of Sentinel-2 and of Sentinel-1: it is read as Sentinel-2, and VV and VH are left "
            "aside."
        )
        names = tuple(None if name in S1_BANDS else name for name in names)
    repeated = _repeated(names)
    for name in repeated:
        where = ", ".join(str(i) for i, other in enumerate(names, start=1) if other == name)
        report.need(
            f"Bands {where} of {path} are all named {name}; tell which one is meant, "
            f'with --bands "{names.index(name) + 1}={name}".'
        )
    return tuple(None if name in repeated else name for name in names)


def _from_descriptions(raster: Raster) -> Names:
    texts = [band.description for band in raster.bands]
    # Some writers repeat the variable's name for each band.
    if len(texts) > 1 and len(set(texts)) == 1:
        return (None,) * raster.count
    return tuple(canonical_band(text) for text in texts)


def _from_numbers(raster: Raster) -> Names:
    numbers = [_number(band.description) for band in raster.bands]
    if None in numbers or numbers == [str(i) for i in range(1, raster.count + 1)]:
        return (None,) * raster.count
    return tuple(canonical_band(number, numbers=True) for number in numbers)


def _number(text: str | None) -> str | None:
    match = _NUMBERED.fullmatch((text or "").strip())
    return match.group(1).lower() if match else None


def _from_metadata(raster: Raster) -> Names:
    # GDAL's SENTINEL2 driver says BANDNAME.
    names: Names = tuple(canonical_band(band.tags.get("bandname")) for band in raster.bands)
    for tag in _LIST_TAGS:
        listed = [part.strip(" '\"[](){}") for part in re.split(r"[,;]", raster.tags.get(tag, ""))]
        if not any(names) and len(listed) == raster.count:
            names = tuple(canonical_band(text) for text in listed)
    return names


def _from_wavelengths(raster: Raster) -> Names:
    names = [_at_wavelength(band) for band in raster.bands]
    # A hyperspectral image has several bands within one of Sentinel-2's.
    return (None,) * raster.count if _repeated(names) else tuple(names)


def _at_wavelength(band: RasterBand) -> str | None:
    # ENVI headers and GDAL's SENTINEL2 driver say WAVELENGTH, GDAL's IMAGERY domain CENTRAL_WAVELENGTH_UM.
    for tag in ("wavelength", "central_wavelength_um"):
        try:
            value = float(band.tags.get(tag, ""))
        except ValueError:
            continue
        # No band of an optical sensor lies at 20 um or above, none at 20 nm or below.
        return band_at_wavelength(value if value > 20 else value * 1000)
    return None


def _from_files(raster: Raster) -> Names:
    per_file = Counter(band.file for band in raster.bands)
    return tuple(band_of_file(band.file) if per_file[band.file] == 1 else None for band in raster.bands)


def _sensors(names: Sequence[str | None]) -> set[bool]:
    return {name in S1_BANDS for name in names if name}


def _repeated(names: Sequence[str | None]) -> list[str]:
    return [name for name, count in Counter(name for name in names if name).items() if count > 1]
