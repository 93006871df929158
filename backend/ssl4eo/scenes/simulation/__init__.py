# SPDX-License-Identifier: GPL-2.0-or-later
"""A simulated Sentinel-2 scene: a landscape, the spectra of its covers, and the sensor that sees them."""

from __future__ import annotations

from ssl4eo.scenes.simulation.generate import simulate

__all__ = ["simulate"]
