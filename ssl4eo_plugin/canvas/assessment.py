# SPDX-License-Identifier: GPL-2.0-or-later
"""The random sample that a map is judged by: a GeoPackage of points whose class the user fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import NULL, QgsCoordinateReferenceSystem, QgsFeatureRequest, QgsPointXY, QgsVectorLayer
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Assessment", "assessment_path"]

# The points' table and fields, as the backend draws them. The class of the map is in another table.
_TABLE, _CLASS_FIELD, _ORDER_FIELD = "samples", "class", "number"

translate = QCoreApplication.translate


def assessment_path(class_map: Path) -> Path:
    """Return where the sample of a map lies."""
    return class_map.with_name(f"{class_map.stem}_assessment.gpkg")


class Assessment:
    """Points in the order in which they are asked; an answer is in the file at once."""

    def __init__(self, path: Path) -> None:
        """Open a file that the backend drew.

        Raises:
            CanvasError: when it cannot be read.
        """
        self.path = path
        self._layer = QgsVectorLayer(f"{path}|layername={_TABLE}", path.stem, "ogr")
        self._column = self._layer.fields().lookupField(_CLASS_FIELD)
        if not self._layer.isValid() or self._column < 0 or self._layer.fields().lookupField(_ORDER_FIELD) < 0:
            sentence = translate("Assess", "“{}” holds no points to assess a map with; draw a new sample.")
            raise CanvasError(sentence.format(path))
        self._keys: list[int] = []
        self._places: list[QgsPointXY] = []
        self._answers: list[str] = []
        for point in self._layer.getFeatures(QgsFeatureRequest().addOrderBy(_ORDER_FIELD)):
            answer = point[_CLASS_FIELD]
            self._keys.append(point.id())
            self._places.append(point.geometry().asPoint())
            self._answers.append(answer if isinstance(answer, str) else "")
        # The backend reads the file while it is open here.
        self._layer.dataProvider().enterUpdateMode()

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the points."""
        return self._layer.crs()

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self._places)

    def place(self, index: int) -> QgsPointXY:
        """Return a point in `crs`."""
        return self._places[index]

    def answer_of(self, index: int) -> str:
        """Return what a point was said to be, "" when it was not."""
        return self._answers[index]

    def answered(self) -> int:
        """Return how many points have an answer."""
        return sum(bool(answer) for answer in self._answers)

    def next_open(self, after: int = -1) -> int | None:
        """Return the next point without an answer, from the beginning again at the end; None when all have one."""
        order = [*range(after + 1, len(self)), *range(after + 1)]
        return next((index for index in order if not self._answers[index]), None)

    def answer(self, index: int, class_name: str) -> None:
        """Say what a point is, "" takes it back.

        Raises:
            CanvasError: when the file cannot be written.
        """
        provider = self._layer.dataProvider()
        # A file that was deleted is written as if nothing had happened, and all is lost.
        there = self.path.exists()
        if not there or not provider.changeAttributeValues({self._keys[index]: {self._column: class_name or NULL}}):
            reason = (provider.errors() or [""])[-1].strip().rstrip(".") if there else translate("Assess", "it is gone")
            provider.clearErrors()
            sentence = translate("Assess", "The answer cannot be written to “{}” ({}); check the disk and its rights.")
            raise CanvasError(sentence.format(self.path, reason or translate("Assess", "no reason given")))
        self._answers[index] = class_name

    def close(self) -> None:
        """Let what was written into the file itself."""
        self._layer.dataProvider().leaveUpdateMode()
