# SPDX-License-Identifier: GPL-2.0-or-later
"""The jobs that learn from samples: class maps, where to sample next, and how right a map is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ssl4eo.service.bodies import Colour, FourNumbers, JobBody, PathText, Strict, four

if TYPE_CHECKING:
    from ssl4eo.jobs import Lane, Progress

__all__ = ["AssessJob", "AssessSampleJob", "ClassifyJob", "SuggestJob"]


class ClassifyParams(Strict):
    """What `classify` needs; samples or a saved classifier."""

    features: PathText
    samples: PathText | None = None
    out: PathText
    class_field: str = "class"
    head: str = "auto"
    balance: str = "equal"
    colors: dict[str, Colour] | None = None
    none_beyond: float | None = None
    confidence: PathText | None = None
    polygons: PathText | None = None
    min_area_ha: float = 0.0
    simplify: float = 1.0
    classifier: PathText | None = None
    classifier_out: PathText | None = None
    report: PathText | None = None


class ClassifyJob(JobBody):
    """A feature set and samples become a class map."""

    kind: Literal["classify"]
    params: ClassifyParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Classify the feature set and return what `ssl4eo classify --json` prints."""
        from ssl4eo.labels import classify

        return classify(**self.params.model_dump(), progress=progress)


class AssessSampleParams(Strict):
    """What `assess-sample` needs."""

    map: PathText
    out: PathText
    target_se: float = 0.01
    expected: dict[str, float] | None = None
    per_class: int = 50
    seed: int = Field(default=0, ge=0)


class AssessSampleJob(JobBody):
    """Points to assess a class map with are drawn."""

    lane: ClassVar[Lane] = "disk"
    kind: Literal["assess_sample"]
    params: AssessSampleParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Draw the points and return what `ssl4eo assess-sample --json` prints."""
        from ssl4eo.labels.assessment.drawing import draw_assessment

        p = self.params
        return draw_assessment(
            p.map, p.out, target_se=p.target_se, expected=p.expected, per_class=p.per_class, seed=p.seed,
            progress=progress,
        )  # fmt: skip


class AssessParams(Strict):
    """What `assess` needs."""

    map: PathText
    samples: PathText
    class_field: str = "class"
    report: PathText | None = None
    csv: PathText | None = None


class AssessJob(JobBody):
    """A class map is compared with points that were answered."""

    lane: ClassVar[Lane] = "disk"
    kind: Literal["assess"]
    params: AssessParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Assess the map and return what `ssl4eo assess --json` prints."""
        from ssl4eo.labels.assessment.assess import assess

        p = self.params
        return assess(p.map, p.samples, class_field=p.class_field, report=p.report, csv=p.csv, progress=progress)


class SuggestParams(Strict):
    """What `suggest` needs; `bbox` is xmin, ymin, xmax, ymax in the scene's CRS."""

    features: PathText
    samples: PathText | None = None
    class_field: str = "class"
    count: int = 5
    bbox: FourNumbers | None = None
    out: PathText | None = None


class SuggestJob(JobBody):
    """Places are suggested where a sample helps most."""

    kind: Literal["suggest"]
    params: SuggestParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Look for places and return what `ssl4eo suggest --json` prints."""
        from ssl4eo.labels.guidance.places import suggest_places

        p = self.params
        return suggest_places(
            p.features, p.samples, class_field=p.class_field, count=p.count, bbox=four(p.bbox), out=p.out,
            progress=progress,
        )  # fmt: skip
