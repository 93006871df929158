# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user knows better of an image than its file, kept with its layer so that the project knows it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qgis.core import QgsMapLayer

__all__ = ["keep_overrules", "overrules_of"]

_OVERRULES = "ssl4eo/overrules"


def overrules_of(layer: QgsMapLayer) -> dict[str, Any]:
    """Return what `keep_overrules` kept: keyword arguments of `Client.inspect`."""
    return json.loads(layer.customProperty(_OVERRULES, "{}"))


def keep_overrules(layer: QgsMapLayer, overrules: dict[str, Any]) -> None:
    """Keep what the user said; a layer that nothing was ever said of is not touched."""
    if overrules or layer.customProperty(_OVERRULES):
        layer.setCustomProperty(_OVERRULES, json.dumps(overrules))
