# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn stored values into reflectance or decibels, in place and band by band, and say which pixels count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ssl4eo.scenes.info import SceneInfo

__all__ = ["clear_gaps", "keep_valid", "measure", "mirror"]

# Decibels per decade of the quantity: backscatter is a power, an amplitude its square root.
_DECIBELS = {"linear": 10.0, "amplitude": 20.0}


def measure(stored: NDArray[Any], info: SceneInfo, out: NDArray[np.float32]) -> None:
    """Write the reflectance or decibels of the stored values (H, W) of a band into `out` (H, W).

    Each step is in place: a fresh array for every step took ten times as long.
    """
    # What is too large, or a power that is not positive (radar processors write 0, and less, where nothing was
    # measured), comes out infinite or as no number, and so is not valid.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        np.copyto(out, stored, casting="unsafe")
        out += np.float32(info.offset)
        out /= np.float32(info.quantification)
        if _is_logarithm(info):
            np.log10(out, out=out)
            out *= np.float32(_DECIBELS[info.unit])


def keep_valid(
    valid: NDArray[np.bool_],
    stored: NDArray[Any],
    values: NDArray[np.float32],
    info: SceneInfo,
    missing: Iterable[float],
) -> None:
    """Clear `valid` (H, W) where a band holds "no data" or no finite value.

    Args:
        valid: what counts so far.
        stored: the band as its file holds it.
        values: what `measure` made of it.
        info: of the scene.
        missing: stored values that say "no data".
    """
    if _is_logarithm(info) or not np.issubdtype(stored.dtype, np.integer):
        valid &= np.isfinite(values)
    for value in missing:
        same = _as_stored(value, stored.dtype)
        if same is not None:
            valid &= stored != same


def clear_gaps(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
    """Set all bands (C, H, W) to 0 where pixels are not valid."""
    gaps = ~valid
    if gaps.any():
        for plane in values:
            np.copyto(plane, 0, where=gaps)


def mirror(planes: NDArray[np.float32], rows: slice, cols: slice) -> None:
    """Continue what (C, H, W) holds in `rows` and `cols` over its edges, mirrored as often as that takes.

    Mirroring continues texture across the border; zeros would make an edge that the network sees.
    """
    _mirror_last(planes[:, rows], cols)
    _mirror_last(planes.swapaxes(1, 2), rows)


def _mirror_last(planes: NDArray[np.float32], inside: slice) -> None:
    """Mirror along the last axis; the pixel at the edge is repeated."""
    side, size = inside.stop - inside.start, planes.shape[-1]
    # What is known grows by its own size each time, so that its edge stays one that the image is mirrored at.
    start, known = inside.start, side
    while start > 0:
        step = min(start, known)
        planes[..., start - step : start] = planes[..., start : start + step][..., ::-1]
        start, known = start - step, known + step
    stop, known = inside.stop, side
    while stop < size:
        step = min(size - stop, known)
        planes[..., stop : stop + step] = planes[..., stop - step : stop][..., ::-1]
        stop, known = stop + step, known + step


def _is_logarithm(info: SceneInfo) -> bool:
    return info.sensor == "S1" and info.unit in _DECIBELS


def _as_stored(value: float, dtype: np.dtype[Any]) -> Any:
    """Return a value as a stored type holds it, so that comparing needs no wider copy; None when it cannot hold it."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return dtype.type(int(value)) if value.is_integer() and limits.min <= value <= limits.max else None
    # A file's nodata is written in double precision and its pixels may be in single.
    with np.errstate(over="ignore"):
        return dtype.type(value)
