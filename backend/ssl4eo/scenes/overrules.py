# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user knows better than the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

__all__ = ["Overrules"]


class Overrules(TypedDict, total=False):
    """Keyword arguments of every function that opens a scene; what is absent or None is found in the file.

    `bands` are canonical names by band number (from 1). `scale` and `offset` say reflectance = (DN + offset) * scale;
    a scale over 1 is taken as the divisor. `level` is L1C, L2A, GRD or RTC; `unit` is dn, reflectance, db, linear or
    amplitude.
    """

    bands: Mapping[int, str] | None
    scale: float | None
    offset: float | None
    nodata: float | None
    level: str | None
    unit: str | None
