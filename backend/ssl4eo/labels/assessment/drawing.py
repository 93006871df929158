# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the points of an accuracy assessment: at random in each class of a map, in random order, class left blank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely

from ssl4eo.errors import InputError
from ssl4eo.files import atomic_file
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.labels.assessment.accuracy import allocate, sample_size
from ssl4eo.labels.assessment.mapclasses import MapClasses, read_map, strips

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["POINTS", "STRATA", "draw_assessment"]

# The points, named as the plugin's samples, and the class of the map at each, in a table of its own: whoever answers a
# point should not read there what the map says.
POINTS, STRATA = "samples", "assessment_strata"
# User's accuracy that is expected of a class that nothing is known of; 0.5 would ask for 1.5 times as many points.
_EXPECTED = 0.8
_MOST_POINTS = 100_000


def draw_assessment(
    map_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    target_se: float = 0.01,
    expected: Mapping[str, float] | None = None,
    per_class: int = 50,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Draw a stratified random sample of a class map, the classes being the strata.

    The size comes from the standard error that the overall accuracy should have; points go by area, and rare classes
    get a least number (Olofsson et al. 2014, sections 5.1.1 and 5.1.2).

    Args:
        map_path: a class map (`classify`), or any raster of whole numbers with names in `CLASS_NAMES` or none.
        out: a .gpkg for points with the fields number (1, 2, ... in the order in which to answer them), class (blank),
            confidence, role (assess) and created, as the plugin's samples have them.
        target_se: standard error of the overall accuracy.
        expected: user's accuracy that is expected, by class name; 0.8 for others.
        per_class: points in a rare class.
        seed: of the draw.
        progress: told how far the work is.

    Returns:
        samples (path), map, points (how many), per_class (points by class name), target_se, expected_se (what the
        allocation leads to if the expected accuracies are right).

    Raises:
        InputError: for a map, an accuracy or a number that cannot be used.
        OutputError: when the points cannot be written.
    """
    target = Path(out)
    if target.suffix.lower() != ".gpkg":
        raise InputError(f"The points {target} are written as a GeoPackage; give them a name that ends in .gpkg.")
    if not 0.0005 <= target_se <= 0.5:
        raise InputError(f"A standard error of {target_se} is out of reach; give 0.0005 to 0.5, such as 0.01.")
    if not 2 <= per_class <= 10_000:
        raise InputError(f"{per_class} points per class make no estimate; give 2 to 10000, such as 50.")
    classes = read_map(map_path, part(progress, 0.0, 0.4))
    codes = classes.codes
    weights = classes.areas[codes] / classes.areas[codes].sum()
    users = _expected(classes, expected or {})
    total = sample_size(weights, users, target_se)
    if total > _MOST_POINTS:
        raise InputError(f"A standard error of {target_se} takes {total} points; give a larger one, such as 0.01.")
    points = allocate(total, classes.pixels[codes], per_class)
    with atomic_file(target) as final:
        rng = np.random.default_rng(seed)
        drawn = _pixels(classes, dict(zip(codes, points, strict=True)), rng, part(progress, 0.4, 0.9))
        order = rng.permutation(len(drawn))
        progress(0.9, "Writing the points")
        _write(final, classes, drawn[order])
    left = np.maximum(points - 1, 1)
    return {
        "samples": str(target),
        "map": str(classes.path),
        "points": len(drawn),
        "per_class": {classes.names[code]: int(count) for code, count in zip(codes, points, strict=True)},
        "target_se": target_se,
        "expected_se": round(float(np.sqrt((weights**2 * users * (1 - users) / left).sum())), 5),
    }


def _expected(classes: MapClasses, expected: Mapping[str, float]) -> NDArray[np.float64]:
    strangers = sorted(set(expected) - set(classes.names.values()))
    if strangers:
        known = ", ".join(classes.names.values())
        raise InputError(f"The map has no class {strangers[0]!r} to expect an accuracy of; it has {known}.")
    for name, value in expected.items():
        if not 0 < value < 1:
            raise InputError(f"The expected accuracy of {name!r} is {value}; give a share between 0 and 1.")
    return np.array([expected.get(classes.names[code], _EXPECTED) for code in classes.codes])


def _pixels(
    classes: MapClasses, points: Mapping[int, int], rng: np.random.Generator, progress: Progress
) -> NDArray[np.int64]:
    """Return (N, 3) column, row and code of pixels drawn at random within each class."""
    wanted = {
        code: np.sort(rng.choice(int(classes.pixels[code]), int(count), replace=False))
        for code, count in points.items()
    }
    seen = dict.fromkeys(wanted, 0)
    found = []
    for row, codes in strips(classes.path, classes.grid, progress):
        counts = np.bincount(codes.ravel(), minlength=256)
        for code, numbers in wanted.items():
            first, last = np.searchsorted(numbers, [seen[code], seen[code] + counts[code]])
            if last > first:
                there = np.flatnonzero(codes.ravel() == code)[numbers[first:last] - seen[code]]
                down, across = np.divmod(there, codes.shape[1])
                found.append(np.stack([across, down + row, np.full(len(there), code)], axis=1))
            seen[code] += int(counts[code])
    return np.concatenate(found)


def _write(path: Path, classes: MapClasses, drawn: NDArray[np.int64]) -> None:
    xs, ys = classes.grid.xy(drawn[:, 0] + 0.5, drawn[:, 1] + 0.5)
    count = len(drawn)
    number = np.arange(1, count + 1, dtype=np.int32)
    blank = np.full(count, None, object)
    fields = {
        "number": number,
        "class": blank,
        "confidence": np.full(count, np.nan),
        "role": np.full(count, "assess", object),
        "created": blank,
    }
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(shapely.points(xs, ys)),
        field_data=list(fields.values()),
        fields=list(fields),
        crs=classes.grid.crs.to_wkt() if classes.grid.crs is not None else None,
        geometry_type="Point",
        layer=POINTS,
        # Read without a warning by the GDAL 3.6 of QGIS 3.22.
        dataset_options={"VERSION": "1.2"},
    )
    pyogrio.raw.write(
        path,
        geometry=None,
        field_data=[number, drawn[:, 2].astype(np.int32)],
        fields=["number", "code"],
        geometry_type=None,
        layer=STRATA,
        append=True,
    )
