# SPDX-License-Identifier: GPL-2.0-or-later
"""What all request bodies share."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ssl4eo.jobs import Lane

__all__ = ["Colour", "FourIntegers", "FourNumbers", "JobBody", "PathText", "Strict", "four"]

FourIntegers = Annotated[list[int], Field(min_length=4, max_length=4)]
FourNumbers = Annotated[list[float], Field(min_length=4, max_length=4)]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]

_Number = TypeVar("_Number", int, float)


def four(values: list[_Number] | None) -> tuple[_Number, _Number, _Number, _Number] | None:
    """Return a list of four as a tuple: JSON has lists only, and strict validation takes no list for a tuple."""
    return None if values is None else (values[0], values[1], values[2], values[3])


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
