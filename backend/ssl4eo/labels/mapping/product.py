# SPDX-License-Identifier: GPL-2.0-or-later
"""Classify a feature set: class map, confidence, polygons and a classifier for the next scene, all of them or none."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo import __version__
from ssl4eo.errors import InputError
from ssl4eo.features.store import FeatureSet
from ssl4eo.files import atomic_file
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.labels.heads.classifier import save_classifier
from ssl4eo.labels.heads.nonlinear import NONLINEAR
from ssl4eo.labels.heads.selection import BALANCES, HEADS
from ssl4eo.labels.mapping.areas import HECTARE
from ssl4eo.labels.mapping.bytemap import confidence_map
from ssl4eo.labels.mapping.classmap import ClassMapWriter, class_map, legend
from ssl4eo.labels.mapping.predict import predict
from ssl4eo.labels.mapping.source import Learnt, from_classifier, from_samples
from ssl4eo.labels.mapping.vectorise import check_options, vectorise
from ssl4eo.labels.palette import class_colors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssl4eo.labels.mapping.bytemap import ByteWriter

__all__ = ["classify"]


def classify(
    features: str | os.PathLike[str],
    samples: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    class_field: str = "class",
    head: str = "auto",
    balance: str = "equal",
    colors: Mapping[str, str] | None = None,
    none_beyond: float | None = None,
    confidence: str | os.PathLike[str] | None = None,
    polygons: str | os.PathLike[str] | None = None,
    min_area_ha: float = 0.0,
    simplify: float = 1.0,
    classifier: str | os.PathLike[str] | None = None,
    classifier_out: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Learn from samples, or take a saved classifier, and write the class map of a whole feature set.

    Args:
        features: a folder that `encode` wrote.
        samples: points and polygons with a class name, in any CRS; None when there is a classifier.
        out: the map, a .tif; a .qml and a .aux.xml come beside it.
        class_field: the field of `samples` with the class name.
        head: auto, lda, logistic, knn or forest.
        balance: equal, all classes count the same, or samples, each by the number of its samples.
        colors: `#rrggbb` by class name; other classes get one of our own.
        none_beyond: pixels farther from all classes than this share (0 to 1) of the samples are none of them, code 255.
        confidence: also write the probability of the class in percent to this .tif.
        polygons: also write the map as polygons to this .gpkg.
        min_area_ha: hectares below which a polygon is given to its neighbour.
        simplify: pixels within which outlines are simplified.
        classifier: take this saved one instead of samples.
        classifier_out: also save what was learnt to this file.
        report: also write what was learnt from what to this JSON file.
        progress: told how far the work is; may raise Cancelled, then nothing is left.

    Returns:
        map, classes (name by code), head, reason (why that head), samples (how many were used), areas_ha (of the
        classes in the map), seconds, indication, warnings, and confidence, polygons, classifier: what was written.

    Raises:
        InputError: for features, samples, colours, a head or a classifier that cannot be used.
        OutputError: when a result cannot be written.
    """
    started = time.perf_counter()
    progress(0.0, "Reading the samples")
    source, target = FeatureSet.open(features), Path(out)
    _require_free(source, [out, confidence, polygons, classifier_out, report])
    _check(samples, classifier, head, balance, none_beyond, classifier_out)
    if polygons is not None:
        check_options(Path(polygons), min_area_ha, simplify)
    class_colors([], colors)
    with ExitStack() as stack:
        # Opened before the work, so that a folder that does not exist is found out at once.
        summary, drawn, saved = (
            None if path is None else stack.enter_context(atomic_file(Path(path)))
            for path in (report, polygons, classifier_out)
        )
        sure = None if confidence is None else stack.enter_context(confidence_map(Path(confidence), source.grid))
        stage = part(progress, 0.0, 0.3)
        if classifier is not None:
            learnt = from_classifier(source, classifier, colors)
        else:
            assert samples is not None
            learnt = from_samples(
                source, samples, class_field, head, colors, balance=balance, none_beyond=none_beyond, progress=stage
            )
        none = learnt.novelty is not None
        about = {
            "features": str(source.folder),
            "encoders": ", ".join(source.encoders),
            "head": learnt.method,
            "learnt_from": str(classifier or samples),
            "software": __version__,
        }
        writer = stack.enter_context(class_map(target, source.grid, learnt.colors, none=none, about=about))
        whole = np.empty((source.grid.height, source.grid.width), np.uint8) if drawn is not None else None
        _write_map(source, learnt, writer, sure, whole, part(progress, 0.3, 0.8))
        entries = legend(learnt.colors, none=none)
        result = {
            "map": str(target),
            "classes": {str(code): name for code, (name, _) in entries.items()},
            "head": learnt.method,
            "reason": learnt.reason,
            "samples": learnt.count,
            "areas_ha": {name: round(float(writer.areas[code]) / HECTARE, 4) for code, (name, _) in entries.items()},
            "seconds": round(time.perf_counter() - started, 2),
            "indication": learnt.indication["balanced_accuracy"] if learnt.indication else None,
            "warnings": list(learnt.warnings),
            "confidence": None if confidence is None else str(confidence),
            "polygons": None,
            "classifier": None if classifier_out is None else str(classifier_out),
        }
        if drawn is not None and whole is not None:
            options = {"min_area_ha": min_area_ha, "simplify": simplify}
            made = vectorise(whole, source.grid, entries, drawn, **options, progress=part(progress, 0.8, 0.95))
            result["polygons"] = {"path": str(polygons), **made}
        if saved is not None:
            save_classifier(saved, learnt.classifier(), source)
        if summary is not None:
            details = {**result, "features": str(source.folder), **learnt.report(source, entries, writer.counts)}
            summary.write_text(json.dumps(details, indent=1, ensure_ascii=False), encoding="utf-8")
        # The last chance to cancel: the files get their names as the block ends.
        progress(0.97, "Compressing the map")
    result["seconds"] = round(time.perf_counter() - started, 2)
    return result


def _require_free(features: FeatureSet, outputs: Sequence[str | os.PathLike[str] | None]) -> None:
    """Refuse to overwrite what the map is made of."""
    for path in outputs:
        if path is not None and any(Path(path).resolve() == file.resolve() for file in features.files):
            raise InputError(
                f"{path} is a part of the feature set {features.folder}, or the image that it was made of; "
                "give the result another name."
            )


def _check(
    samples: str | os.PathLike[str] | None,
    classifier: str | os.PathLike[str] | None,
    head: str,
    balance: str,
    none_beyond: float | None,
    classifier_out: str | os.PathLike[str] | None,
) -> None:
    heads = (*HEADS, *NONLINEAR)
    if head not in heads:
        raise InputError(f"There is no head {head!r}; choose one of: {', '.join(heads)}.")
    if balance not in BALANCES:
        raise InputError(f"There is no balance {balance!r}; choose one of: {', '.join(BALANCES)}.")
    if (samples is None) == (classifier is None):
        given = "neither samples nor a classifier" if samples is None else "both samples and a classifier"
        raise InputError(f"The map was asked for with {given}; give one of them.")
    if none_beyond is not None and not 0 <= none_beyond <= 1:
        raise InputError(f"{none_beyond} is no share of the samples; give none_beyond from 0 to 1.")
    if none_beyond is not None and (classifier is not None or head in NONLINEAR):
        kind = "a saved classifier" if classifier is not None else f"the head {head}"
        raise InputError(
            f"What is none of the classes is not told with {kind}; learn from samples with lda or logistic."
        )
    if classifier_out is not None and (classifier is not None or head in NONLINEAR):
        kind = "saved already" if classifier is not None else f"a {head}, which cannot be saved"
        raise InputError(f"The classifier is {kind}; learn from samples with lda or logistic to save one.")


def _write_map(
    features: FeatureSet,
    learnt: Learnt,
    writer: ClassMapWriter,
    sure: ByteWriter | None,
    whole: NDArray[np.uint8] | None,
    progress: Progress,
) -> None:
    for window, codes, percent in predict(features, learnt, confidence=sure is not None):
        progress(window.row / features.grid.height, f"Classifying row {window.row} of {features.grid.height}")
        writer.write(window, codes)
        if sure is not None and percent is not None:
            sure.write(window, percent)
        if whole is not None:
            whole[window.slices] = codes
