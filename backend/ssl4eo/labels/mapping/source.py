# SPDX-License-Identifier: GPL-2.0-or-later
"""What a class map is made with: learnt from samples now, or taken from a saved classifier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.jobs import part
from ssl4eo.labels.heads.classifier import Classifier, load_classifier
from ssl4eo.labels.heads.lattice import read_lattice
from ssl4eo.labels.heads.nonlinear import NONLINEAR, NonlinearHead, fit_nonlinear
from ssl4eo.labels.heads.novelty import Novelty, scene_directions
from ssl4eo.labels.heads.selection import fit_head
from ssl4eo.labels.mapping.classmap import NODATA
from ssl4eo.labels.palette import class_colors
from ssl4eo.labels.samples import read_samples
from ssl4eo.labels.training import level_scalings, training_pixels

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.jobs import Progress
    from ssl4eo.labels.heads.linear import LinearHead
    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["Learnt", "from_classifier", "from_samples"]

# Places all over the scene that say in which directions it varies, as in the live map.
_PLACES = 2000


@dataclass(frozen=True)
class Learnt:
    """A classifier and what is told of it.

    Attributes:
        head: linear in every level.
        method: name of the head.
        colors: `#rrggbb` by class name, in map order.
        reason: one sentence: why this head.
        temperature: logits are divided by it before softmax.
        count: how many samples it was learnt from.
        scales: per level; 0 leaves it out.
        nonlinear: what decides instead of `head`, or None.
        novelty: what tells pixels far from all classes, or None.
        beyond: its distance from which on a pixel is none of them.
        indication: what leaving places out says, or None.
        training: the training pixels, or None.
        settings: of the head, and where it comes from.
        warnings: sentences about samples that were left out.
    """

    head: LinearHead
    method: str
    colors: Mapping[str, str]
    reason: str = ""
    temperature: float = 1.0
    count: int = 0
    scales: tuple[float, ...] = ()
    nonlinear: NonlinearHead | None = None
    novelty: Novelty | None = None
    beyond: float = np.inf
    indication: dict[str, Any] | None = None
    training: Training | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def classifier(self) -> Classifier:
        """Return what is saved of it."""
        settings = {"head": self.method, "samples": self.count, "scales": list(self.scales), **self.settings}
        return Classifier(self.head, self.head.names, self.colors, self.temperature, settings)

    def report(
        self, features: FeatureSet, entries: Mapping[int, tuple[str, str]], counts: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Return what a report adds to the result: encoders, settings, scales, and figures per class."""
        per_class: dict[str, dict[str, Any]] = {
            name: {"code": code, "color": color, "map_pixels": int(counts[code])}
            for code, (name, color) in entries.items()
        }
        if self.training is not None:
            of_class = Counter(self.training.sample_labels.tolist())
            pixels = np.bincount(self.training.labels, minlength=len(self.training.names))
            for number, name in enumerate(self.training.names):
                per_class[name] |= {"samples": of_class[number], "training_pixels": int(pixels[number])}
        return {
            "encoder": features.encoder,
            "encoders": features.encoders,
            "temperature": self.temperature,
            "settings": self.settings,
            "scales": {f"level_{number}": scale for number, scale in enumerate(self.scales)},
            "indication": self.indication,
            "probabilities": "The head ranks the classes; its softmax is not a calibrated probability.",
            "per_class": per_class,
            "nodata_pixels": int(counts[NODATA]),
        }


def from_samples(
    features: FeatureSet,
    samples: str | os.PathLike[str],
    class_field: str,
    head: str,
    colors: Mapping[str, str] | None,
    *,
    balance: str,
    none_beyond: float | None,
    progress: Progress,
) -> Learnt:
    """Learn from a file of samples; the arguments are those of `classify`.

    Raises:
        InputError: for samples that cannot be used.
    """
    places = read_samples(samples, features.crs, class_field=class_field)
    scalings = level_scalings(features)
    progress(0.2, "Reading features at the samples")
    training = training_pixels(features, places, scalings)
    strides = [level.stride for level in features.levels]
    # The others take the weights of the levels from the linear head.
    linear = "auto" if head in NONLINEAR else head
    fitted = fit_head(training, scalings, strides, linear, part(progress, 0.4, 1.0), balance=balance)
    nonlinear, method, reason = None, fitted.method, fitted.reason
    if head in NONLINEAR:
        nonlinear = fit_nonlinear(training, scalings, fitted.scales, head)
        method, reason = head, f"The head {head} was asked for."
    novelty, beyond = None, np.inf
    if none_beyond is not None:
        novelty = _novelty(features, training, scalings, fitted.scales)
        beyond = novelty.threshold(none_beyond)
    return Learnt(
        fitted.head,
        method,
        class_colors(training.names, colors),
        reason,
        fitted.temperature,
        len(training.places),
        fitted.scales,
        nonlinear,
        novelty,
        beyond,
        # Leaving out was done with the linear head, and says nothing of another.
        None if nonlinear is not None else fitted.indication,
        training,
        {**fitted.settings, "balance": balance, "none_beyond": none_beyond, "samples_file": str(places.path),
         "class_field": class_field},
        training.warnings,
    )  # fmt: skip


def from_classifier(features: FeatureSet, path: str | os.PathLike[str], colors: Mapping[str, str] | None) -> Learnt:
    """Take a saved classifier.

    Raises:
        InputError: when it cannot be read, or does not fit the features.
    """
    saved = load_classifier(path, features)
    settings = dict(saved.settings)
    return Learnt(
        saved.head,
        str(settings.get("head", "saved")),
        {**saved.colors, **class_colors(saved.names, {**saved.colors, **(colors or {})})},
        f"The classifier {path} was given.",
        saved.temperature,
        int(settings.get("samples", 0)),
        tuple(map(float, settings.get("scales", ()))),
        settings=settings,
    )


def _novelty(
    features: FeatureSet, training: Training, scalings: list[LevelScaling], scales: Sequence[float]
) -> Novelty:
    there = read_lattice(features, features.grid.window, _PLACES, np.random.default_rng(0))
    scaled = [
        np.nan_to_num((values - scaling.mean) * scaling.gain) * scale
        for values, scaling, scale in zip(there.values, scalings, scales, strict=True)
    ]
    return Novelty.of(training, scalings, scales, scene_directions(np.concatenate(scaled, axis=1)))
