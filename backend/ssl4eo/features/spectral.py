# SPDX-License-Identifier: GPL-2.0-or-later
"""Pixel levels: bands and indices at the image's own resolution, and mean and deviation around each block of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ssl4eo.bands import NATIVE_GSD, S1_BANDS, S2_BANDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    # Bands (H, W), stacked or not.
    Bands = NDArray[np.float32] | Sequence[NDArray[np.float32]]

__all__ = [
    "MARGIN",
    "STRIDE",
    "pixel_bands",
    "pixel_level",
    "pixel_names",
    "surroundings_level",
    "surroundings_names",
]

# Pixels per side of a block, the cell of the surroundings.
STRIDE = 4
# Pixels that the surroundings see around a block. Mean and deviation over these 6 x 6 pixels at stride 4, with all
# bands, and the pixel itself without the 60 m bands classify six real scenes up to 3 points better than all bands with
# mean and deviation over 7 x 7 at every pixel, and none worse (docs/few-shot-heads.md), at a third of the bytes.
MARGIN = 1
_SIDE = STRIDE + 2 * MARGIN
# A cell counts as valid when at least half of its block is.
_ENOUGH = STRIDE**2 // 2
# Bands this coarse hold nothing at 10 m that their mean over 6 x 6 pixels does not.
_COARSE = 60

# (first, second) of (first - second) / (first + second).
_INDICES = {
    "NDVI": ("B08", "B04"),  # Rouse et al. 1974, Third ERTS Symposium, NASA SP-351, 309-317
    "NDWI": ("B03", "B08"),  # McFeeters 1996, doi:10.1080/01431169608948714
    "NDMI": ("B08", "B11"),  # Gao 1996, doi:10.1016/S0034-4257(96)00067-3
}
# (first, second) of first - second in decibels, the logarithm of the ratio of the two polarisations, which tells
# vegetation from bare ground (Vreugdenhil et al. 2018, doi:10.3390/rs10091396).
_DIFFERENCES = {"VV-VH": ("VV", "VH")}
# Keeps the quotient finite on black pixels; a hundredth of the reflectance of clear water.
_EPSILON = np.float32(1e-4)
# Rows of pixels, and rows of blocks, that are worked on at once: what is made of them stays in the processor's cache.
_ROWS, _BLOCK_ROWS = 32, 64


def pixel_bands(bands: Sequence[str | None]) -> list[str]:
    """Return which of a scene's bands its pixel levels are made of: all that have a name, in canonical order."""
    return [band for band in (*S2_BANDS, *S1_BANDS) if band in bands]


def pixel_names(bands: Sequence[str]) -> list[str]:
    """Return the names of the components of `pixel_level` for a scene that holds `bands`."""
    return [*_fine(bands), *_pairs(_INDICES, bands), *_pairs(_DIFFERENCES, bands)]


def surroundings_names(bands: Sequence[str]) -> list[str]:
    """Return the names of the components of `surroundings_level` for a scene that holds `bands`."""
    return [f"{band} {what} {_SIDE}x{_SIDE}" for what in ("mean", "sd") for band in bands]


def pixel_level(values: Bands, bands: Sequence[str]) -> NDArray[np.float32]:
    """Return what each pixel is by itself.

    Args:
        values: C bands (H, W), reflectance, or decibels for VV and VH, in the order of `bands`; finite.
        bands: canonical names.

    Returns:
        (K, H, W) float32 in the order of `pixel_names`: bands, indices and differences.
    """
    band_of = dict(zip(bands, values, strict=True))
    level = np.empty((len(pixel_names(bands)), *values[0].shape), np.float32)
    planes = iter(level)
    for band in _fine(bands):
        next(planes)[...] = band_of[band]
    for first, second in _pairs(_INDICES, bands).values():
        _index(band_of[first], band_of[second], next(planes))
    for first, second in _pairs(_DIFFERENCES, bands).values():
        np.subtract(band_of[first], band_of[second], out=next(planes))
    return level


def surroundings_level(values: Bands, valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return mean and standard deviation of the 6 x 6 pixels around each block of 4 x 4.

    The mean over decibels is that of the logarithm, which a few bright scatterers do not dominate. A cell is the same
    to the last bit however the image is cut.

    Args:
        values: C bands (4 h + 2, 4 w + 2), reflectance or decibels of the blocks and `MARGIN` more pixels on each
            side; finite.
        valid: (4 h + 2, 4 w + 2); invalid pixels count in no mean.

    Returns:
        (2 C, h, w) float32 in the order of `surroundings_names`, and (h, w) whether at least half of the block is
        valid; where it is not, the numbers mean nothing.
    """
    height, width = ((size - 2 * MARGIN) // STRIDE for size in valid.shape)
    level = np.empty((2, len(values), height, width), np.float32)
    for band, mean, deviation in zip(values, *level, strict=True):
        for start in range(0, height, _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, height))
            pixels = band[rows.start * STRIDE : rows.stop * STRIDE + 2 * MARGIN]
            _moments(pixels, mean[rows], deviation[rows])
    known = np.ones((height, width), np.bool_)
    if not valid.all():
        counts = valid.astype(np.uint8)
        known = _counted(counts, range(MARGIN, MARGIN + STRIDE)) >= _ENOUGH
        _leave_out(values, valid, known & (_counted(counts, range(_SIDE)) < _SIDE**2), level)
    return level.reshape(-1, height, width), known


def _fine(bands: Sequence[str]) -> list[str]:
    """Return the bands that hold something at 10 m, or all when none does: level 0 is never empty."""
    return [band for band in bands if NATIVE_GSD.get(band, 0) < _COARSE] or list(bands)


def _pairs(of: dict[str, tuple[str, str]], bands: Sequence[str]) -> dict[str, tuple[str, str]]:
    return {name: pair for name, pair in of.items() if set(pair) <= set(bands)}


def _index(first: NDArray[np.float32], second: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write (first - second) / (first + second), all (H, W), between -1 and 1."""
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        # Copied into one piece each: numpy works on that up to three times as fast as on rows that lie apart.
        quotient, other = np.array(first[rows]), np.array(second[rows])
        total = quotient + other
        np.maximum(total, _EPSILON, out=total)
        quotient -= other
        quotient /= total
        np.clip(quotient, -1, 1, out=out[rows])


def _moments(pixels: NDArray[np.float32], mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
    """Write mean and deviation (h, w) over windows of 6 x 6 of pixels (4 h + 2, 4 w + 2), all of them valid.

    Windows are put together from groups of pixels: pairs one above the other, squares of 2 x 2, columns of three
    squares, and three such columns. Each step adds how far the means of its groups lie apart to the squared deviations
    within them (Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115), so that nothing large is taken from
    something large, as it would be in the mean of squares less the square of the mean. Groups overlap between windows
    and are made once.
    """
    upper, within_upper = _two_rows(pixels[0::4], pixels[1::4])
    middle, within_middle = _two_rows(pixels[2::4], pixels[3::4])
    (upper, upper_apart), (middle, middle_apart) = _two_columns(upper), _two_columns(middle)
    columns = _three(upper[:-1], middle, upper[1:])
    # Twice the squared deviations in columns of 6 x 2 pixels, from those between three squares of n = 4 pixels with
    # the sums s: sum of n (s_i / n - mean)^2 = sum over pairs of (s_i - s_j)^2 / (3 n).
    squares = _three_apart(upper[:-1], middle, upper[1:])
    squares *= np.float32(2 / 12)
    # From those between two pairs of n = 2 in each square: (s_1 - s_2)^2 / (2 n).
    apart = _three(upper_apart[:-1], middle_apart, upper_apart[1:])
    apart *= np.float32(2 / 4)
    squares += apart
    # And from those between two pixels.
    within = _three(within_upper[:-1], within_middle, within_upper[1:])
    squares += within[:, 0::2]
    squares += within[:, 1::2]
    # Three columns of n = 12 each.
    left, centre, right = columns[:, 0:-1:2], columns[:, 1::2], columns[:, 2::2]
    mean[...] = _three(left, centre, right)
    mean /= np.float32(36)
    total = _three_apart(left, centre, right)
    total *= np.float32(2 / 36)
    total += _three(squares[:, 0:-1:2], squares[:, 1::2], squares[:, 2::2])
    total /= np.float32(2 * 36)
    np.sqrt(total, out=deviation)


def _two_rows(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Return sums and squared differences of rows (h, w) that lie one above the other."""
    # Copied into one piece each, as in `_index`.
    first, second = np.array(first), np.array(second)
    total = first + second
    np.subtract(first, second, out=second)
    second *= second
    return total, second


def _two_columns(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return sums and squared differences (h, w / 2) of columns that lie side by side."""
    apart = rows[:, 0::2] - rows[:, 1::2]
    apart *= apart
    return rows[:, 0::2] + rows[:, 1::2], apart


def _three(a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float32]:
    total = a + b
    total += c
    return total


def _three_apart(a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of the squared differences of all pairs of three."""
    total, apart = a - b, b - c
    total *= total
    apart *= apart
    total += apart
    np.subtract(a, c, out=apart)
    apart *= apart
    total += apart
    return total


def _counted(counts: NDArray[np.uint8], offsets: Iterable[int]) -> NDArray[np.uint8]:
    """Return (h, w) sums over the pixels of each block whose row and column lie at `offsets` from its window's edge."""
    places = list(offsets)
    for _ in range(2):
        size = (len(counts) - 2 * MARGIN) // STRIDE
        lines = [counts[place : place + STRIDE * size : STRIDE][:size] for place in places]
        # Sums down, then with rows and columns exchanged across, then back.
        counts = np.asarray(sum(lines[1:], start=lines[0].copy())).T
    return counts


def _leave_out(values: Bands, valid: NDArray[np.bool_], mixed: NDArray[np.bool_], level: NDArray[np.float32]) -> None:
    """Write the moments of `mixed` cells (h, w), whose windows hold invalid pixels, into `level` (2, C, h, w) anew."""
    rows, cols = np.nonzero(mixed)
    if len(rows) == 0:
        return

    def windows(of: NDArray[np.generic]) -> NDArray[np.float32]:
        every = sliding_window_view(of, (_SIDE, _SIDE))[::STRIDE, ::STRIDE]
        return np.asarray(every[rows, cols].reshape(len(rows), -1), np.float32)

    weights = windows(valid)
    weights /= weights.sum(axis=1, keepdims=True)
    for band, mean, deviation in zip(values, *level, strict=True):
        pixels = windows(band)
        middle = np.einsum("np,np->n", pixels, weights)
        pixels -= middle[:, None]
        mean[rows, cols] = middle
        deviation[rows, cols] = np.sqrt(np.einsum("np,np,np->n", pixels, pixels, weights))
