# SPDX-License-Identifier: GPL-2.0-or-later
"""The projection of an existing feature set, for another scene."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from ssl4eo.errors import InputError
from ssl4eo.features.item import PROJECTION_FILE
from ssl4eo.features.projection import Projection

if TYPE_CHECKING:
    from ssl4eo.encoders.cards import Card
    from ssl4eo.features.store import FeatureSet

__all__ = ["given_projections"]


def given_projections(features: FeatureSet, card: Card, weights_sha256: str, mode: str) -> list[Projection]:
    """Return the projections of an encoder's levels in a feature set.

    Raises:
        InputError: when the set was made by other encoders, weights or in another mode, or its file is damaged.
    """
    made = [entry for entry in features.item["properties"]["ssl4eo:encoders"] if entry["id"] == card.id]
    if not made:
        raise InputError(
            f"{features.folder} was made by {', '.join(features.encoders)} and has no projection for {card.id}; "
            "take a feature set of the same encoder."
        )
    if made[0]["weights_sha256"] != weights_sha256:
        raise InputError(
            f"{features.folder} was made with other weights of {card.id} (sha256 {made[0]['weights_sha256'][:12]}..., "
            f"here {weights_sha256[:12]}...); its projection does not fit them; take another set."
        )
    other = made[0].get("mode", "of an earlier version")
    if other != mode:
        raise InputError(
            f"{features.folder} was made in the mode {other}, whose projection is not for {mode}; take another set."
        )
    levels = [level["level"] for level in features.item["properties"]["ssl4eo:levels"] if level["encoder"] == card.id]
    try:
        # numpy closes a file that it opened itself only when it is whole.
        with (
            (features.folder / PROJECTION_FILE).open("rb") as stream,
            np.load(stream, allow_pickle=False) as stored,
        ):
            return [
                Projection(stored[f"mean_{level}"], stored[f"components_{level}"], stored[f"variance_{level}"])
                for level in levels[: len(card.shape.levels)]
            ]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"The projection of {features.folder} cannot be read ({error}); take another feature set."
        ) from error
