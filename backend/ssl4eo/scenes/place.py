# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what may be wrong with a raster's place on the ground and the size of its pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl4eo.grid import Grid
    from ssl4eo.scenes.names import Names
    from ssl4eo.scenes.raster import Raster
    from ssl4eo.scenes.report import Report

__all__ = ["check_place", "resolution"]

# The encoders saw 10 m pixels; 20 % is the smallest zoom in their augmentation (RandomResizedCrop from 264 to 224).
_GSD, _GSD_TOLERANCE = 10.0, 0.2
_METRES_PER_DEGREE = 111_320.0
# Files of one grid differ in the last digits of their pixel size.
_COARSER = 1.01


def resolution(grid: Grid) -> tuple[float, float]:
    """Return the width and the height of a pixel in units of the CRS."""
    t = grid.transform
    return math.hypot(t.a, t.d), math.hypot(t.b, t.e)


def check_place(raster: Raster, names: Names, report: Report) -> None:
    """Report a missing CRS as a need, an unusual pixel size as a warning, and what is put on a finer grid."""
    grid = raster.grid
    height = resolution(grid)[1]
    if grid.crs is None:
        report.need(
            f"{raster.path} has no coordinate reference system; assign the right one to the file, "
            "for example with gdal_edit.py -a_srs EPSG:32633."
        )
    else:
        metres = height * (_METRES_PER_DEGREE if grid.crs.is_geographic else 1)
        if abs(metres / _GSD - 1) > _GSD_TOLERANCE:
            report.warn(
                f"Pixels are about {metres:.3g} m; the encoders were trained on 10 m pixels, so expect poorer features."
            )
    # Pixel sizes compare only between files of one CRS, which is what a scene of several files is made of.
    finest = min(band.gsd for band in raster.bands)
    coarse: dict[float, list[str]] = {}
    for number, (band, name) in enumerate(zip(raster.bands, names, strict=True), start=1):
        if band.gsd > finest * _COARSER:
            coarse.setdefault(band.gsd, []).append(name or f"band {number}")
    if coarse:
        parts = (f"{', '.join(coarse[gsd])} of {gsd:g}" for gsd in sorted(coarse))
        report.found(
            "resolution", "read", "certain", f"The grid is that of the finest bands ({finest:g}); "
            f"interpolated to it are {' and '.join(parts)}."
        )  # fmt: skip
