# SPDX-License-Identifier: GPL-2.0-or-later
"""The points of an accuracy assessment as they come back: where they are, and what class each was found to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform
from shapely.errors import ShapelyError

from ssl4eo.errors import InputError
from ssl4eo.labels.assessment.drawing import STRATA
from ssl4eo.labels.samples import class_name

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ssl4eo.labels.assessment.mapclasses import MapClasses

__all__ = ["Answers", "read_answers", "require_same_map"]

_ROLE, _ASSESS = "role", "assess"


@dataclass(frozen=True)
class Answers:
    """Points (N, 2) in the map's CRS, the class that each was answered with, and what it was drawn from.

    Attributes:
        path: their file.
        places: (N, 2).
        classes: N names, "" where there is no answer.
        numbers: (N,) of the points, -1 where they have none.
        strata: code of the map by number when the points were drawn; empty when the file does not say.
    """

    path: Path
    places: NDArray[np.float64]
    classes: list[str]
    numbers: NDArray[np.int64]
    strata: dict[int, int]


def read_answers(path: Path, class_field: str, crs: CRS | None) -> Answers:
    """Read the points of all layers that have the class field; those with `role` assess where a layer has roles.

    Raises:
        InputError: for a file, field or geometry that cannot be used.
    """
    if not path.is_file():
        raise InputError(f"The points {path} do not exist; check the path.")
    places, numbers = [np.empty((0, 2))], [np.empty(0, np.int64)]
    names: list[str] = []
    fields: set[str] = set()
    strata: dict[int, int] = {}
    try:
        for layer, kind in pyogrio.list_layers(path):
            meta, _, wkb, columns = pyogrio.raw.read(path, layer=layer, force_2d=True)
            values: dict[str, NDArray[Any]] = dict(zip(map(str, meta["fields"]), columns, strict=True))
            if kind is None:
                if layer == STRATA:
                    strata = dict(zip(map(int, values["number"]), map(int, values["code"]), strict=True))
                continue
            fields |= set(values)
            if class_field not in values:
                continue
            there, kept = _points(shapely.from_wkb(wkb), values, layer, path)
            places.append(_moved(there, meta["crs"], crs, path))
            names += [class_name(value) for value in values[class_field][kept]]
            numbers.append(_numbers(values, kept))
    except (DataSourceError, DataLayerError, ShapelyError) as error:
        raise InputError(f"{path} is not a vector file that can be read; give a GeoPackage or GeoJSON.") from error
    if class_field not in fields:
        raise InputError(
            f"{path} has no field {class_field!r} with the class; "
            f"choose one among: {', '.join(sorted(fields)) or 'none (the file has no fields)'}."
        )
    if not names:
        raise InputError(f"{path} holds no point to assess with; draw points with `ssl4eo assess-sample` first.")
    return Answers(path, np.concatenate(places), names, np.concatenate(numbers), strata)


def require_same_map(answers: Answers, classes: MapClasses, codes: NDArray[np.intp]) -> None:
    """Refuse points that were drawn from another map, whose classes are not the strata of the sample.

    Args:
        answers: the points.
        classes: the map.
        codes: (N,) of the map at the points.

    Raises:
        InputError: when the map has another class at a point than when it was drawn.
    """
    for number, code in zip(answers.numbers.tolist(), codes.tolist(), strict=True):
        drawn = answers.strata.get(number, code)
        if drawn != code:
            was, now = (classes.names.get(value, f"code {value}") for value in (drawn, code))
            raise InputError(
                f"The points in {answers.path} were drawn from another map than {classes.path} or were moved "
                f"(point {number} was in {was} and is in {now}); draw points of this map anew."
            )


def _points(
    geometries: NDArray[Any], values: dict[str, NDArray[Any]], layer: str, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the places (n, 2) of the points to assess with, and which (N,) these are."""
    kept = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    if _ROLE in values:
        kept &= np.array([str(value).strip().lower() == _ASSESS for value in values[_ROLE]], bool)
    wrong = geometries[kept & (shapely.get_type_id(geometries) != shapely.GeometryType.POINT)]
    if len(wrong):
        raise InputError(
            f"The layer {layer!r} of {path} holds a {wrong[0].geom_type} to assess with; "
            "an assessment takes single points."
        )
    return shapely.get_coordinates(geometries[kept]), kept


def _numbers(values: dict[str, NDArray[Any]], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    if "number" not in values:
        return np.full(int(kept.sum()), -1, np.int64)
    found = values["number"][kept]
    return np.where(np.isfinite(found.astype(float)), found, -1).astype(np.int64)


def _moved(places: NDArray[np.float64], text: str | None, target: CRS | None, path: Path) -> NDArray[np.float64]:
    try:
        source = CRS.from_user_input(text) if text else None
    except CRSError:
        source = None
    if source is None:
        raise InputError(f"The points in {path} have no coordinate reference system; assign one, then try again.")
    if source == target or not len(places):
        return places
    return np.stack(transform(source, target, places[:, 0], places[:, 1]), axis=1)
