# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed and memory of encoding on this machine, against the pure forward pass and the plain loop."""

from __future__ import annotations

from ssl4eo.bench.bench import DEFAULT_WHAT, PAIRS, SIZES, WHAT, bench

__all__ = ["DEFAULT_WHAT", "PAIRS", "SIZES", "WHAT", "bench"]
