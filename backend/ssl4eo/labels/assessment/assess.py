# SPDX-License-Identifier: GPL-2.0-or-later
"""How right a class map is, and how much there is of each class, from points that were answered without seeing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.labels.assessment.accuracy import Z95, estimate
from ssl4eo.labels.assessment.answers import read_answers, require_same_map
from ssl4eo.labels.assessment.mapclasses import MapClasses, read_map
from ssl4eo.labels.assessment.report import write_csv, write_html
from ssl4eo.labels.mapping.areas import HECTARE

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["assess"]


def assess(
    map_path: str | os.PathLike[str],
    samples: str | os.PathLike[str],
    *,
    class_field: str = "class",
    report: str | os.PathLike[str] | None = None,
    csv: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Estimate accuracies and areas of a class map from a random sample of it, stratified by its classes.

    Olofsson et al. 2014 (see `labels.assessment.accuracy`); intervals are 1.96 standard errors wide on each side.

    Args:
        map_path: the class map.
        samples: points with the true class; those with `role` assess if the file has that field, else all. Points
            without a class count as not answered.
        class_field: the field with the true class.
        report: also write an HTML report to this file.
        csv: also write the figures to this CSV file.
        progress: told how far the work is.

    Returns:
        map, samples, points (used), unanswered, outside, classes (per class name: code, map_pixels, map_area_ha,
        points, users, producers, area_ha, area_share, the last four as {value, interval} or None), overall,
        reference (names of the columns), confusion (points, map classes in rows), proportions (of the area), warnings,
        report, csv.

    Raises:
        InputError: for a map or points that cannot be used, or points of another map.
        OutputError: when the report or table cannot be written.
    """
    classes = read_map(map_path, part(progress, 0.0, 0.6))
    answers = read_answers(Path(samples), class_field, classes.grid.crs)
    progress(0.7, "Reading the map at the points")
    codes = classes.at(answers.places)
    require_same_map(answers, classes, codes)
    answered = np.array([bool(name) for name in answers.classes], bool)
    inside = codes > 0
    used = answered & inside
    if not used.any():
        raise InputError(
            f"None of the {len(codes)} points in {samples} has both a class and a pixel of the map; answer them first."
        )
    warnings = _sentences(int((~answered).sum()), int((answered & ~inside).sum()), len(codes))
    truth = [name for name, use in zip(answers.classes, used, strict=True) if use]
    result = _estimated(classes, codes[used], truth, warnings)
    result = {
        "map": str(classes.path),
        "samples": str(samples),
        "points": int(used.sum()),
        "unanswered": int((~answered).sum()),
        "outside": int((answered & ~inside).sum()),
        **result,
        "warnings": warnings,
        "report": None if report is None else str(report),
        "csv": None if csv is None else str(csv),
    }
    progress(0.8, "Writing the report")
    if csv is not None:
        write_csv(Path(csv), result)
    if report is not None:
        write_html(Path(report), result)
    return result


def _estimated(classes: MapClasses, codes: NDArray[np.intp], truth: list[str], warnings: list[str]) -> dict[str, Any]:
    asked = [code for code in classes.codes if (codes == code).any()]
    silent = [code for code in classes.codes if code not in asked]
    whole = float(classes.areas[classes.codes].sum())
    if silent:
        without = ", ".join(classes.names[code] for code in silent)
        share = float(classes.areas[silent].sum()) / whole
        warnings.append(
            f"No point was answered in: {without} ({share:.1%} of the map); the figures hold for the rest of the map."
        )
    lone = ", ".join(classes.names[code] for code in asked if (codes == code).sum() == 1)
    if lone:
        warnings.append(f"Only one point was answered in: {lone}; without a second one there are no intervals.")
    names = [classes.names[code] for code in asked]
    others = sorted(set(truth) - set(names), key=str.casefold)
    columns = [*names, *others]
    counts = np.zeros((len(asked), len(columns)), np.intp)
    np.add.at(counts, ([asked.index(int(code)) for code in codes], [columns.index(name) for name in truth]), 1)
    area = float(classes.areas[asked].sum())
    found = estimate(counts, classes.areas[asked] / area)
    hectares = area / HECTARE
    per_class: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(columns):
        mapped = number < len(asked)
        code = asked[number] if mapped else None
        per_class[name] = {
            "code": code,
            "map_pixels": int(classes.pixels[code]) if code is not None else 0,
            "map_area_ha": round(float(classes.areas[code]) / HECTARE, 4) if code is not None else 0.0,
            "points": int(counts[number].sum()) if mapped else 0,
            "users": _figure(found.users, number) if mapped else None,
            "producers": _figure(found.producers, number),
            "area_ha": _figure(found.shares, number, hectares),
            "area_share": _figure(found.shares, number),
        }
    overall = {"value": round(found.overall[0], 6), "interval": _half(found.overall[1])}
    return {
        "overall": overall,
        "assessed_area_ha": round(hectares, 4),
        "classes": per_class,
        "reference": columns,
        "confusion": {name: counts[number].tolist() for number, name in enumerate(names)},
        "proportions": {name: np.round(found.proportions[number], 8).tolist() for number, name in enumerate(names)},
    }


def _figure(
    pair: tuple[NDArray[np.float64], NDArray[np.float64]], number: int, unit: float = 1.0
) -> dict[str, float | None] | None:
    value, error = float(pair[0][number]) * unit, float(pair[1][number]) * unit
    return {"value": round(value, 6), "interval": _half(error)} if np.isfinite(value) else None


def _half(error: float) -> float | None:
    return round(Z95 * error, 6) if np.isfinite(error) else None


def _sentences(unanswered: int, outside: int, total: int) -> list[str]:
    sentences = []
    if unanswered:
        sentences.append(
            f"{unanswered} of {total} points were not answered and are left out, which is fair only if that had "
            "nothing to do with their class."
        )
    if outside:
        sentences.append(f"{outside} of {total} points lie outside the map or on nodata and are left out.")
    return sentences
