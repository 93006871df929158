# SPDX-License-Identifier: GPL-2.0-or-later
"""From labelled places to a land-cover map: samples, linear heads over all levels, and the class map on disk."""

from __future__ import annotations

from ssl4eo.labels.mapping.product import classify
from ssl4eo.labels.samples import Samples, read_samples

__all__ = ["Samples", "classify", "read_samples"]
