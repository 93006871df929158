# SPDX-License-Identifier: GPL-2.0-or-later
"""Feature sets: what an encoder says of a scene, per level at its own stride, on disk."""

from __future__ import annotations

from ssl4eo.features.encode import Addition, encode
from ssl4eo.features.store import FeatureSet, Level

__all__ = ["Addition", "FeatureSet", "Level", "encode"]
