# SPDX-License-Identifier: GPL-2.0-or-later
"""The samples as the backend's session takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl4eo_plugin.canvas.samples_table import class_of, is_training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qgis.core import QgsFeature, QgsGeometry

__all__ = ["SampleTexts"]

# Decimals of a coordinate: 1 mm in degrees.
_DECIMALS = 8


class SampleTexts:
    """Writes each sample once and keeps the text: of many areas, writing all takes longer than a click may."""

    def __init__(self, place: Callable[[str, QgsGeometry], QgsGeometry]) -> None:
        """Take what gives the geometry of the sample of an id in the CRS of the texts."""
        self._place = place
        self._kept: dict[str, tuple[QgsFeature, str]] = {}

    def of(self, rows: Mapping[str, QgsFeature]) -> list[dict[str, str]]:
        """Return the training samples, each with `id`, `class` and `wkt`."""
        kept = {}
        for name, row in rows.items():
            if not is_training(row):
                continue
            before = self._kept.get(name)
            if before is None or before[0] is not row:
                before = row, self._place(name, row.geometry()).asWkt(_DECIMALS)
            kept[name] = before
        self._kept = kept
        return [{"id": name, "class": class_of(row), "wkt": text} for name, (row, text) in kept.items()]
