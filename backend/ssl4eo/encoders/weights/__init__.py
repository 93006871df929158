# SPDX-License-Identifier: GPL-2.0-or-later
"""The weights on this computer: where they are, whether they are intact, and how they come here and go.

What is exported here imports neither torch nor the HTTP library; `download`, `importing`, `recognise` and `upkeep` are
modules of their own.
"""

from __future__ import annotations

from ssl4eo.encoders.weights.local import LocalWeights, describe, find, require, weights_folder

__all__ = ["LocalWeights", "describe", "find", "require", "weights_folder"]
