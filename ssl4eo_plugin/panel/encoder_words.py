# SPDX-License-Identifier: GPL-2.0-or-later
"""Says in words what an encoder's card holds, and whether the encoder fits an image."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QCoreApplication

__all__ = [
    "backbone",
    "facts",
    "group",
    "inputs",
    "level_name",
    "method",
    "misfit",
    "quality",
    "scaling",
    "size",
    "state",
]

# As people in the field write them.
_METHODS = {
    "moco": "MoCo",
    "dino": "DINO",
    "mae": "MAE",
    "data2vec": "data2vec",
    "fgmae": "FG-MAE",
    "decur": "DeCUR",
    "softcon": "SoftCon",
}
_BACKBONES = {
    "resnet18w32": "ResNet-18, half width",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vits16": "ViT-S/16",
    "vitb16": "ViT-B/16",
    "vitl16": "ViT-L/16",
    "vith14": "ViT-H/14",
    "vits14": "ViT-S/14",
    "vitb14": "ViT-B/14",
    "beits16": "ViT-S/16, BEiT",
}
_LEVELS = {"L1C": "Level-1C", "L2A": "Level-2A"}
_SENSORS = {"S1": "Sentinel-1", "S2": "Sentinel-2"}
_RGB = {"B04", "B03", "B02"}
_GIGABYTE = 1000.0
# What the backend puts in the place of a band that an image lacks (_STAND_INS of its scenes/info.py, with which a test
# compares this); B10 becomes zero.
_SUBSTITUTES = {"B10": None, "B01": "B02", "B09": "B8A"}

translate = QCoreApplication.translate


def method(card: dict[str, Any]) -> str:
    """Return the name of the training method, such as "MoCo"."""
    return _METHODS.get(card["method"], card["method"])


def backbone(card: dict[str, Any]) -> str:
    """Return the name of the network, such as "ResNet-50"."""
    return _BACKBONES.get(card["backbone"], card["backbone"])


def level_name(level: str) -> str:
    """Return the name of a product level, such as "Level-1C"."""
    return _LEVELS.get(level, level)


def group(card: dict[str, Any]) -> str:
    """Return what encoders are grouped by: the sensor, and whether only its visible bands are taken."""
    sensor = _SENSORS.get(card["sensor"], card["sensor"])
    return f"{sensor} RGB" if set(card["bands"]) == _RGB else sensor


def inputs(card: dict[str, Any]) -> str:
    """Return sensor and bands for a column of a table, such as "S2, 13 bands"."""
    bands = card["bands"]
    if set(bands) == _RGB:
        return f"{card['sensor']}, RGB"
    if len(bands) <= len(_RGB):
        return f"{card['sensor']}, {' '.join(bands)}"
    return translate("Encoders", "{}, {} bands").format(card["sensor"], len(bands))


def size(megabytes: float | None) -> str:
    """Return the size of a file, such as "94 MB" or "2.5 GB", "" when it is not known."""
    if not megabytes:
        return ""
    return f"{megabytes / _GIGABYTE:.1f} GB" if megabytes >= _GIGABYTE else f"{megabytes:.0f} MB"


def state(card: dict[str, Any]) -> str:
    """Return where the weights are."""
    words = {
        "bundled": translate("Encoders", "comes with the plugin"),
        "present": translate("Encoders", "on this computer"),
        "partial": translate("Encoders", "partly downloaded"),
        "damaged": translate("Encoders", "damaged"),
    }
    absent = translate("Encoders", "to download") if card["downloadable"] else translate("Encoders", "to import")
    return words.get(card["state"], absent)


def quality(mode: str, cost: float) -> str:
    """Return the name of a quality mode and what it costs, such as "Fast · a quarter of the time"."""
    names = {"fast": translate("Encoders", "Fast"), "standard": translate("Encoders", "Standard")}
    name = names.get(mode, mode.capitalize())
    if cost == 1:
        return name
    quarter = translate("Encoders", "a quarter of the time")
    return f"{name} · " + (quarter if cost == 0.25 else translate("Encoders", "{:g} × the time").format(cost))


def scaling(card: dict[str, Any]) -> str:
    """Return how the values of an image become the network's input."""
    unit = translate("Encoders", "decibels") if card["sensor"] == "S1" else translate("Encoders", "reflectance")
    rules = {
        "clip": translate("Encoders", "{}, cut to 0 to 1"),
        "standardise": translate("Encoders", "{}, cut to 0 to 1; less the mean, over the deviation of each band"),
        "two-sigma": translate("Encoders", "{}; mean ± 2 deviations of each band become 0 to 1, the rest is cut"),
    }
    return rules[card["scaling"]["rule"]].format(unit)


def facts(card: dict[str, Any]) -> str:
    """Return method, network, level and patch in one sentence, and what the card notes."""
    words = [method(card), backbone(card), level_name(card["level"])]
    if card.get("patch"):
        words.append(translate("Encoders", "one value per {0} × {0} px").format(card["patch"]))
    sentence = ", ".join(words) + "."
    return f"{sentence} {card['note']}" if card["note"] else sentence


def misfit(card: dict[str, Any], info: dict[str, Any] | None) -> str:
    """Return why an encoder does not fit an image, "" when it does or when the image is not known."""
    if info is None or info["sensor"] is None:
        return ""
    if info["sensor"] != card["sensor"]:
        takes, has = (_SENSORS.get(sensor, sensor) for sensor in (card["sensor"], info["sensor"]))
        return translate("Encoders", "It takes {}, and the image is {}.").format(takes, has)
    present = {band for band in info["bands"] if band}
    missing = [band for band in card["bands"] if not _obtainable(band, present)]
    return translate("Encoders", "The image lacks {}.").format(", ".join(missing)) if present and missing else ""


def _obtainable(band: str, present: set[str]) -> bool:
    if band in present or band not in _SUBSTITUTES:
        return band in present
    substitute = _SUBSTITUTES[band]
    return substitute is None or substitute in present
