# SPDX-License-Identifier: GPL-2.0-or-later
"""The job that measures encoders and the live map on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.modes import STANDARD
from ssl4eo.service.bodies import JobBody, PathText, Strict

if TYPE_CHECKING:
    from ssl4eo.jobs import Progress

__all__ = ["BenchJob"]


class BenchParams(Strict):
    """What `bench` measures, and with what."""

    encoders: list[str] = Field(default_factory=lambda: [DEFAULT_ENCODER], min_length=1)
    what: list[str] = Field(default_factory=lambda: ["ratio"], min_length=1)
    scene: PathText | None = None
    device: str = "auto"
    precisions: list[str] = Field(default_factory=lambda: ["auto"], min_length=1)
    mode: str = STANDARD
    pairs: int = 5
    sizes: list[float] = Field(default_factory=lambda: [1.0, 4.0, 16.0, 121.0], min_length=1)
    random_weights: bool = False
    features: PathText | None = None
    clicks: int = 100


class BenchJob(JobBody):
    """Encoders are measured."""

    kind: Literal["bench"]
    params: BenchParams

    def run(self, progress: Progress) -> dict[str, Any]:
        """Measure, and return what `ssl4eo bench --json` prints."""
        from ssl4eo.bench import bench

        p = self.params
        return bench(
            p.encoders,
            what=p.what,
            scene=p.scene,
            device=p.device,
            precisions=p.precisions,
            mode=p.mode,
            pairs=p.pairs,
            sizes=p.sizes,
            random_weights=p.random_weights,
            features=p.features,
            clicks=p.clicks,
            progress=progress,
        )
