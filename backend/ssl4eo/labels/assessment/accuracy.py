# SPDX-License-Identifier: GPL-2.0-or-later
"""Accuracy and area from a stratified random sample of a map, with what chance leaves open.

Olofsson et al. 2014, "Good practices for estimating area and assessing accuracy of land change", Remote Sensing of
Environment 148, doi:10.1016/j.rse.2014.02.015; equations by their numbers there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Z95", "Accuracy", "allocate", "estimate", "sample_size"]

# Half the width of a 95 % interval of the normal distribution, in standard errors.
Z95 = 1.96


@dataclass(frozen=True)
class Accuracy:
    """Estimates and their standard errors; NaN where there is none.

    Attributes:
        proportions: (K, J) share of the area that is mapped as class i and is class j.
        overall: share of the area that is mapped right, and its standard error.
        users: (K,) of what is mapped as a class, the share that is it; and (K,) standard errors.
        producers: (J,) of what is a class, the share that is mapped as it; and (J,) standard errors.
        shares: (J,) share of the area that is a class; and (J,) standard errors.
    """

    proportions: NDArray[np.float64]
    overall: tuple[float, float]
    users: tuple[NDArray[np.float64], NDArray[np.float64]]
    producers: tuple[NDArray[np.float64], NDArray[np.float64]]
    shares: tuple[NDArray[np.float64], NDArray[np.float64]]


def estimate(counts: NDArray[np.intp], weights: NDArray[np.float64]) -> Accuracy:
    """Estimate accuracies and areas.

    Args:
        counts: (K, J) sample points that are mapped as class i and are class j; the map's K classes are the first of
            the J. Each map class has a point.
        weights: (K,) share of the mapped area of each class, adding up to 1.

    Returns:
        Estimates; with one point in a class of the map the standard errors that need its spread are NaN.
    """
    classes, reference = counts.shape
    points = counts.sum(axis=1).astype(float)
    ratios = counts / points[:, None]
    proportions = weights[:, None] * ratios
    right = np.diagonal(ratios)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The variance of a share in a stratum; with one point there is no saying.
        spread = np.where(points[:, None] > 1, ratios * (1 - ratios) / (points[:, None] - 1), np.nan)
        own = np.diagonal(spread)
        overall = float((weights * right).sum()), float(np.sqrt((weights**2 * own).sum()))
        shares = proportions.sum(axis=0)
        share_errors = np.sqrt((weights[:, None] ** 2 * spread).sum(axis=0))
        found = np.zeros(reference)
        found[:classes] = np.diagonal(proportions)
        producers = np.where(shares > 0, found / shares, np.nan)
        # Equation 7: what the class's own stratum adds, and what of it lies in the others.
        inside = np.zeros(reference)
        inside[:classes] = (weights * (1 - producers[:classes])) ** 2 * own
        elsewhere = weights[:, None] ** 2 * spread
        elsewhere[np.arange(classes), np.arange(classes)] = 0
        variance = (inside + producers**2 * elsewhere.sum(axis=0)) / shares**2
    return Accuracy(proportions, overall, (right, np.sqrt(own)), (producers, np.sqrt(variance)), (shares, share_errors))


def sample_size(weights: NDArray[np.float64], expected: NDArray[np.float64], target: float) -> int:
    """Return how many points give the overall accuracy a standard error of `target` (equation 13, large map).

    Args:
        weights: (K,) share of the mapped area of each class.
        expected: (K,) user's accuracies that are expected.
        target: standard error of the overall accuracy, such as 0.01.
    """
    spread = np.sqrt(expected * (1 - expected))
    return int(np.ceil(((weights * spread).sum() / target) ** 2 - 1e-9))


def allocate(total: int, pixels: NDArray[np.int64], least: int) -> NDArray[np.intp]:
    """Share points out by area, and give rare classes at least `least` (Olofsson et al. 2014, 5.1.2).

    There the points of the rare classes are taken from the others; here they come on top, so that the standard error
    that the total was found for is kept. No class gets more points than it has pixels.

    Args:
        total: points by area.
        pixels: (K,) of each class in the map.
        least: points of a rare class.
    """
    by_area = np.ceil(total * pixels / pixels.sum() - 1e-9).astype(np.intp)
    return np.asarray(np.minimum(np.maximum(by_area, least), pixels), np.intp)
