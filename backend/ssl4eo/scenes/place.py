# SPDX-License-Identifier: GPL-2.0-or-later
"""Say what may be wrong with a raster's place on the ground and the size of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl4eo.grid import Grid
    from ssl4eo.scenes.names import Names
    from ssl4eo.scenes.raster import Raster
    from ssl4eo.scenes.report import Report

__all__ = ["GSD", "GSD_TOLERANCE", "check_place", "metres_per_pixel", "need_of_crs"]

# The encoders saw 10 m pixels; 20 % is the smallest zoom in their augmentation (RandomResizedCrop from 264 to 224).
GSD, GSD_TOLERANCE = 10.0, 0.2
# Along a meridian: 40 075 km, the Earth's girth at the equator (WGS 84), over 360.
_METRES_PER_DEGREE = 111_320.0
# Files of one grid differ in the last digits of their pixel size.
_COARSER = 1.01


def metres_per_pixel(grid: Grid) -> tuple[float, float] | None:
    """Return the width and the height of a pixel in metres; None where the CRS is absent or not projected."""
    if grid.crs is None or not grid.crs.is_projected:
        return None
    # A CRS may count in feet.
    metres = float(grid.crs.linear_units_factor[1])
    across, down = grid.resolution
    return across * metres, down * metres


def need_of_crs(path: str, *, has_gcps: bool) -> str:
    """Return the sentence that says what to do with an image without a coordinate reference system."""
    if has_gcps:
        return (
            f"{path} has no coordinate reference system but ground control points, as radar images in their own "
            "geometry do; terrain-correct it first (in SNAP: Radiometric, Calibrate; then Terrain Correction)."
        )
    return (
        f"{path} has no coordinate reference system; assign the right one to the file, "
        "for example with gdal_edit.py -a_srs EPSG:32633."
    )


def check_place(raster: Raster, names: Names, report: Report) -> None:
    """Report a missing CRS as a need, an unusual pixel size as a warning, and what is put on a finer grid."""
    grid = raster.grid
    height = grid.resolution[1]
    if grid.crs is None:
        report.need(need_of_crs(raster.path, has_gcps=raster.has_gcps))
    else:
        projected = metres_per_pixel(grid)
        metres = projected[1] if projected else height * (_METRES_PER_DEGREE if grid.crs.is_geographic else 1)
        if abs(metres / GSD - 1) > GSD_TOLERANCE:
            report.warn(
                f"Pixels are about {metres:.3g} m; the encoders were trained on 10 m pixels, so expect poorer features."
            )
    # Pixel sizes compare only between files of one CRS, which is what a scene of several files is made of.
    coarse: dict[float, list[str]] = {}
    for number, (band, name) in enumerate(zip(raster.bands, names, strict=True), start=1):
        if band.gsd > height * _COARSER:
            coarse.setdefault(band.gsd, []).append(name or f"band {number}")
    if coarse:
        parts = (f"{', '.join(coarse[gsd])} of {gsd:g}" for gsd in sorted(coarse))
        report.found(
            "resolution", "read", "certain", f"The grid is that of the finest bands ({height:g}); "
            f"interpolated to it are {' and '.join(parts)}."
        )  # fmt: skip
