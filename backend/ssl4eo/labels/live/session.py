# SPDX-License-Identifier: GPL-2.0-or-later
"""A live few-shot map of one feature set: samples in, any view of the map out."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ssl4eo.errors import InputError
from ssl4eo.features.store import ITEM, FeatureSet
from ssl4eo.labels.guidance.grow import grow
from ssl4eo.labels.guidance.suggest import suggest
from ssl4eo.labels.live.asked import Asked, ViewError
from ssl4eo.labels.live.learnt import Learnt, Wish, learn
from ssl4eo.labels.live.packed import Packed
from ssl4eo.labels.live.places import Places
from ssl4eo.labels.live.views import Planes, Views
from ssl4eo.labels.training import level_scalings

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from ssl4eo.labels.training import LevelScaling

__all__ = ["LAYERS", "Session", "SessionGone", "StaleView", "View"]

LAYERS = ("classes", "similarity")
_CHANGED = "The samples have changed: revision {} is out of date, and {} is there; ask again."


class SessionGone(InputError):
    """The feature set is not what it was when the session was opened."""


class StaleView(InputError):
    """There is no map of that revision: samples have changed, or there are too few for any."""


@dataclass(frozen=True)
class View:
    """A picture of the map.

    Attributes:
        bbox: xmin, ymin, xmax, ymax in the scene's CRS.
        revision: of the samples it was made from.
        planes: name and values (H, W).
    """

    bbox: tuple[float, float, float, float]
    revision: int
    planes: Planes


class Session:
    """A map that is learnt anew at each change of its samples, and drawn where it is looked at; for threads.

    Samples are learnt from one set after the other; views of the last set are drawn at the same time.
    """

    def __init__(self, features: FeatureSet) -> None:
        """Open a session; `Session.open` is the door."""
        self.features = features
        self._stamp = _stamp(features)
        self._packed = Packed(features)
        self._scalings = level_scalings(features)
        self._places = Places(self._packed, features.grid, self._scalings)
        self._views = Views(features, self._packed, self._scalings)
        self._lock = threading.Lock()
        self._wish: Wish | None = None
        self._learnt = Learnt()

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Session:
        """Open a feature set for labelling.

        Raises:
            InputError: when the folder holds no feature set, or one that cannot be read.
        """
        return cls(FeatureSet.open(folder))

    @property
    def scalings(self) -> list[LevelScaling]:
        """Centre and gain of each level."""
        return self._scalings

    @property
    def learnt(self) -> Learnt:
        """What was learnt from the last set of samples."""
        return self._learnt

    def describe(self) -> dict[str, Any]:
        """Return what the session is opened on, in JSON form."""
        features = self.features
        assert features.crs is not None
        return {
            "features": str(features.folder),
            "crs": features.crs.to_wkt(),
            "bounds": list(features.grid.bounds),
            "width": features.grid.width,
            "height": features.grid.height,
            "encoders": features.encoders,
            "levels": [
                {
                    "index": level.index,
                    "kind": level.kind,
                    "encoder": level.encoder,
                    "stride": level.stride,
                    "components": level.components,
                }
                for level in features.levels
            ],
        }

    def check(self) -> None:
        """Make sure that the feature set is still what it was.

        Raises:
            SessionGone: when it is gone or was encoded anew.
        """
        if _stamp(self.features) != self._stamp:
            raise SessionGone(
                f"The feature set {self.features.folder} was moved, removed or encoded anew; open it again."
            )

    def set_samples(self, wish: Wish) -> dict[str, Any]:
        """Learn from a whole set of samples; the same set as before changes nothing.

        Returns:
            What was learnt, in JSON form: `ready` says whether there is a map, `message` why not.

        Raises:
            InputError: for a CRS, head, balance or number of classes that cannot be used.
        """
        started = time.perf_counter()
        with self._lock:
            if wish != self._wish:
                places = self._places.read(wish.crs, wish.samples)
                learnt = learn(wish, self._learnt.revision + 1, places, self.features, self._scalings)
                took = round(1000 * (time.perf_counter() - started), 1)
                self._learnt, self._wish = replace(learnt, state={**learnt.state, "milliseconds": took}), wish
            return self._learnt.state

    def view(
        self,
        layer: str,
        bbox: Sequence[float],
        width: int,
        height: int,
        *,
        revision: int | None = None,
        none_beyond: float | None = None,
        hidden: Sequence[str] = (),
        name: str | None = None,
    ) -> View:
        """Draw a box of the map in pixels of any size.

        Args:
            layer: classes (planes class and confidence) or similarity (to the samples of the class `name`).
            bbox: xmin, ymin, xmax, ymax in the scene's CRS.
            width: pixels across.
            height: pixels down.
            revision: of the samples; None takes the last one.
            none_beyond: pixels farther from all classes than this share of the samples are none of these.
            hidden: classes that are not drawn.
            name: the class for similarity.

        Raises:
            ViewError: for a box, size, layer, share or class that cannot be drawn.
            StaleView: when samples have changed meanwhile, or there is no map yet.
        """
        asked, learnt = Asked.of(bbox, width, height), self._learnt
        if layer not in LAYERS:
            raise ViewError(f"There is no layer {layer!r}; choose one of: {', '.join(LAYERS)}.")
        if none_beyond is not None and not 0 <= none_beyond <= 1:
            raise ViewError(f"{none_beyond:g} of the samples is no share; give none_beyond from 0 to 1.")

        def still_wanted() -> None:
            if self._learnt is not learnt:
                raise StaleView(_CHANGED.format(learnt.revision, self._learnt.revision))

        if revision is not None and revision != learnt.revision:
            raise StaleView(_CHANGED.format(revision, learnt.revision))
        if layer == "similarity":
            planes = self._views.similarity(asked, learnt, name, still_wanted)
        else:
            planes = self._views.classes(asked, self._ready(learnt), none_beyond, hidden, still_wanted)
        return View(asked.bbox, learnt.revision, planes)

    def probe(self, x: float, y: float) -> dict[str, Any]:
        """Say what the map holds at the pixel under a place in the scene's CRS.

        Returns:
            nodata, class, confidence (0 to 1), probabilities by class.

        Raises:
            StaleView: when there is no map yet.
        """
        return self._views.probe(x, y, self._ready(self._learnt))

    def suggestions(self, count: int = 5, bbox: tuple[float, float, float, float] | None = None) -> dict[str, Any]:
        """Return where the next sample helps most, in a box of the scene's CRS or in all of it.

        See `labels.guidance.suggest`.

        Raises:
            InputError: for a box outside the scene, or a count that cannot be.
        """
        learnt = self._learnt
        known: dict[str, Any] = {}
        if learnt.fitted is not None:
            known = {
                "head": learnt.fitted.head,
                "scales": learnt.fitted.scales,
                "temperature": learnt.fitted.temperature,
            }
        return suggest(
            self.features, training=learnt.training, bbox=bbox, count=count, scalings=self._scalings, **known
        )

    def grow(self, x: float, y: float) -> dict[str, Any]:
        """Return the patch of pixels like the one under a place: `wkt` in the scene's CRS and number of `pixels`.

        Raises:
            InputError: when the place is outside the scene or on nodata.
        """
        learnt = self._learnt
        patch = grow(self.features, self._scalings, x, y, head=learnt.fitted.head if learnt.fitted else None)
        return {"wkt": patch.polygon.wkt, "pixels": patch.pixels}

    def _ready(self, learnt: Learnt) -> Learnt:
        if learnt.fitted is None:
            raise StaleView(learnt.state.get("message") or "There are no samples yet; send some first.")
        return learnt


def _stamp(features: FeatureSet) -> tuple[tuple[int, ...], ...] | None:
    """Return what changes when the files of a feature set do, or None when one is gone."""
    try:
        found = [path.stat() for path in (features.folder / ITEM, *(level.path for level in features.levels))]
    except OSError:
        return None
    return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)
