# SPDX-License-Identifier: GPL-2.0-or-later
"""Where to sample next, from a feature set and a samples file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely

from ssl4eo.errors import InputError
from ssl4eo.features.store import FeatureSet
from ssl4eo.files import atomic_file
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.labels.guidance.suggest import suggest
from ssl4eo.labels.mapping.source import from_samples

if TYPE_CHECKING:
    import os

    from rasterio.crs import CRS

__all__ = ["suggest_places"]


def suggest_places(
    features: str | os.PathLike[str],
    samples: str | os.PathLike[str] | None = None,
    *,
    class_field: str = "class",
    count: int = 5,
    bbox: tuple[float, float, float, float] | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Return the places where a sample helps most, best first (see `labels.guidance.suggest`).

    Args:
        features: a folder that `encode` wrote.
        samples: what is labelled so far, of at least two classes; None for nothing yet.
        class_field: the field of `samples` with the class name.
        count: how many places, 1 to 100.
        bbox: xmin, ymin, xmax, ymax in the scene's CRS; None for the whole scene.
        out: also write the places as points, with rank, reason and class, to this .gpkg.
        progress: told how far the work is.

    Returns:
        suggestions (x, y in the scene's CRS, rank, reason, class), strategy, points (the file) and warnings.

    Raises:
        InputError: for features, samples, a box or a count that cannot be used.
        OutputError: when the points cannot be written.
    """
    source = FeatureSet.open(features)
    target = None if out is None else Path(out)
    if target is not None and target.suffix.lower() != ".gpkg":
        raise InputError(f"The places {target} are written as a GeoPackage; give them a name that ends in .gpkg.")
    learnt: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    if samples is not None:
        stage = part(progress, 0.0, 0.6)
        found = from_samples(
            source, samples, class_field, "auto", None, balance="equal", none_beyond=None, progress=stage
        )
        learnt = {
            "head": found.head,
            "training": found.training,
            "scales": found.scales,
            "temperature": found.temperature,
        }
        warnings = found.warnings
    progress(0.6, "Looking for places")
    result = suggest(source, bbox=bbox, count=count, **learnt)
    if target is not None:
        with atomic_file(target) as final:
            _write(final, result["suggestions"], source.crs)
    return {**result, "points": None if target is None else str(target), "warnings": list(warnings)}


def _write(path: Path, places: list[dict[str, Any]], crs: CRS) -> None:
    points = shapely.points([place["x"] for place in places], [place["y"] for place in places])
    fields = {
        "rank": np.array([place["rank"] for place in places], np.int32),
        "reason": np.array([place["reason"] for place in places], object),
        "map_class": np.array([place["class"] for place in places], object),
    }
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(points),
        field_data=list(fields.values()),
        fields=list(fields),
        crs=crs.to_wkt(),
        geometry_type="Point",
        layer="suggestions",
        # Read without a warning by the GDAL 3.6 of QGIS 3.22.
        dataset_options={"VERSION": "1.2"},
    )
