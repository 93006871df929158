# SPDX-License-Identifier: GPL-2.0-or-later
"""How much memory this process has used at most."""

from __future__ import annotations

import sys

import psutil

__all__ = ["peak_memory_mb"]


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in megabytes (1e6 bytes)."""
    if sys.platform == "win32":
        return round(float(psutil.Process().memory_info().peak_wset) / 1e6, 1)
    import resource

    # getrusage(2): kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
