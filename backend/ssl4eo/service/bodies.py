# SPDX-License-Identifier: GPL-2.0-or-later
"""What all request bodies share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ssl4eo.jobs import Lane

__all__ = ["JobBody", "PathText", "Strict"]


def _path_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL character")
    return text


PathText = Annotated[str, Field(min_length=1), AfterValidator(_path_text)]


class Strict(BaseModel):
    """No unknown names, no silent conversions, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class JobBody(Strict):
    """A job; `lane` is what it keeps busy: jobs of one lane wait for each other."""

    lane: ClassVar[Lane] = "device"
