# SPDX-License-Identifier: GPL-2.0-or-later
"""From maps to what is shown: classes with their confidence, and likeness to the samples of a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.labels.live.threads import scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssl4eo.labels.heads.novelty import Novelty

__all__ = ["NODATA", "NONE_OF_THESE", "ClassPainter", "LikenessPainter"]

# Codes of pixels without value or outside the scene, and of pixels that are far from all classes.
NODATA, NONE_OF_THESE = 0, 255


@dataclass(frozen=True)
class ClassPainter:
    """Paints classes and confidence from logits, and from the novelty's maps behind them if there are any.

    Attributes:
        codes: (K,) uint8, what a class is painted as; `NODATA` hides it.
        temperature: logits are divided by it before softmax.
        holes: (h, w) pixels without value, or None.
        shape: height and width.
        novelty: what tells pixels that are far from all classes.
        beyond: the distance from which on they are none of these.
    """

    codes: NDArray[np.uint8]
    temperature: float
    holes: NDArray[np.bool_] | None
    shape: tuple[int, int]
    novelty: Novelty | None = None
    beyond: float = np.inf
    classes: NDArray[np.uint8] = field(init=False)
    confidence: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", np.empty(self.shape, np.uint8))
        object.__setattr__(self, "confidence", np.empty(self.shape, np.uint8))

    def __call__(self, maps: NDArray[np.float32], rows: slice) -> None:
        """Paint some rows from maps (K and more, h, w), which are used up."""
        count = len(self.codes)
        logits = maps[:count]
        # Passes over whole planes: argmax along the first axis takes ten times as long.
        logits -= np.maximum.reduce(logits, axis=0)
        falling = np.arange(count, 0, -1, dtype=np.uint8)[:, None, None]
        best = scratch("best", -(-logits.size // 4)).view(np.uint8)[: logits.size].reshape(logits.shape)
        np.greater_equal(logits, 0, out=best.view(np.bool_))
        best *= falling
        place = count - np.maximum.reduce(best, axis=0)
        painted = self.codes[place]
        if self.temperature != 1:
            logits *= np.float32(1 / self.temperature)
        total = np.add.reduce(np.exp(logits, out=logits), axis=0)
        np.divide(np.float32(255), total, out=total)
        total += np.float32(0.5)
        sure = total.astype(np.uint8)
        if self.novelty is not None:
            far = self.novelty.squares(maps[count:]) > self.beyond**2
            painted[far] = NONE_OF_THESE
        if self.holes is not None:
            painted[self.holes[rows]] = NODATA
        sure[painted == NODATA] = 0
        self.classes[rows], self.confidence[rows] = painted, sure


@dataclass(frozen=True)
class LikenessPainter:
    """Paints the cosine of the angle between a pixel's features and a direction: 1 for -1, 128 for 0, 255 for 1.

    Attributes:
        holes: (h, w) pixels without value, or None.
        shape: height and width.
    """

    holes: NDArray[np.bool_] | None
    shape: tuple[int, int]
    likeness: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "likeness", np.empty(self.shape, np.uint8))

    def __call__(self, maps: NDArray[np.float32], rows: slice) -> None:
        """Paint some rows from maps (2, h, w): the component along the direction, and the squared length."""
        along, squares = maps
        cosine = along / np.sqrt(np.maximum(squares, np.float32(1e-12)))
        painted = (128.5 + 127 * np.clip(cosine, -1, 1)).astype(np.uint8)
        if self.holes is not None:
            painted[self.holes[rows]] = NODATA
        self.likeness[rows] = painted
