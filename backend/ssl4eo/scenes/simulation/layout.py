# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things lie in the simulated landscape: river, lake, settlements and the roads between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry import LineString, Point, Polygon

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["Layout", "Settlement", "make_layout", "smooth_noise"]

# Metres. Widths with their verges, as central European roads have.
_MAIN_ROAD, _MOTORWAY, _MEDIAN = 13.0, 32.0, 5.0


@dataclass(frozen=True)
class Settlement:
    """A town or village: outline, centre and radius in metres, and the direction of its streets in radians."""

    outline: BaseGeometry
    centre: tuple[float, float]
    radius: float
    angle: float


@dataclass(frozen=True)
class Layout:
    """Shapes in metres from the upper left corner, y downward."""

    river: BaseGeometry
    lake: BaseGeometry
    settlements: tuple[Settlement, ...]
    roads: tuple[BaseGeometry, ...]
    medians: tuple[BaseGeometry, ...]


def smooth_noise(rng: np.random.Generator, size: int, wavelength: float) -> NDArray[np.float32]:
    """Return a field (size, size) of mean 0 and standard deviation 1 with bumps of about `wavelength` pixels."""
    from scipy.interpolate import RectBivariateSpline

    # At least 4 knots, which a cubic spline needs.
    knots = max(4, math.ceil(size / wavelength * 2) + 1)
    at = np.linspace(0, size - 1, knots)
    spline = RectBivariateSpline(at, at, rng.standard_normal((knots, knots)))
    field = spline(np.arange(size), np.arange(size))
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def make_layout(rng: np.random.Generator, side: float) -> Layout:
    """Place everything in a square of `side` metres."""
    river_line = _river(rng, side)
    river_width = min(90.0, 0.05 * side)
    river = river_line.buffer(river_width / 2)
    lake_at = (rng.uniform(0.62, 0.8) * side, rng.uniform(0.12, 0.3) * side)
    lake = _blob(rng, lake_at, min(0.085 * side, 700.0), flatten=0.6)
    settlements = _settlements(rng, side, river_line, lake)
    main = _main_roads(rng, side, settlements)
    motorway = _curve(rng, (0.0, rng.uniform(0.8, 0.95) * side), (side, rng.uniform(0.45, 0.6) * side), 0.04)
    roads = (*(line.buffer(_MAIN_ROAD / 2) for line in main), motorway.buffer(_MOTORWAY / 2))
    return Layout(river, lake, tuple(settlements), roads, (motorway.buffer(_MEDIAN / 2),))


def _river(rng: np.random.Generator, side: float) -> LineString:
    """Meanders: sines of two wavelengths with drifting phase, from the upper to the lower edge."""
    y = np.linspace(-0.05 * side, 1.05 * side, 400)
    start, drift = rng.uniform(0.25, 0.4) * side, rng.uniform(-0.1, 0.1)
    phases = rng.uniform(0, 2 * math.pi, 3)
    x = (
        start
        + drift * y
        + 0.055 * side * np.sin(2 * math.pi * y / (0.55 * side) + phases[0])
        + 0.022 * side * np.sin(2 * math.pi * y / (0.21 * side) + phases[1])
        + 0.006 * side * np.sin(2 * math.pi * y / (0.09 * side) + phases[2])
    )
    return LineString(np.column_stack([x, y]))


def _blob(rng: np.random.Generator, centre: tuple[float, float], radius: float, flatten: float = 1.0) -> Polygon:
    """Return a rounded, irregular outline."""
    angles = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    radii = np.full(angles.shape, radius)
    for lobes in range(2, 7):
        radii += radius * rng.normal(0, 0.22 / lobes) * np.cos(lobes * angles + rng.uniform(0, 2 * math.pi))
    turn = rng.uniform(0, math.pi)
    along, across = radii * np.cos(angles), flatten * radii * np.sin(angles)
    x = centre[0] + along * math.cos(turn) - across * math.sin(turn)
    y = centre[1] + along * math.sin(turn) + across * math.cos(turn)
    return Polygon(np.column_stack([x, y])).buffer(0)


def _settlements(rng: np.random.Generator, side: float, river: LineString, lake: BaseGeometry) -> list[Settlement]:
    """A town beside the river, and villages that keep their distance from each other and the lake."""
    at_river = river.interpolate(rng.uniform(0.45, 0.6), normalized=True)
    radius = min(0.1 * side, 900.0)
    places: list[tuple[float, float, float]] = [(at_river.x + 1.05 * radius, at_river.y, radius)]
    for _ in range(400):
        if len(places) == 5:
            break
        small = rng.uniform(0.35, 0.6) * radius
        x, y = rng.uniform(small, side - small, 2)
        free = all(math.hypot(x - px, y - py) > 1.6 * (small + pr) for px, py, pr in places)
        if free and Point(x, y).distance(lake) > 1.3 * small and Point(x, y).distance(river) > 1.2 * small:
            places.append((float(x), float(y), float(small)))
    return [Settlement(_blob(rng, (x, y), r), (x, y), r, float(rng.uniform(0, math.pi / 2))) for x, y, r in places]


def _main_roads(rng: np.random.Generator, side: float, settlements: list[Settlement]) -> list[LineString]:
    """Join each settlement to the nearest one that is joined already, and the town to two edges of the scene."""
    joined, *others = [place.centre for place in settlements]
    centres = [joined]
    lines = []
    while others:
        start, stop = min(product(centres, others), key=lambda pair: math.dist(*pair))
        lines.append(_curve(rng, start, stop, 0.08))
        centres.append(stop)
        others.remove(stop)
    edges = (0.0, rng.uniform(0.1, 0.5) * side), (rng.uniform(0.5, 0.9) * side, side)
    return lines + [_curve(rng, joined, edge, 0.08) for edge in edges]


def _curve(rng: np.random.Generator, start: tuple[float, float], stop: tuple[float, float], bend: float) -> LineString:
    """Return a quadratic Bezier curve whose middle is off the straight line by up to `bend` of its length."""
    a, c = np.array(start), np.array(stop)
    normal = np.array([-(c - a)[1], (c - a)[0]])
    b = (a + c) / 2 + normal * rng.uniform(-2 * bend, 2 * bend)
    t = np.linspace(0, 1, 60)[:, None]
    return LineString((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c)
