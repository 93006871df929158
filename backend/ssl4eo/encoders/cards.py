# SPDX-License-Identifier: GPL-2.0-or-later
"""Model cards: what binds weights to bands, unit, scaling and levels; the data is in cards.toml."""

from __future__ import annotations

import functools
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError

__all__ = ["DEFAULT_ENCODER", "Card", "Method", "Scaling", "get_card", "load_cards", "resources_folder"]

DEFAULT_ENCODER = "moco-resnet18w32-s2"

Method = Literal["moco", "dino", "mae", "data2vec"]

_CARDS_FILE = Path(__file__).with_name("cards.toml")


class Scaling(BaseModel):
    """How reflectance becomes network input: clipped to [0, 1], then, where given, (x - mean) / std per band."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    source: str


class Card(BaseModel):
    """One encoder. `gsd` is in metres per pixel, `strides` in input pixels per feature cell, finest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    method: Method
    backbone: str
    sensor: Literal["S2", "S1"]
    level: Literal["L1C", "L2A"]
    bands: tuple[str, ...]
    gsd: float
    strides: tuple[int, ...]
    pooling: str
    scaling: Scaling
    file: str | None = None
    sha256: str | None = None
    size_mb: float
    license: str
    attribution: str
    citation: str
    note: str
    training: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        unknown = [band for band in self.bands if band not in S2_BANDS]
        if unknown:
            raise ValueError(f"unknown bands {', '.join(unknown)}")
        for name in ("mean", "std"):
            values = getattr(self.scaling, name)
            if values and len(values) != len(self.bands):
                raise ValueError(f"scaling.{name} has {len(values)} values for {len(self.bands)} bands")
        if len(self.scaling.mean) != len(self.scaling.std):
            raise ValueError("scaling.mean and scaling.std go together")
        if any(value <= 0 for value in self.scaling.std):
            raise ValueError("scaling.std must be positive")
        if list(self.strides) != sorted(set(self.strides)):
            raise ValueError(f"strides {self.strides} must increase")
        return self

    @property
    def weights_path(self) -> Path | None:
        """Where the weights lie on this computer, or None when they are not there."""
        if self.file is None:
            return None
        path = resources_folder() / self.file
        return path if path.is_file() else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with `available`."""
        return {**self.model_dump(mode="json"), "available": self.weights_path is not None}


def resources_folder() -> Path:
    """Return the folder that holds the bundled encoder: beside backend/, or SSL4EO_RESOURCES."""
    override = os.environ.get("SSL4EO_RESOURCES")
    return Path(override) if override else Path(__file__).resolve().parents[3] / "resources"


@functools.cache
def load_cards(path: Path = _CARDS_FILE) -> dict[str, Card]:
    """Return the cards by id, in the order of the file.

    Raises:
        InputError: when a card does not hold together; names the card and the field.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("encoder", [])
    cards: dict[str, Card] = {}
    for entry in entries:
        try:
            card = Card(**entry)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "card"
            raise InputError(
                f"The card {entry.get('id', '?')!r} in {path} is wrong at {field}: {first['msg']}; correct the file."
            ) from error
        if card.id in cards:
            raise InputError(f"The card {card.id!r} stands twice in {path}; remove one.")
        cards[card.id] = card
    return cards


def get_card(encoder_id: str) -> Card:
    """Return the card of an encoder.

    Raises:
        InputError: when there is no such encoder; lists those there are.
    """
    cards = load_cards()
    if encoder_id not in cards:
        raise InputError(f"There is no encoder {encoder_id!r}; choose one of: {', '.join(cards)}.")
    return cards[encoder_id]
