# SPDX-License-Identifier: GPL-2.0-or-later
"""The live few-shot map: a session on a feature set that learns from clicks and draws any view of the map."""

from __future__ import annotations

from ssl4eo.labels.live.asked import ViewError
from ssl4eo.labels.live.learnt import Wish
from ssl4eo.labels.live.places import Sample
from ssl4eo.labels.live.registry import Registry, UnknownSession
from ssl4eo.labels.live.session import Session, SessionGone, StaleView, View

__all__ = [
    "Registry",
    "Sample",
    "Session",
    "SessionGone",
    "StaleView",
    "UnknownSession",
    "View",
    "ViewError",
    "Wish",
]
