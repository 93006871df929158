# SPDX-License-Identifier: GPL-2.0-or-later
"""Which band is which, from what the files and the user call them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ssl4eo.bands import S1_BANDS, band_at_wavelength, canonical_band, is_foreign
from ssl4eo.errors import InputError
from ssl4eo.scenes.folders import band_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssl4eo.scenes.info import Confidence
    from ssl4eo.scenes.raster import Raster, RasterBand
    from ssl4eo.scenes.report import Report

__all__ = ["Names", "read_names", "settle_names", "strange_names", "tell_names"]

Names = tuple[str | None, ...]

# Metadata of a whole file that some writers use for the list of its bands.
_LIST_TAGS = ("band_names", "bands", "band_order")
# Besides numbers, what programs call a band for want of a name: GDAL's colour interpretations among them.
_SAY_NOTHING = {"", "b", "band", "channel", "layer", "gray", "grey", "undefined", "palette"}


def read_names(raster: Raster, report: Report) -> Names:
    """Return what descriptions, metadata or file names call the bands, as it stands there; None where they are mute.

    Each band is called by the first way that speaks of it: one file of a folder may be described and the next not.
    """
    ways: tuple[tuple[Names, Confidence, str], ...] = (
        (_from_descriptions(raster), "certain", "the band descriptions"),
        (_from_metadata(raster), "certain", "the file's metadata"),
        (_from_wavelengths(raster), "likely", "the wavelengths of Sentinel-2's bands in the file"),
        (_from_files(raster), "likely", "the names of the files"),
        (_from_numbers(raster), "likely", "the band numbers in the descriptions, which are not simply 1, 2, 3 ...,"),
    )
    names: list[str | None] = [None] * raster.count
    speaking: list[str] = []
    sure: list[Confidence] = []
    closed = _otherwise(raster)
    for found, confidence, what in ways:
        # What a stronger way gave to one band of a file, a weaker one does not give to another of it.
        held = {(band.file, name) for band, name in zip(raster.bands, names, strict=True)}
        new = {
            i: name
            for i, (band, name) in enumerate(zip(raster.bands, found, strict=True))
            if name and not names[i] and i not in closed and (band.file, name) not in held
        }
        if new:
            speaking.append(what)
            sure.append(confidence)
        for i, name in new.items():
            names[i] = name
    if speaking:
        because = f"{' and '.join(speaking)} say so."
        confidence = "likely" if "likely" in sure else "certain"
        report.found("bands", "read", confidence, because[0].upper() + because[1:])
    return tuple(names)


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
    # A guess stays one until each band that keeps its name was told.
    guessed = report.how("bands") == "inferred" and any(
        name and number not in given for number, name in enumerate(result, start=1)
    )
    if given and not guessed:
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


def strange_names(raster: Raster) -> list[str]:
    """Return what a raster calls its bands where that is no name read here and yet says something, each once.

    Numbers say nothing, nor does what is repeated for all bands, with a number or without.
    """
    lists = (_listed(raster.tags.get(tag, "")) for tag in _LIST_TAGS)
    files = [PurePosixPath(band.file).stem for band in raster.bands]
    ways = (
        [_called(band) for band in raster.bands],
        *(texts for texts in lists if len(texts) == raster.count),
        files if len(set(files)) > 1 else [],
    )
    return next(filter(None, map(_strange, ways)), [])


def _strange(texts: list[str]) -> list[str]:
    # Without numbers the names that a program made up are all the same.
    stems = [re.sub(r"[^a-z]+", "", text.lower()) for text in texts]
    if len(stems) > 1 and len(set(stems)) == 1 and not any(map(is_foreign, texts)):
        return []
    return list(dict.fromkeys(text for text, stem in zip(texts, stems, strict=True) if stem not in _SAY_NOTHING))


def _called(band: RasterBand) -> str:
    ways = (band.description, *(band.tags.get(tag) for tag in ("bandname", "band_name", "name", "long_name")))
    return next((text.strip() for text in ways if text and text.strip()), "")


def _listed(text: str) -> list[str]:
    return [part.strip(" '\"[](){}") for part in re.split(r"[,;]", text)]


def _from_descriptions(raster: Raster) -> Names:
    texts = [band.description for band in raster.bands]
    # Some writers repeat the variable's name for each band.
    if len(texts) > 1 and len(set(texts)) == 1:
        return (None,) * raster.count
    return tuple(canonical_band(text) for text in texts)


def _otherwise(raster: Raster) -> set[int]:
    """Return the places of bands that their file describes as something else, such as SCL beside B02 and B03."""
    called = _from_descriptions(raster)
    telling = {band.file for band, name in zip(raster.bands, called, strict=True) if name}
    return {
        i
        for i, band in enumerate(raster.bands)
        if band.file in telling and not called[i] and (band.description or "").strip()
    }


def _from_numbers(raster: Raster) -> Names:
    """Return Sentinel-2's bands of these numbers, in files whose bands are all called so, not by their position."""
    per_file: dict[str, list[int]] = {}
    for i, band in enumerate(raster.bands):
        per_file.setdefault(band.file, []).append(i)
    names: list[str | None] = [None] * raster.count
    for places in per_file.values():
        numbered = [_numbered(raster.bands[i].description) for i in places]
        positions = [_numbered(str(position)) for position in range(1, len(places) + 1)]
        if None not in numbered and numbered != positions:
            for i, name in zip(places, numbered, strict=True):
                names[i] = name
    return tuple(names)


def _numbered(text: str | None) -> str | None:
    return None if canonical_band(text) else canonical_band(text, numbers=True)


def _from_metadata(raster: Raster) -> Names:
    # GDAL's SENTINEL2 driver says BANDNAME.
    names: Names = tuple(canonical_band(band.tags.get("bandname")) for band in raster.bands)
    for tag in _LIST_TAGS:
        listed = _listed(raster.tags.get(tag, ""))
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
