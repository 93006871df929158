# SPDX-License-Identifier: GPL-2.0-or-later
"""Says in words what the backend found in an image."""

from __future__ import annotations

from typing import Any, NamedTuple

from qgis.core import QgsCoordinateReferenceSystem
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.panel.encoder_words import level_name

__all__ = ["S1_BANDS", "S2_BANDS", "Fact", "area", "facts", "needs", "pixels", "title", "unit_name", "values"]

# The 13 bands of Sentinel-2 in ESA's order (Sentinel-2 User Handbook, issue 1.2, table 4).
S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
S1_BANDS = ("VV", "VH")
_SENSORS = {"S1": "Sentinel-1", "S2": "Sentinel-2"}
_KILOMETRE = 1000.0

translate = QCoreApplication.translate


def title(info: dict[str, Any]) -> str:
    """Return sensor, level and date, such as "Sentinel-2 Level-1C, 2017-02-16"."""
    if info["sensor"] is None:
        return translate("Scene", "Unknown sensor")
    name = _SENSORS.get(info["sensor"], info["sensor"])
    if info["level"]:
        name = f"{name} {level_name(info['level'])}"
    return f"{name}, {info['date']}" if info.get("date") else name


class Fact(NamedTuple):
    """A row of the table: its name, its value, and the fields of the backend's answer that it is made of."""

    name: str
    value: str
    fields: tuple[str, ...] = ()


def facts(info: dict[str, Any]) -> list[Fact]:
    """Return the rows of the table."""
    radiometry: tuple[str, ...] = ("quantification", "offset")
    if info["sensor"] == "S1":
        radiometry = ("unit",) if info["quantification"] == 1 else ("unit", "quantification")
    rows = [
        Fact(translate("Scene", "Size"), _size(info)),
        Fact(translate("Scene", "Extent"), _extent(info)),
        Fact(translate("Scene", "CRS"), _crs(info["crs"])),
        Fact(translate("Scene", "Bands"), _bands(info["bands"]), ("bands",)),
        Fact(translate("Scene", "Values"), values(info), radiometry),
        Fact(translate("Scene", "No data"), _nodata(info["nodata"]), ("nodata",)),
    ]
    return [row for row in rows if row.value]


def needs(info: dict[str, Any], *, elsewhere: bool = False) -> tuple[list[str], bool]:
    """Return what must be said before the image can be encoded, and whether it is which band is which.

    Args:
        info: What the backend found.
        elsewhere: Whether the sentences stand on another page than the form where bands are chosen.
    """
    sentences, bands_unknown = [], False
    for need in info["needs"]:
        # The backend speaks of its command line here; the panel has a form for the same.
        if "--bands" in need:
            bands_unknown = True
            here = translate(
                "Scene", "The {} bands have no names that say which Sentinel band they are; choose them below."
            )
            there = translate(
                "Scene",
                "The {} bands have no names that say which Sentinel band they are; "
                "choose the image under Imagery and say it there.",
            )
            sentences.append((there if elsewhere else here).format(len(info["bands"])))
        else:
            sentences.append(need)
    return sentences, bands_unknown


def pixels(width: int, height: int) -> str:
    """Return "1536 × 768 px"."""
    return f"{width} × {height} px"


def area(across: float, down: float) -> str:
    """Return width and height in metres as a person reads them, such as "640 × 320 m" or "15.4 × 7.7 km"."""
    if max(across, down) < _KILOMETRE:
        return f"{across:.0f} × {down:.0f} m"
    # A decimal says nothing of a whole scene.
    digits = 1 if min(across, down) < 100 * _KILOMETRE else 0
    return f"{across / _KILOMETRE:.{digits}f} × {down / _KILOMETRE:.{digits}f} km"


def values(info: dict[str, Any]) -> str:
    """Return what the stored values mean, such as "reflectance = DN / 10000" or "decibels"."""
    divisor, offset = info["quantification"], info["offset"]
    meaning = unit_name(info["unit"]) if info["sensor"] == "S1" else translate("Scene", "reflectance")
    if (divisor, offset) == (1, 0):
        return meaning
    value = f"(DN {'−' if offset < 0 else '+'} {abs(offset):g})" if offset else "DN"
    return translate("Scene", "{} = {} / {:g}").format(meaning, value, divisor)


def unit_name(unit: str) -> str:
    """Return the name of a unit of the backend, such as "decibels" for "db"."""
    return {
        "dn": translate("Scene", "digital numbers"),
        "reflectance": translate("Scene", "reflectance"),
        "db": translate("Scene", "decibels"),
        "linear": translate("Scene", "linear power"),
        "amplitude": translate("Scene", "amplitude"),
    }.get(unit, unit)


def _size(info: dict[str, Any]) -> str:
    size, across = pixels(info["width"], info["height"]), info["resolution"][0]
    if not info["crs"]:
        return size
    if QgsCoordinateReferenceSystem(info["crs"]).isGeographic():
        return translate("Scene", "{} of {:.3g}°").format(size, across)
    return translate("Scene", "{} of {:g} m").format(size, across)


def _extent(info: dict[str, Any]) -> str:
    if not info["crs"] or QgsCoordinateReferenceSystem(info["crs"]).isGeographic():
        return ""
    across, down = info["resolution"]
    return area(info["width"] * across, info["height"] * down)


def _crs(text: str | None) -> str:
    if not text:
        return translate("Scene", "none")
    crs = QgsCoordinateReferenceSystem(text)
    return f"{crs.authid()}, {crs.description()}" if crs.isValid() and crs.authid() else text[:80]


def _bands(names: list[str | None]) -> str:
    known = [name for name in names if name]
    if not known:
        return translate("Scene", "{}, unnamed").format(len(names))
    if set(known) == set(S2_BANDS):
        return translate("Scene", "all {} of Sentinel-2").format(len(S2_BANDS))
    missing = [name for name in S2_BANDS if name not in known]
    if len(missing) < len(known):
        return translate("Scene", "{}, without {}").format(len(known), ", ".join(missing))
    return ", ".join(known)


def _nodata(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
