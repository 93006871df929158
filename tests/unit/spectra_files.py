# SPDX-License-Identifier: GPL-2.0-or-later
"""Small scenes with the spectra of real covers, for tests of what `inspect` infers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ssl4eo.bands import S2_BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Level-1C reflectance x 10000 in the order of S2_BANDS, rounded from the medians of single-cover EuroSAT patches.
COVERS = {
    "forest": (1100, 800, 640, 400, 660, 1900, 2300, 2250, 2500, 750, 12, 1150, 500),
    "field": (1200, 950, 950, 800, 1200, 2700, 3300, 3250, 3550, 1100, 14, 1900, 950),
    "soil": (1350, 1200, 1250, 1450, 1650, 1900, 2050, 2050, 2250, 650, 15, 3000, 2200),
    "water": (1250, 900, 650, 400, 380, 340, 340, 300, 280, 110, 11, 90, 60),
}


def reflectances(names: Sequence[str] = S2_BANDS, covers: Sequence[str] = tuple(COVERS), side: int = 64) -> NDArray:
    """Return reflectance (C, side, side): stripes of covers whose brightness varies in all bands together."""
    rng = np.random.default_rng(3)
    stripe = np.arange(side) * len(covers) // side
    means = np.array([COVERS[cover] for cover in covers], float)[stripe]
    shade = 1 + 0.12 * rng.standard_normal((side, side))
    values = means.T[:, :, None] * shade.clip(0.6, 1.4) + rng.normal(0, 2, (len(S2_BANDS), side, side))
    return values[[S2_BANDS.index(name) for name in names]].clip(1) / 10000


def numbers(names: Sequence[str] = S2_BANDS, offset: int = 0, scale: float = 10000, **options) -> NDArray[np.uint16]:
    """Return what a file stores of `reflectances`."""
    return np.rint(reflectances(names, **options) * scale + offset).astype(np.uint16)


def backscatter(side: int = 64) -> NDArray[np.float32]:
    """Return VV and VH in decibels (2, side, side)."""
    rng = np.random.default_rng(5)
    texture = rng.standard_normal((side, side))
    return np.stack([-12 + 3 * texture, -19.5 + 3 * texture + rng.normal(0, 1, (side, side))]).astype(np.float32)
