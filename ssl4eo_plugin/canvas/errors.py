# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user did that cannot be carried out, as one sentence for the panel."""

from __future__ import annotations

__all__ = ["CanvasError"]


class CanvasError(Exception):
    """One sentence: what was wrong, with its value, and what to do."""
