# SPDX-License-Identifier: GPL-2.0-or-later
"""A saved classifier: a linear head, its classes and what its features are, so that it serves the next scene.

One file, as numpy's npz: the weights as arrays, and `about`, a JSON text as bytes. Nothing in it is run on opening.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ssl4eo import __version__
from ssl4eo.errors import InputError
from ssl4eo.features.compatible import difference, meaning_of
from ssl4eo.files import atomic_file
from ssl4eo.labels.heads.linear import LinearHead
from ssl4eo.labels.palette import class_colors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.lib.npyio import NpzFile
    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet

__all__ = ["Classifier", "load_classifier", "save_classifier"]

_FORMAT = 1


@dataclass(frozen=True)
class Classifier:
    """What turns features into classes.

    Attributes:
        head: the linear head, on the stored values of every level.
        names: K class names; code k of a map is `names[k - 1]`.
        colors: `#rrggbb` by class name.
        temperature: what to divide logits by before softmax.
        settings: what it was made from, for reports: JSON values.
    """

    head: LinearHead
    names: tuple[str, ...]
    colors: Mapping[str, str]
    temperature: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)


def save_classifier(path: str | os.PathLike[str], classifier: Classifier, features: FeatureSet) -> Path:
    """Write a classifier and what the values of the feature set mean that it was learnt on.

    Raises:
        OutputError: when the file cannot be written.
    """
    target = Path(path)
    about = {
        "format": _FORMAT,
        "software": __version__,
        "names": list(classifier.names),
        "colors": dict(classifier.colors),
        "temperature": classifier.temperature,
        "settings": dict(classifier.settings),
        "used": [weights is not None for weights in classifier.head.weights],
        "features": meaning_of(features),
    }
    arrays: dict[str, NDArray[Any]] = {"bias": classifier.head.bias}
    for index, (weights, shift) in enumerate(zip(classifier.head.weights, classifier.head.shifts, strict=True)):
        arrays[f"shift_{index}"] = shift
        if weights is not None:
            arrays[f"weights_{index}"] = weights
    text = json.dumps(about, ensure_ascii=False).encode()
    # An open file keeps its name; numpy would add a suffix to a path.
    with atomic_file(target) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, about=np.frombuffer(text, np.uint8), **arrays)
    return target


def load_classifier(path: str | os.PathLike[str], features: FeatureSet) -> Classifier:
    """Read a classifier for a feature set.

    The features must mean the same: made by the same weights in the same mode with the same projection, from bands of
    the same names and a scene of the same processing level. How they are rounded to bytes may differ.

    Raises:
        InputError: when the file is not a classifier, or not one for these features, with what differs.
    """
    source = Path(path)
    try:
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            if about["format"] != _FORMAT:
                raise InputError(
                    f"{source} is a classifier of format {about['format']}, and this version reads {_FORMAT}; "
                    "save it anew."
                )
            unlike = difference(about["features"], meaning_of(features))
            if unlike:
                raise InputError(f"The classifier {source} does not fit {features.folder}: {unlike}.")
            return _read(stored, about, features)
    except FileNotFoundError as error:
        raise InputError(f"The classifier {source} does not exist; check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise InputError(f"{source} is not a classifier that can be read ({error}); save one from a map.") from error


def _read(stored: NpzFile, about: dict[str, Any], features: FeatureSet) -> Classifier:
    names = tuple(map(str, about["names"]))
    weights = tuple(
        np.asarray(stored[f"weights_{index}"], np.float32) if used else None for index, used in enumerate(about["used"])
    )
    shifts = tuple(np.asarray(stored[f"shift_{index}"], np.float32) for index in range(len(weights)))
    bias = np.asarray(stored["bias"], np.float32)
    for level, part, shift in zip(features.levels, weights, shifts, strict=True):
        if shift.shape != (len(names),) or (part is not None and part.shape != (len(names), level.components)):
            raise ValueError(f"level {level.index} has weights of another shape")
        if part is not None and not np.isfinite(part).all():
            raise ValueError(f"the weights of level {level.index} are not finite")
    if bias.shape != (len(names),) or not all(np.isfinite(array).all() for array in (bias, *shifts)):
        raise ValueError("the bias or a shift is not one finite number per class")
    temperature = float(about["temperature"])
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature is {temperature}")
    colors = class_colors(names, dict(about["colors"]))
    return Classifier(LinearHead(names, weights, shifts, bias), names, colors, temperature, dict(about["settings"]))
