# SPDX-License-Identifier: GPL-2.0-or-later
"""Infer the order of unnamed bands from their number and their values, or say that it cannot be told.

The limits here were set on real images; `scripts/measure_band_order.py` shows what they get right (`docs/inputs.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.scenes.radar import looks_like_decibels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ORDERS", "Guess", "guess_order"]

_Order = tuple[str, ...]

_L2A = tuple(band for band in S2_BANDS if band != "B10")
_TEN = tuple(band for band in _L2A if band not in ("B01", "B09"))


def _last(order: _Order) -> _Order:
    """Return the order with B8A at the end, as EuroSAT and file names in alphabetical order have it."""
    return (*(band for band in order if band != "B8A"), "B8A")


_ESA, _EUROSAT = "ESA's order", "alphabetical order with B8A last, as in EuroSAT"
# By number of bands. The order of the 10 m bands before the 20 m bands is that of BigEarthNet's loaders.
ORDERS: dict[int, dict[str, _Order]] = {
    13: {_ESA: S2_BANDS, _EUROSAT: _last(S2_BANDS)},
    12: {_ESA: _L2A, _EUROSAT: _last(_L2A)},
    10: {
        _ESA: _TEN,
        _EUROSAT: _last(_TEN),
        "10 m bands first": ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12"),
    },
}
# Bands 1 to 10 of a Level-1C image look much like the ten without B01, B09 and B10, one place further on.
_DECOYS: dict[int, tuple[_Order, ...]] = {10: (S2_BANDS[:10],)}

# Neighbours in wavelength look alike: their correlation is high whatever the land cover.
_NEIGHBOURS = (
    ("B01", "B02"), ("B02", "B03"), ("B03", "B04"), ("B04", "B05"), ("B06", "B07"), ("B07", "B08"), ("B07", "B8A"),
    ("B08", "B8A"), ("B8A", "B09"), ("B11", "B12"),
)  # fmt: skip
# Lowest and highest ratio of medians (second over first) over the measured images, a little widened. That of B12 to B11
# reached 1.00: land reflects less at 2.2 um than at 1.6 um.
_RATIOS = {
    ("B01", "B02"): (0.6, 1.6), ("B02", "B03"): (0.5, 7.0), ("B03", "B04"): (0.3, 1.6), ("B04", "B05"): (0.6, 5.0),
    ("B06", "B07"): (0.85, 1.8), ("B07", "B08"): (0.7, 1.3), ("B08", "B8A"): (0.7, 1.45), ("B11", "B12"): (0.3, 1.05),
}  # fmt: skip
# Pairs that a stack may hold in exchange, and how much likeness to neighbours may speak for the exchange: in 99 of 100
# measured images less does. B09 is more like B8A than like B08 in all of them.
_LIKENESS = {("B08", "B8A"): 0.02, ("B03", "B05"): 0.04, ("B01", "B12"): 0.06}
# With cirrus the darkest pixels tell of B01 too, and haze may make it unlike B02.
_LIKENESS_WITH_CIRRUS = {**_LIKENESS, ("B01", "B12"): 0.12}
# Pairs of 10 m and 20 m: the natural logarithm of the ratio of their detail is above 0.3 in most measured images, near
# 0 where the bands were resampled together, and above this in all but a few windows.
_DETAIL, _COARSER = (("B08", "B8A"), ("B03", "B05")), -0.2
# The air scatters the more the shorter the wave (Rayleigh), so that in Level-1C the darkest pixels get darker along
# these (by how much they may get brighter, as a share of the median), and B02 is darker than B01 (0.99 of it at most).
_SCATTERED, _DARKEST, _BLUE = {("B02", "B04"): 0.02, ("B01", "B12"): 0.4}, 1.0, 1.02
# Without that, red varies more than blue on land: the ratio of standard deviations was below this in 4 % of the images.
_CONTRAST = 0.95
# Mean and least correlation of neighbours, and the lead over the next order (docs/inputs.md has what they get right).
_MEAN, _LEAST, _LEAD = 0.6, 0.2, 0.02
# Where the cirrus band lies settles the order of 13 bands, so smooth water may be noisier: all of 408 right.
_MEAN_WITH_CIRRUS = 0.2


@dataclass(frozen=True)
class Guess:
    """Names in file order, how sure they are, and what speaks for them: "there are ..."."""

    names: _Order
    confidence: Literal["likely", "unsure"]
    because: str


def guess_order(
    values: NDArray[np.float64], dtypes: Sequence[str], detail: NDArray[np.float64] | None = None
) -> Guess | None:
    """Infer which band is which.

    Args:
        values: stored values (C, H, W), NaN where invalid.
        dtypes: numpy's names of the stored types.
        detail: the same of some of the image at its own resolution (C, h, w); `values` when None.

    Returns:
        None when the values do not single out one order, or speak for one with two bands exchanged.
    """
    count = len(values)
    if count == 2 and looks_like_decibels(values, dtypes):
        return Guess(S1_BANDS, "likely", "two bands of decibels, the first brighter by as much as VV is than VH")
    if count not in ORDERS or set(dtypes) == {"uint8"}:
        return None
    # A cirrus band that holds nothing but zeros was put in to make up the number.
    medians = np.array([np.nanmedian(plane) if np.isfinite(plane).any() else 0.0 for plane in values])
    seen = medians != 0
    pixels = values[seen][:, np.isfinite(values[seen]).all(axis=0)]
    if pixels.shape[1] < 2 or (~seen).sum() > (count == 13):
        return None
    look = _Look(_correlations(pixels, seen), medians)
    guess = _with_cirrus(look) if count == 13 else _best(look)
    if guess is None or _exchanged(look, guess.names, values, values if detail is None else detail):
        return None
    return guess


@dataclass(frozen=True)
class _Look:
    correlations: NDArray[np.float64]
    medians: NDArray[np.float64]

    def alike(self, order: _Order) -> NDArray[np.float64]:
        """Correlations of neighbours in wavelength under an order."""
        return np.array(
            [self.correlations[order.index(a), order.index(b)] for a, b in _NEIGHBOURS if a in order and b in order]
        )

    def plausible(self, order: _Order) -> bool:
        """Whether each band is as bright against its neighbour as land, water and cloud allow."""
        return all(
            low <= self.medians[order.index(b)] / self.medians[order.index(a)] <= high
            for (a, b), (low, high) in _RATIOS.items()
            if a in order and b in order
        )


def _with_cirrus(look: _Look) -> Guess | None:
    darkest = int(np.argmin(look.medians))
    for title, order in ORDERS[13].items():
        if order.index("B10") == darkest and look.plausible(order) and look.alike(order).mean() >= _MEAN_WITH_CIRRUS:
            because = f"13 bands, of which number {darkest + 1} is as dark as only cirrus is: {title}"
            return Guess(order, "likely", because)
    return None


def _best(look: _Look) -> Guess | None:
    count = len(look.medians)
    orders = {order: title for title, order in ORDERS[count].items()}
    ranked = sorted((*orders, *_DECOYS.get(count, ())), key=lambda order: look.alike(order).mean(), reverse=True)
    first, second = (look.alike(order) for order in ranked[:2])
    sure = first.mean() >= _MEAN and first.min() >= _LEAST and first.mean() - second.mean() >= _LEAD
    if not sure or ranked[0] not in orders or not look.plausible(ranked[0]):
        return None
    # In a tenth of the stacks of ten bands B08 and B8A can stand exchanged unnoticed.
    return Guess(
        ranked[0],
        "unsure" if count == 10 else "likely",
        f"{count} bands whose spectrum and likeness fit {orders[ranked[0]]}",
    )


def _exchanged(look: _Look, order: _Order, values: NDArray[np.float64], detail: NDArray[np.float64]) -> bool:
    """Say whether something speaks for two bands of the order being exchanged."""
    planes, fine = dict(zip(order, values, strict=True)), dict(zip(order, detail, strict=True))
    medians = dict(zip(order, look.medians, strict=True))
    # With cirrus in it, it is of Level-1C.
    cirrus = bool(medians.get("B10"))
    for (a, b), noise in (_LIKENESS_WITH_CIRRUS if cirrus else _LIKENESS).items():
        other = tuple({a: b, b: a}.get(name, name) for name in order)
        if {a, b} <= planes.keys() and look.alike(other).sum() > look.alike(order).sum() + noise:
            return True
    if any(_detail(fine[a]) < _detail(fine[b]) * np.exp(_COARSER) for a, b in _DETAIL):
        return True
    if not cirrus:
        return bool(np.nanstd(planes["B04"]) < _CONTRAST * np.nanstd(planes["B02"]))
    floors = {name: np.nanpercentile(plane, _DARKEST) for name, plane in planes.items()}
    return medians["B02"] > _BLUE * medians["B01"] or any(
        floors[a] < floors[b] - share * medians[a] for (a, b), share in _SCATTERED.items()
    )


def _detail(plane: NDArray[np.float64]) -> float:
    """Return how much pixels differ from the next, against the next but one; NaN where nothing differs.

    Along either axis the lesser of even and odd pairs counts: where a band of 20 m was repeated, one of them are equal.
    """
    shares = []
    for part in (plane, plane.T):
        step, double = np.diff(part) ** 2, (part[:, 2:] - part[:, :-2]) ** 2
        sizes = [part[np.isfinite(part)] for part in (step[:, 0::2], step[:, 1::2], double)]
        if not all(part.size for part in sizes) or not sizes[2].any():
            return np.nan
        shares.append(min(sizes[0].mean(), sizes[1].mean()) / sizes[2].mean())
    return float(np.mean(shares))


def _correlations(pixels: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return correlations (C, C) of all bands, 0 where one is constant or unseen."""
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    scaled = np.divide(centred, length[:, None], out=np.zeros_like(centred), where=length[:, None] > 0)
    full = np.zeros((len(seen), len(seen)))
    full[np.ix_(seen, seen)] = scaled @ scaled.T
    return full
