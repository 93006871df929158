# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a scene before a pixel is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError

__all__ = ["BandPlan", "SceneInfo", "plan_bands"]

# Bands that may be made from another when the scene lacks them, or set to zero (None). B10 (cirrus) is absent from
# every Level-2A product and its median reflectance over land is about 0.002 (SSL4EO-S12 L1C mean, DN 22); the
# 60 m bands B01 and B09 lie 52 nm below B02 and 80 nm above B8A.
_SUBSTITUTES: dict[str, str | None] = {"B10": None, "B01": "B02", "B09": "B8A"}


@dataclass(frozen=True)
class SceneInfo:
    """Sensor, bands, unit and place of a scene; reflectance = (DN + offset) / quantification."""

    path: str
    sensor: str | None
    level: str | None
    bands: tuple[str | None, ...]
    quantification: float
    offset: float
    unit: str
    nodata: float | None
    width: int
    height: int
    crs: str | None
    resolution: tuple[float, float]
    bounds: tuple[float, float, float, float]
    simulated: bool
    date: str | None
    warnings: tuple[str, ...]
    needs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: tuples as lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}

    def require_ready(self) -> None:
        """Refuse a scene of which something must be said first.

        Raises:
            InputError: with the first of `needs`.
        """
        if self.needs:
            raise InputError(self.needs[0])


@dataclass(frozen=True)
class BandPlan:
    """Where each wanted band comes from: a band of the file, or None for zeros."""

    sources: tuple[str | None, ...]
    warnings: tuple[str, ...]


def plan_bands(info: SceneInfo, wanted: tuple[str, ...]) -> BandPlan:
    """Match the bands that an encoder wants with those of a scene, by name.

    Raises:
        InputError: when a band is missing that no rule replaces.
    """
    present = {band for band in info.bands if band}
    sources: list[str | None] = []
    warnings: list[str] = []
    missing: list[str] = []
    for band in wanted:
        substitute = _SUBSTITUTES.get(band, band)
        if band in present:
            sources.append(band)
        elif band in _SUBSTITUTES and (substitute is None or substitute in present):
            sources.append(substitute)
            warnings.append(f"{band} is missing: {substitute or 'zero'} stands in for it.")
        else:
            missing.append(band)
    if missing:
        held = ", ".join(band for band in S2_BANDS if band in present) or "none that is named"
        raise InputError(
            f"{info.path} lacks {', '.join(missing)}, which the encoder needs (it holds {held}); "
            "use an image with all Sentinel-2 bands or choose another encoder."
        )
    return BandPlan(tuple(sources), tuple(warnings))
