# SPDX-License-Identifier: GPL-2.0-or-later
"""Model cards: what binds weights to bands, unit, scaling and levels; the data is in cards.toml."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.encoders.backbone import BACKBONES, Backbone
from ssl4eo.errors import InputError

__all__ = ["DEFAULT_ENCODER", "Card", "Method", "Scaling", "Score", "WeightFile", "get_card", "load_cards"]

DEFAULT_ENCODER = "moco-resnet18w32-s2"

Method = Literal["moco", "dino", "mae", "data2vec", "fgmae", "decur", "softcon"]

_CARDS_FILE = Path(__file__).with_name("cards.toml")
_ID = re.compile(r"[a-z0-9]+-[a-z0-9]+-(s2|s1|rgb)")
_HEX = re.compile(r"[0-9a-f]{8,64}")


class Scaling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How reflectance (S2) or decibels (S1) become network input, per band.

    Attributes:
        rule: "clip": x clipped to [0, 1]; "standardise": the same, then (x - mean) / std;
            "two-sigma": (x - (mean - 2 std)) / (4 std) clipped to [0, 1].
        source: where the authors' code does so.
        mean: per band, in reflectance or decibels; empty for "clip".
        std: the same.
        elsewhere: what other loaders of these weights do instead, with their source; "" when nothing else.
    """

    rule: Literal["clip", "standardise", "two-sigma"]
    source: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    elsewhere: str = ""

    def __post_init__(self) -> None:
        """Hold rule and statistics together."""
        if (self.rule == "clip") != (not self.mean) or len(self.mean) != len(self.std):
            raise ValueError(f"scaling {self.rule!r} has {len(self.mean)} means and {len(self.std)} deviations")
        if any(value <= 0 for value in self.std):
            raise ValueError("scaling.std must be positive")


class WeightFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file with the weights of an encoder.

    Attributes:
        name: the file's name; with `bundled`, its path below the resources.
        layout: "flat" and "backbone" hold the encoder alone, "full" is a training checkpoint.
        url: where it can be downloaded, pinned to a commit where the host has commits; "" when nowhere.
        sha256: all or the first digits of its checksum as published; "" when none is.
        size_mb: in megabytes (1e6 bytes); of files that tell no size, 4 bytes for each parameter of the encoder.
        bundled: lies in the resources that come with the software.
    """

    name: str
    layout: Literal["flat", "backbone", "full"]
    url: str = ""
    sha256: str = ""
    size_mb: float = 0.0
    bundled: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no checksum or no address."""
        if self.sha256 and not _HEX.fullmatch(self.sha256):
            raise ValueError(f"sha256 {self.sha256!r} is not 8 to 64 hexadecimal digits")
        if self.url and not self.url.startswith("https://"):
            raise ValueError(f"url {self.url!r} does not begin with https://")


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published score; `protocol` says whether the encoder was "fine-tuned" or frozen under a "linear" head."""

    dataset: str
    metric: str
    value: float
    protocol: Literal["fine-tuned", "linear"]
    source: str


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One encoder.

    Attributes:
        id: method-backbone-sensor.
        level: the product level of its pre-training images.
        bands: canonical names in the order of the network's input channels.
        gsd: metres per pixel of its pre-training images.
        pooling: what `Encoder.pooled` gives, as the authors did for linear probing: "average" over the last map,
            "cls" (class token after the final norm), "cls-last4" (the same of the last four blocks, side by side),
            "patch-mean" (mean of the patch tokens, then a LayerNorm without affine).
        files: the preferred one first.
        training: what the file itself says of its making.
    """

    id: str
    title: str
    method: Method
    backbone: str
    sensor: Literal["S2", "S1"]
    level: Literal["L1C", "L2A", "GRD"]
    bands: tuple[str, ...]
    gsd: float
    pooling: Literal["average", "cls", "cls-last4", "patch-mean"]
    scaling: Scaling
    files: tuple[WeightFile, ...]
    license: str
    attribution: str
    citation: str
    note: str = ""
    scores: tuple[Score, ...] = ()
    training: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Hold the fields together."""
        known = S2_BANDS if self.sensor == "S2" else S1_BANDS
        unknown = [band for band in self.bands if band not in known]
        if unknown:
            raise ValueError(f"unknown bands {', '.join(unknown)}")
        if self.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {self.backbone!r}")
        if self.scaling.mean and len(self.scaling.mean) != len(self.bands):
            raise ValueError(f"scaling.mean has {len(self.scaling.mean)} values for {len(self.bands)} bands")
        if self.gsd <= 0:
            raise ValueError(f"gsd {self.gsd} is not positive")

    @property
    def shape(self) -> Backbone:
        """The network's shape: patch, window, strides and levels."""
        return BACKBONES[self.backbone]

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per feature cell of each level, finest first."""
        return self.shape.strides

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with the network's patch, window and strides."""
        shape = {"patch": self.shape.patch, "window": self.shape.window, "strides": list(self.strides)}
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {**plain, **shape}


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
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML ({error}); correct the file.") from error
    cards: dict[str, Card] = {}
    for entry in document.get("encoder", []):
        try:
            card = _converted(entry, document)
        except (msgspec.ValidationError, ValueError) as error:
            raise InputError(
                f"The card {entry.get('id', '?')!r} in {path} is wrong: {error}; correct the file."
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


def _converted(entry: dict[str, Any], document: dict[str, Any]) -> Card:
    card = msgspec.convert(_spelled_out(entry, document), Card)
    if not _ID.fullmatch(card.id):
        raise ValueError(f"the id does not read method-backbone-sensor, such as {DEFAULT_ENCODER}")
    return card


def _spelled_out(entry: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Replace the names of shared tables by what they hold; an encoder's own fields come last and win."""
    card: dict[str, Any] = {}
    for kind in ("family", "input"):
        if kind in entry:
            card.update(_shared(document, kind, entry[kind]))
    card.update({name: value for name, value in entry.items() if name not in ("family", "input")})
    if isinstance(card.get("scaling"), str):
        card["scaling"] = _shared(document, "scaling", card["scaling"])
    return card


def _shared(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    table = document.get(kind, {})
    if name not in table:
        raise ValueError(f"there is no [{kind}.{name}]")
    found: dict[str, Any] = table[name]
    return found
