# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled points and polygons from any vector file, brought into the scene's coordinate reference system."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform
from shapely.errors import ShapelyError

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["MAX_CLASSES", "POINTS", "POLYGONS", "Samples", "class_name", "in_crs", "read_samples"]

# Class maps are bytes: 0 is nodata, and 255 is left to readers that take it for nodata by habit.
MAX_CLASSES = 254
# Samples with this value in the field `role` are kept for the accuracy assessment and never train.
_ROLE, _ASSESS = "role", "assess"
POINTS, POLYGONS = {"Point", "MultiPoint"}, {"Polygon", "MultiPolygon"}


@dataclass(frozen=True)
class Samples:
    """Labelled places: one geometry (in `crs`) and one class name each; `names` are the classes in map order.

    `ids` say which is which: layer and feature number in a file; they are empty when nothing tells the samples apart.
    """

    path: Path
    crs: CRS
    geometries: tuple[BaseGeometry, ...]
    labels: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Class names, numbers by value and text by alphabet; class k of the map is `names[k - 1]`."""
        return sorted(set(self.labels), key=_natural)

    def __len__(self) -> int:
        return len(self.geometries)


def read_samples(
    path: str | os.PathLike[str],
    crs: CRS | str,
    *,
    class_field: str = "class",
    layer: str | None = None,
    classes: int = 2,
) -> Samples:
    """Read points and polygons with a class name.

    Args:
        path: a GeoPackage, GeoJSON or any other vector file that OGR reads, in any CRS.
        crs: the CRS to bring the geometries into, the scene's.
        class_field: the field with the class name (text or number).
        layer: one layer of the file; None reads all layers that have the class field.
        classes: fewer than so many are refused.

    Returns:
        Samples of at least `classes` classes.

    Raises:
        InputError: for a file, layer, field, geometry or class name that cannot be used.
    """
    source, target = Path(path), CRS.from_user_input(crs)
    geometries: list[BaseGeometry] = []
    labels: list[str] = []
    ids: list[str] = []
    notes: Counter[str] = Counter()
    for name in _layers(source, class_field, layer):
        found = _read_layer(source, name, class_field, notes)
        geometries += _reproject(found.geometries, found.crs, target, notes)
        labels += found.labels
        ids += found.ids
    if not geometries:
        raise InputError(
            f"{source} holds no sample to learn from{_because(notes)}; add points or polygons with a class name."
        )
    samples = Samples(source, target, tuple(geometries), tuple(labels), tuple(_sentences(notes)), tuple(ids))
    check_classes(samples, classes)
    return samples


def check_classes(samples: Samples, fewest: int = 2) -> None:
    """Refuse what cannot become a map.

    Raises:
        InputError: for fewer classes than needed or more than a byte can hold.
    """
    names = samples.names
    if len(names) < fewest:
        raise InputError(
            f"All {len(samples)} samples in {samples.path} are of the class {names[0]!r}; add a second class."
        )
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"{samples.path} has {len(names)} classes, but a class map holds at most {MAX_CLASSES}; "
            "merge classes or choose another class field."
        )


@dataclass(frozen=True)
class _Layer:
    crs: CRS
    geometries: list[BaseGeometry]
    labels: list[str]
    ids: list[str]


def _layers(path: Path, class_field: str, layer: str | None) -> list[str]:
    if not path.exists():
        raise InputError(f"The samples file {path} does not exist; check the path.")
    try:
        present = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
        fields = {name: list(map(str, pyogrio.read_info(path, layer=name)["fields"])) for name, _ in present}
    except (DataSourceError, DataLayerError) as error:
        raise InputError(f"{path} is not a vector file that can be read; give a GeoPackage or GeoJSON.") from error
    if layer is not None and layer not in fields:
        raise InputError(f"{path} has no layer {layer!r}; choose one of: {', '.join(fields) or 'none'}.")
    wanted = [name for name, kind in present if kind is not None and layer in (None, name)]
    chosen = [name for name in wanted if class_field in fields[name]]
    if not chosen:
        known = sorted({field for name in wanted for field in fields[name]})
        raise InputError(
            f"{path} has no field {class_field!r} with the class name; "
            f"choose a class field among: {', '.join(known) or 'none (the file has no fields)'}."
        )
    return chosen


def _read_layer(path: Path, layer: str, class_field: str, notes: Counter[str]) -> _Layer:
    try:
        meta, fids, wkb, columns = pyogrio.raw.read(path, layer=layer, return_fids=True, force_2d=True)
        geometries = shapely.from_wkb(wkb)
    except (DataSourceError, DataLayerError, ShapelyError) as error:
        raise InputError(f"The layer {layer!r} of {path} cannot be read ({error}); save it anew.") from error
    values = dict(zip(map(str, meta["fields"]), columns, strict=True))
    numbers = np.arange(len(geometries)) if fids is None else fids
    present = np.array([geometry is not None and not geometry.is_empty for geometry in geometries], bool)
    notes["without geometry"] += int((~present).sum())
    if _ROLE in values and class_field != _ROLE:
        aside = present & (np.array([str(value).strip().lower() for value in values[_ROLE]]) == _ASSESS)
        notes["set aside for the accuracy assessment"] += int(aside.sum())
        present &= ~aside
    kept = [_areas_or_points(geometry, layer, path) for geometry in geometries[present]]
    names = [class_name(value) for value in values[class_field][present]]
    _refuse_blank(names, numbers[present], layer, path, class_field)
    ids = [f"{layer}:{number}" for number in numbers[present]]
    return _Layer(_layer_crs(meta["crs"], layer, path), kept, names, ids)


def _areas_or_points(geometry: BaseGeometry, layer: str, path: Path) -> BaseGeometry:
    if geometry.geom_type in POINTS | POLYGONS:
        return geometry
    raise InputError(
        f"The layer {layer!r} of {path} holds a {geometry.geom_type}; samples are points or polygons, "
        "so convert or remove it."
    )


def class_name(value: Any) -> str:
    """Return a field's value as a class name: one line of printable text, whole numbers without a point."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    words = " ".join(str(value).split())
    return "".join(letter for letter in words if letter.isprintable())


def _refuse_blank(names: list[str], numbers: NDArray[Any], layer: str, path: Path, class_field: str) -> None:
    blank = [int(number) for number, name in zip(numbers, names, strict=True) if not name]
    if blank:
        raise InputError(
            f"{len(blank)} of {len(names)} samples in the layer {layer!r} of {path} have an empty {class_field!r} "
            f"(first: feature {blank[0]}); give them a class name or delete them."
        )


def _layer_crs(text: str | None, layer: str, path: Path) -> CRS:
    try:
        crs = CRS.from_user_input(text) if text else None
    except CRSError:
        crs = None
    # GeoPackage writes "undefined" systems as local ones; they say nothing about a place on the ground.
    if crs is None or not (crs.is_geographic or crs.is_projected):
        raise InputError(
            f"The layer {layer!r} of {path} has no coordinate reference system; assign one, then try again."
        )
    return crs


def _reproject(geometries: list[BaseGeometry], source: CRS, target: CRS, notes: Counter[str]) -> list[BaseGeometry]:
    result = []
    for geometry in geometries:
        there, mended = in_crs(geometry, source, target)
        notes["repaired because their outline crossed itself"] += mended
        result.append(there)
    return result


def in_crs(geometry: BaseGeometry, source: CRS, target: CRS) -> tuple[BaseGeometry, bool]:
    """Return points or polygons in another CRS, and whether an outline had to be repaired because it crossed itself.

    What cannot be projected there gets infinite coordinates.
    """

    def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            return np.stack(transform(source, target, points[:, 0], points[:, 1]), axis=1)
        except (CPLE_BaseError, CRSError):
            # Outside the validity of the target projection: certainly outside the scene, where it is counted.
            return np.full_like(points, np.inf)

    there = geometry if source == target else shapely.transform(geometry, moved)
    if there.geom_type in POLYGONS and not there.is_valid and np.isfinite(there.bounds).all():
        return _repaired(there), True
    return there, False


def _repaired(polygon: BaseGeometry) -> BaseGeometry:
    valid = shapely.make_valid(polygon)
    areas = [part for part in shapely.get_parts(valid) if part.geom_type in POLYGONS]
    # An outline without area (all corners on a line) still says where: its middle becomes a point.
    return shapely.union_all(areas) if areas else shapely.point_on_surface(valid)


def _sentences(notes: Counter[str]) -> Iterable[str]:
    return (f"{count} sample{' was' if count == 1 else 's were'} {what}." for what, count in notes.items() if count)


def _because(notes: Counter[str]) -> str:
    reasons = [f"{count} {what}" for what, count in notes.items() if count]
    return f" ({', '.join(reasons)})" if reasons else ""


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name.casefold()
