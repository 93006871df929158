# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session learnt from one set of samples, and what it tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.labels.guidance.flags import flags
from ssl4eo.labels.heads.selection import HEADS, fit_head
from ssl4eo.labels.live.places import assemble
from ssl4eo.labels.samples import MAX_CLASSES, class_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssl4eo.features.store import FeatureSet
    from ssl4eo.labels.heads.selection import Fitted
    from ssl4eo.labels.live.places import Place, Sample
    from ssl4eo.labels.training import LevelScaling, Training

__all__ = ["Learnt", "Wish", "learn"]


@dataclass(frozen=True)
class Wish:
    """What a client sends: its whole set of samples, and how to learn from it.

    Attributes:
        crs: of the samples.
        samples: all of them.
        classes: names in the order of the class list.
        head: auto, lda or logistic.
        balance: equal or samples.
    """

    crs: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = ()
    head: str = "auto"
    balance: str = "equal"

    def names(self) -> list[str]:
        """Return class names by code: those of the list, then others that samples have.

        Raises:
            InputError: when there are more than a map can hold, or no head of that name.
        """
        if self.head not in HEADS:
            raise InputError(f"There is no head {self.head!r}; choose one of: {', '.join(HEADS)}.")
        given = map(class_name, dict.fromkeys((*self.classes, *(sample.name for sample in self.samples))))
        names = [name for name in dict.fromkeys(given) if name]
        if len(names) > MAX_CLASSES:
            raise InputError(
                f"There are {len(names)} classes, but a class map holds at most {MAX_CLASSES}; merge some."
            )
        return names


@dataclass(frozen=True)
class Learnt:
    """What was learnt from a set of samples.

    Attributes:
        revision: number of the set, from 1; 0 before the first.
        names: class names; code k is `names[k - 1]`.
        state: what is told of it, in JSON form.
        training: the samples that can be used; None when there are none.
        fitted: the head; None when there is no map yet.
    """

    revision: int = 0
    names: tuple[str, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    training: Training | None = None
    fitted: Fitted | None = None

    def codes(self, hidden: Sequence[str] = ()) -> NDArray[np.uint8]:
        """Return the code of each class of the head; 0 for those that are hidden."""
        assert self.fitted is not None
        names = self.fitted.head.names
        return np.array([0 if name in hidden else self.names.index(name) + 1 for name in names], np.uint8)


def learn(
    wish: Wish, revision: int, places: Sequence[Place], features: FeatureSet, scalings: list[LevelScaling]
) -> Learnt:
    """Learn from samples.

    Args:
        wish: the samples.
        revision: number of this set.
        places: what was read of each.
        features: where.
        scalings: centre and gain per level.

    Raises:
        InputError: for a head or number of classes that cannot be.
    """
    names = wish.names()
    clean = {name: class_name(name) for name in {sample.name for sample in wish.samples}}
    faults = [
        place.fault or ("" if clean[sample.name] else "It has no class.")
        for sample, place in zip(wish.samples, places, strict=True)
    ]
    used = [number for number, fault in enumerate(faults) if not fault]
    labels = [clean[wish.samples[number].name] for number in used]
    widths = [len(scaling.mean) for scaling in scalings]
    chosen = [places[number] for number in used]
    training = assemble(chosen, labels, names, widths, features.base) if used else None
    fitted = None
    if training is not None and len(training.names) > 1:
        strides = [level.stride for level in features.levels]
        fitted = fit_head(training, scalings, strides, wish.head, balance=wish.balance)
    state = {
        "revision": revision,
        "ready": fitted is not None,
        "message": _message(wish, labels, faults),
        "classes": names,
        "samples": len(used),
        "left_out": [{"id": s.id, "reason": fault} for s, fault in zip(wish.samples, faults, strict=True) if fault],
        "warnings": _warnings(places, used),
        **_of_head(fitted, training, [wish.samples[number].id for number in used]),
    }
    return Learnt(revision, tuple(names), state, training, fitted)


def _message(wish: Wish, labels: Sequence[str], faults: Sequence[str]) -> str:
    if not wish.samples:
        return "There are no samples yet; choose a class and click a place."
    if not labels:
        return (
            f"None of the {len(faults)} samples can be used (the first: {faults[0].rstrip('.')}); label other places."
        )
    if len(set(labels)) == 1:
        return f"All samples are of the class {labels[0]!r}; label a place of a second class."
    return ""


def _warnings(places: Sequence[Place], used: Sequence[int]) -> list[str]:
    count = sum(places[number].repaired for number in used)
    if not count:
        return []
    return [f"{count} sample{' was' if count == 1 else 's were'} repaired because their outline crossed itself."]


def _of_head(fitted: Fitted | None, training: Training | None, ids: Sequence[str]) -> dict[str, Any]:
    if fitted is None or training is None:
        return {"head": None, "reason": "", "levels": [], "indication": None, "disagreeing": []}
    return {
        "head": fitted.method,
        "reason": fitted.reason,
        "levels": [{"index": index, "scale": float(scale)} for index, scale in enumerate(fitted.scales)],
        "indication": fitted.indication,
        "disagreeing": [
            {"id": ids[flag["sample"]], "class": flag["class"], "says": flag["says"], "share": flag["share"]}
            for flag in flags(training, fitted.hits, fitted.scales)
        ],
    }
