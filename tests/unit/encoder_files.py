# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders with random weights that tests install for themselves: real cards and files, narrow networks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from ssl4eo.encoders import get_card
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.weights.records import checksum, folder_of, lock_of
from ssl4eo.encoders.weights.upkeep import install

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# A tenth of the width makes a transformer a hundred times faster; depth, patch, window and halo stay those of the card.
_NARROW = {
    "vits16": {"widths": (48,), "heads": 3},
    "vits14": {"widths": (48,), "heads": 3},
    "beits16": {"widths": (48,), "heads": 3},
}


@contextmanager
def random_encoders(folder: Path, ids: Sequence[str]) -> Iterator[None]:
    """Make the encoders `ids` available with random weights, in a cache of their own, while the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL4EO_WEIGHTS", str(folder / "cache"))
        for backbone, narrow in _NARROW.items():
            patch.setitem(BACKBONES, backbone, replace(BACKBONES[backbone], **narrow))
        for seed, encoder in enumerate(ids):
            card = get_card(encoder)
            torch.manual_seed(seed)
            with lock_of(card):
                file = folder_of(card) / "made.part"
                torch.save(build_network(card.backbone, len(card.bands)).state_dict(), file)
                install(card, file, f"{encoder}.pth", sha256=checksum(file), source="a test", verified="tensors")
        yield
