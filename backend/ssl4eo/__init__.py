# SPDX-License-Identifier: GPL-2.0-or-later
"""Feature maps and few-shot land-cover maps from encoders pre-trained on SSL4EO-S12."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
