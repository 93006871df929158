# SPDX-License-Identifier: GPL-2.0-or-later
"""The request bodies, and which backend function each kind of job runs.

A new kind of job is one class here and its name in `JobRequest`. The backend functions are imported inside
`run`, in the worker thread: torch and scikit-learn take seconds to import, and the service must answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.modes import STANDARD
from ssl4eo.service.bench import BenchJob
from ssl4eo.service.bodies import FourIntegers, FourNumbers, JobBody, PathText, Strict, four
from ssl4eo.service.maps import AssessJob, AssessSampleJob, ClassifyJob, SuggestJob
from ssl4eo.service.weights import WeightsDownloadJob, WeightsImportJob, WeightsRecogniseJob, WeightsVerifyJob

if TYPE_CHECKING:
    from ssl4eo.jobs import Progress
    from ssl4eo.scenes.overrules import Overrules

__all__ = ["ClassifyJob", "EncodeJob", "HarmoniseJob", "InspectRequest", "JobRequest"]

BandIndex = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}$")]


def _components(value: object) -> object:
    # One fault for both members of the union, which pydantic would name one by one.
    if value == "full" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError('input should be a whole number from 1 on, or "full" for all channels')


Components = Annotated[int | Literal["full"], BeforeValidator(_components)]


class _OverruleParams(Strict):
    """What the user knows better than the file."""

    bands: dict[BandIndex, str] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    level: str | None = None
    unit: str | None = None

    def overrules(self) -> Overrules:
        """Return the keyword arguments that overrule what `inspect` finds in the file."""
        bands = {int(index): name for index, name in self.bands.items()} if self.bands else None
        return {
            "bands": bands,
            "scale": self.scale,
            "offset": self.offset,
            "nodata": self.nodata,
            "level": self.level,
            "unit": self.unit,
        }


class _SceneParams(_OverruleParams):
    """Which image, and what the user knows better than its file."""

    scene: PathText


class InspectRequest(_SceneParams):
    """The body of `POST /inspect`."""


class AdditionParams(_OverruleParams):
    """A further encoder, on its own scene or on the first one."""

    encoder: str
    scene: PathText | None = None


class EncodeParams(_SceneParams):
    """What `encode` needs; `bbox` is xmin, ymin, xmax, ymax in the scene's CRS.

    `projection` is a feature set whose projection is taken; `reuse` also takes a set beside `out` made of the same.
    """

    out: PathText
    encoder: str = DEFAULT_ENCODER
    add: list[AdditionParams] = Field(default_factory=list)
    mode: str = STANDARD
    # As in `encode`, whose module takes too long to import.
    components: Components = 64
    projection: PathText | None = None
    reuse: bool = False
    window: FourIntegers | None = None
    bbox: FourNumbers | None = None
    device: str = "auto"
    precision: str = "auto"


class HarmoniseParams(_SceneParams):
    """What `harmonise` needs."""

    out: PathText


class EncodeJob(JobBody):
    """A scene becomes a feature set."""

    kind: Literal["encode"]
    params: EncodeParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Encode the scene and return what `ssl4eo encode --json` prints."""
        from ssl4eo.features import Addition, encode

        p = self.params
        return encode(
            p.scene,
            p.out,
            encoder=p.encoder,
            add=[Addition(more.encoder, more.scene, more.overrules()) for more in p.add],
            mode=p.mode,
            components=p.components,
            projection=p.projection,
            reuse=p.reuse,
            device=p.device,
            precision=p.precision,
            window=four(p.window),
            bbox=four(p.bbox),
            progress=progress,
            **p.overrules(),
        )


class HarmoniseJob(JobBody):
    """A scene becomes one GeoTIFF that needs no explanation."""

    kind: Literal["harmonise"]
    params: HarmoniseParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Harmonise the scene and return what `ssl4eo harmonise --json` prints."""
        from ssl4eo.scenes import harmonise

        p = self.params
        return harmonise(p.scene, p.out, progress=progress, **p.overrules())


JobRequest = Annotated[
    EncodeJob
    | HarmoniseJob
    | ClassifyJob
    | AssessJob
    | AssessSampleJob
    | SuggestJob
    | BenchJob
    | WeightsDownloadJob
    | WeightsImportJob
    | WeightsRecogniseJob
    | WeightsVerifyJob,
    Field(discriminator="kind"),
]
