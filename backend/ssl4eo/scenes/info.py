# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a scene before a pixel is used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BandPlan", "Confidence", "Finding", "How", "SceneInfo", "plan_bands"]

# Bands that may be made from another, times a gain, when the scene lacks them. B10 (cirrus) is absent from every
# Level-2A product and its median reflectance over land is about 0.002 (SSL4EO-S12 L1C mean, DN 22): zero stands in. The
# 60 m bands B01 and B09 lie 52 nm below B02 and 80 nm above B8A, but the air scatters more at the one and takes away
# most at the other, so their neighbours are scaled by the ratio of the means over all of SSL4EO-S12 L1C
# (1612.9 / 1397.6 and 837.7 / 2581.0; the table in cards.toml). docs/missing-bands.md has what that gains.
_STAND_INS: dict[str, tuple[str | None, float]] = {
    "B10": (None, 0.0),
    "B01": ("B02", 1612.9 / 1397.6),
    "B09": ("B8A", 837.7 / 2581.0),
}

How = Literal["told", "read", "inferred", "assumed"]
Confidence = Literal["certain", "likely", "unsure"]

# Level of the scene and of the encoder's training, and what to say.
_OTHER_LEVELS: dict[tuple[str | None, str | None], str] = {
    ("L2A", "L1C"): (
        "The image is Level-2A and the encoder was trained on Level-1C, so its features differ, and zero stands in for "
        "B10 where it is taken: keep samples and map to one level (docs/missing-bands.md)."
    ),
    ("RTC", "GRD"): (
        "The radar image is terrain-corrected gamma0 (RTC) and the encoder was trained on GRD (sigma0), so its "
        "features differ on slopes: keep samples and map to one kind."
    ),
}

_SENSORS = {"S1": "Sentinel-1", "S2": "Sentinel-2"}


@dataclass(frozen=True)
class Finding:
    """How one field of `SceneInfo` came about.

    `how` is "told" (by the user), "read" (from the file), "inferred" (from its values or its name) or "assumed" (for
    want of anything better); `confidence` is "certain", "likely" or "unsure"; `because` is one sentence.
    """

    field: str
    how: How
    confidence: Confidence
    because: str


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
    findings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether the file or the user names bands; False where the names were inferred or are unknown."""
        return any(self.bands) and all(f.how != "inferred" for f in self.findings if f.field == "bands")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: tuples as lists, findings as objects."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}
        return {**plain, "findings": [asdict(finding) for finding in self.findings]}

    def require_ready(self) -> None:
        """Refuse a scene of which something must be said first.

        Raises:
            InputError: with the first of `needs`.
        """
        if self.needs:
            raise InputError(self.needs[0])


@dataclass(frozen=True)
class BandPlan:
    """Where each wanted band comes from: a band of the file, or None for zeros, times a gain."""

    sources: tuple[str | None, ...]
    gains: tuple[float, ...]
    warnings: tuple[str, ...]

    def apply(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the wanted bands (C, H, W) of `sources` as `Scene.read` gives them (C, H, W)."""
        if all(gain in (0.0, 1.0) for gain in self.gains):
            return pixels
        return pixels * np.array(self.gains, np.float32)[:, None, None]


def plan_bands(info: SceneInfo, wanted: tuple[str, ...], level: str | None = None) -> BandPlan:
    """Match the bands that an encoder wants with those of a scene, by name.

    Args:
        info: what the scene is.
        wanted: names in the order in which the encoder takes them.
        level: of the images that the encoder was trained on; a scene of another one is warned of.

    Raises:
        InputError: when a band is missing that no rule replaces, or the encoder is one for another sensor.
    """
    sensor = "S1" if set(wanted) <= set(S1_BANDS) else "S2"
    if info.sensor is not None and info.sensor != sensor:
        raise InputError(
            f"{info.path} is a {_SENSORS[info.sensor]} image, but the encoder takes {_SENSORS[sensor]} "
            f"({', '.join(wanted)}); choose an encoder for {_SENSORS[info.sensor]} or another image."
        )
    present = {band for band in info.bands if band}
    other_level = _OTHER_LEVELS.get((info.level, level))
    sources: list[str | None] = []
    gains: list[float] = []
    warnings = [other_level] if other_level else []
    missing: list[str] = []
    for band in wanted:
        source, gain = (band, 1.0) if band in present else _STAND_INS.get(band, (band, 1.0))
        if source is None or source in present:
            sources.append(source)
            gains.append(gain)
            # That of another level speaks of B10, which Level-2A never has.
            if source != band and not (band == "B10" and other_level):
                made = "zero" if source is None else f"{source} x {gain:.2f}"
                warnings.append(f"{band} is missing: {made} stands in for it.")
        else:
            missing.append(band)
    if missing:
        held = ", ".join(band for band in (*S2_BANDS, *S1_BANDS) if band in present) or "none that is named"
        whole = "both polarisations, VV and VH," if sensor == "S1" else "all Sentinel-2 bands"
        raise InputError(
            f"{info.path} lacks {', '.join(missing)}, which the encoder needs (it holds {held}); "
            f"use an image with {whole} or choose another encoder."
        )
    return BandPlan(tuple(sources), tuple(gains), tuple(warnings))
