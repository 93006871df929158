# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify a feature set: learn from samples, then write the class map block by block."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.features.sampling import interpolate_grid
from ssl4eo.features.store import FeatureSet
from ssl4eo.files import atomic_file
from ssl4eo.grid import Window
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.labels.classmap import NODATA, ClassMapWriter, class_map
from ssl4eo.labels.palette import class_colors
from ssl4eo.labels.samples import read_samples
from ssl4eo.labels.selection import HEADS, fit_head
from ssl4eo.labels.training import level_scalings, training_pixels

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssl4eo.grid import Grid
    from ssl4eo.labels.heads import LinearHead
    from ssl4eo.labels.selection import Fitted
    from ssl4eo.labels.training import Training

__all__ = ["classify", "predict_window"]

# Pixels per side of a block: level 0 of 13 components takes 14 MB at this size, the logits of ten classes 10 MB.
_BLOCK = 512
# With many classes the logits are what is large, so blocks shrink (254 classes: 67 MB).
_MANY_CLASSES, _SMALL_BLOCK = 64, 256


def classify(
    features: str | os.PathLike[str],
    samples: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    class_field: str = "class",
    head: str = "auto",
    colors: Mapping[str, str] | None = None,
    report: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Learn from samples and write the class map of a whole feature set.

    Args:
        features: a folder that `encode` wrote.
        samples: points and polygons with a class name, in any CRS.
        out: the map, a .tif; a .qml and a .aux.xml come beside it.
        class_field: the field of `samples` with the class name.
        head: auto, lda or logistic.
        colors: `#rrggbb` by class name; other classes get one of our own.
        report: also write what was learnt from what to this JSON file.
        progress: told how far the work is; may raise Cancelled, then nothing is left.

    Returns:
        map, classes (name by code), head, samples (how many were used), seconds, indication, warnings.

    Raises:
        InputError: for features, samples, colours or a head that cannot be used.
        OutputError: when the map cannot be written.
    """
    started = time.perf_counter()
    progress(0.0, "Reading the samples")
    if head not in HEADS:
        raise InputError(f"There is no head {head!r}; choose one of: {', '.join(HEADS)}.")
    source, target = FeatureSet.open(features), Path(out)
    if any(target.resolve() == level.path.resolve() for level in source.levels):
        raise InputError(f"{target} is a part of the feature set {source.folder}; give the map another name.")
    class_colors([], colors)
    places = read_samples(samples, source.crs, class_field=class_field)
    with ExitStack() as stack:
        # Opened before the work, so that a folder that does not exist is found out at once.
        summary = stack.enter_context(atomic_file(Path(report))) if report is not None else None
        scalings = level_scalings(source)
        progress(0.05, "Reading features at the samples")
        training = training_pixels(source, places, scalings)
        palette = class_colors(training.names, colors)
        strides = [level.stride for level in source.levels]
        writer = stack.enter_context(class_map(target, source.grid, palette))
        fitted = fit_head(training, scalings, strides, head, part(progress, 0.1, 0.4))
        _write_map(source, fitted.head, writer, part(progress, 0.4, 0.97))
        result = {
            "map": str(target),
            "classes": {str(code): name for code, name in enumerate(training.names, start=1)},
            "head": fitted.method,
            "samples": len(training.places),
            "seconds": round(time.perf_counter() - started, 2),
            "indication": fitted.indication["balanced_accuracy"] if fitted.indication else None,
            "warnings": list(training.warnings),
        }
        if summary is not None:
            about = {"features": str(source.folder), "samples_file": str(places.path), "class_field": class_field}
            details = {**result, **about, **_report(source, training, fitted, palette, writer.counts)}
            summary.write_text(json.dumps(details, indent=1, ensure_ascii=False), encoding="utf-8")
        # The last chance to cancel: the files get their names as the block ends.
        progress(0.97, "Compressing the map")
    result["seconds"] = round(time.perf_counter() - started, 2)
    return result


def predict_window(features: FeatureSet, head: LinearHead, window: Window) -> NDArray[np.uint8]:
    """Return the class codes (H, W) of a window of level 0: 1 for the first class, 0 where level 0 is nodata.

    Each level's logits are computed at its own cells and, where these are not the map's pixels, interpolated; the map
    is the same as if the features had been interpolated, because the head is linear, at a fraction of the work.
    """
    logits: NDArray[np.float32] | None = None
    cols = np.arange(window.col, window.col_stop) + 0.5
    rows = np.arange(window.row, window.row_stop) + 0.5
    for level, weights, shift in zip(features.levels, head.weights, head.shifts, strict=True):
        if weights is None:
            continue
        if level.grid == features.grid:
            there = _project(weights, shift, level.read(window))
        else:
            place = ~level.grid.transform @ features.grid.transform
            cells, local_cols, local_rows = level.read_around(place.a * cols + place.c, place.e * rows + place.f)
            there = interpolate_grid(_project(weights, shift, cells), local_cols, local_rows)
        if level.index > 0:
            # Where another level than level 0 has no value it says nothing: its mean contributes 0.
            there = np.nan_to_num(there)
        logits = there if logits is None else logits + there
    if logits is None:
        raise InputError("The head uses no level of the feature set; fit it anew.")
    logits += head.bias[:, None, None]
    missing = ~np.isfinite(logits[0])
    codes = np.asarray(np.nan_to_num(logits).argmax(axis=0) + 1, np.uint8)
    codes[missing] = NODATA
    return codes


def _project(
    weights: NDArray[np.float32], shift: NDArray[np.float32], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    channels, height, width = values.shape
    flat = weights @ values.reshape(channels, -1) + shift[:, None]
    return np.asarray(flat.reshape(-1, height, width), np.float32)


def _write_map(features: FeatureSet, head: LinearHead, writer: ClassMapWriter, progress: Progress) -> None:
    grid: Grid = features.grid
    size = _BLOCK if len(head.names) <= _MANY_CLASSES else _SMALL_BLOCK
    blocks = [
        grid.clip(Window(col, row, size, size))
        for row in range(0, grid.height, size)
        for col in range(0, grid.width, size)
    ]
    for number, block in enumerate(blocks):
        progress(number / len(blocks), f"Classifying block {number + 1} of {len(blocks)}")
        writer.write(block, predict_window(features, head, block))


def _report(
    features: FeatureSet, training: Training, fitted: Fitted, palette: Mapping[str, str], counts: NDArray[np.int64]
) -> dict[str, Any]:
    of_class = Counter(training.sample_labels.tolist())
    pixels = np.bincount(training.labels, minlength=len(training.names))
    return {
        "encoder": features.encoder,
        "encoders": features.encoders,
        "settings": fitted.settings,
        "scales": {f"level_{level.index}": scale for level, scale in zip(features.levels, fitted.scales, strict=True)},
        "indication": fitted.indication,
        "probabilities": "The head ranks the classes; its softmax is not a calibrated probability.",
        "per_class": {
            name: {
                "code": code + 1,
                "color": palette[name],
                "samples": of_class[code],
                "training_pixels": int(pixels[code]),
                "map_pixels": int(counts[code + 1]),
            }
            for code, name in enumerate(training.names)
        },
        "nodata_pixels": int(counts[NODATA]),
    }
