# SPDX-License-Identifier: GPL-2.0-or-later
"""Small rasters that tests write for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from ssl4eo.bands import S2_BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ORIGIN = Affine(10, 0, 330000, 0, -10, 5822040)


def write_raster(
    path: Path,
    values: NDArray[Any],
    names: Sequence[str | None] = S2_BANDS,
    *,
    crs: str | None = "EPSG:32633",
    nodata: float | None = None,
    transform: Affine = ORIGIN,
    **tags: str,
) -> Path:
    """Write (C, H, W) with band names and tags."""
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(
        path, "w", **profile, dtype=values.dtype, crs=crs, transform=transform, nodata=nodata
    ) as dataset:
        dataset.write(values)
        dataset.update_tags(**tags)
        for number, name in enumerate(names[: len(values)], start=1):
            if name:
                dataset.set_band_description(number, name)
    return path


def landscape(bands: int = 13, height: int = 200, width: int = 240, seed: int = 0) -> NDArray[np.uint16]:
    """Return smooth patches of four covers plus noise, as DN (C, H, W); B10 is nearly black."""
    rng = np.random.default_rng(seed)
    cover = (np.arange(height)[:, None] // 50 + np.arange(width)[None] // 60) % 4
    means = rng.integers(500, 4000, (bands, 4))
    values = means[:, cover] + rng.normal(0, 60, (bands, height, width))
    if bands == len(S2_BANDS):
        values[S2_BANDS.index("B10")] = 20 + rng.normal(0, 2, (height, width))
    return np.clip(values, 1, 65535).astype(np.uint16)
