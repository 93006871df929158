# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the values of two feature sets mean the same, so that what was learnt on one serves the other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ssl4eo.features.item import PROJECTION_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssl4eo.features.store import FeatureSet, Level

__all__ = ["difference", "meaning_of"]

_SAME_SETTINGS = "encode both scenes with the same settings"


def meaning_of(features: FeatureSet) -> dict[str, Any]:
    """Return what of a feature set decides what its values mean, in JSON form.

    How values are rounded to bytes is not part of it: they are read back as numbers.
    """
    properties = features.item["properties"]
    encoders = properties.get("ssl4eo:encoders", [properties["ssl4eo:encoder"]])
    scenes = properties.get("ssl4eo:scenes", [])
    return {
        "encoders": [{key: entry.get(key) for key in ("id", "weights_sha256", "mode")} for entry in encoders],
        "scenes": [{key: entry.get(key) for key in ("sensor", "level")} for entry in scenes],
        "levels": [_level(features, level) for level in features.levels],
    }


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> str | None:
    """Say in words what the first difference of two meanings is and what to do; None when there is none.

    Args:
        wanted: of the features that something was learnt on.
        found: of those that it is to serve.
    """
    for what, one, other, remedy in _facts(wanted, found):
        if one != other:
            return f"{what} {_text(one)} there and {_text(other)} here; {remedy}"
    return None


def _facts(wanted: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield what is compared, its value there and here, and the remedy; the plainest cause first."""
    then, now = ([entry["id"] for entry in one["encoders"]] for one in (wanted, found))
    yield "the encoder is", then, now, "encode with the same encoder"
    for one, other in zip(wanted["encoders"], found["encoders"], strict=False):
        remedy = "encode with the same weights and mode"
        yield f"the weights of {one['id']} (sha256) are", one["weights_sha256"], other["weights_sha256"], remedy
        yield f"the mode of {one['id']} is", one["mode"], other["mode"], remedy
    yield "the number of scenes is", len(wanted["scenes"]), len(found["scenes"]), _SAME_SETTINGS
    for one, other in zip(wanted["scenes"], found["scenes"], strict=False):
        yield "the sensor is", one["sensor"], other["sensor"], "take a scene of the same sensor"
        yield "the processing level is", one["level"], other["level"], "take a scene of the same level"
    yield "the number of levels is", len(wanted["levels"]), len(found["levels"]), _SAME_SETTINGS
    for index, (one, other) in enumerate(zip(wanted["levels"], found["levels"], strict=False)):
        for key in ("kind", "scene", "encoder", "stride"):
            yield f"the {key} of level {index} is", one[key], other[key], _SAME_SETTINGS
        remedy = "take scenes with the same bands, encoded with the same settings"
        yield f"the components of level {index} are", *_apart(one["components"], other["components"]), remedy
        remedy = "encode this scene with the projection of the other (`encode --projection FEATURES`)"
        yield f"the projection of level {index} (sha256) is", one["projection"], other["projection"], remedy


def _level(features: FeatureSet, level: Level) -> dict[str, Any]:
    return {
        "kind": level.kind,
        "scene": level.scene,
        "encoder": level.encoder,
        "stride": level.stride,
        # Components of a network have no names that say more than their number.
        "components": list(level.names) if level.of_scene else level.components,
        "projection": None if level.of_scene else _projection(features, level.index),
    }


def _projection(features: FeatureSet, index: int) -> str | None:
    try:
        with (
            (features.folder / PROJECTION_FILE).open("rb") as stream,
            np.load(stream, allow_pickle=False) as stored,
        ):
            content = stored[f"mean_{index}"].tobytes() + stored[f"components_{index}"].tobytes()
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return hashlib.sha256(content).hexdigest()


def _apart(one: Any, other: Any) -> tuple[Any, Any]:
    """Return of two lists of names what only one of them has, so that a long list does not hide it."""
    if not (isinstance(one, list) and isinstance(other, list)) or set(one) == set(other):
        return one, other
    return [name for name in one if name not in other], [name for name in other if name not in one]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "no such ones"
    # Twelve digits of a checksum tell two apart.
    return str(value)[:12] if isinstance(value, str) and len(value) == 64 else str(value)
