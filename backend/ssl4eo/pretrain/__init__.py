# SPDX-License-Identifier: GPL-2.0-or-later
"""Self-supervised pre-training on the pixels of scenes, and the frozen scores that tell what it is worth.

`pretrain` writes an encoder, `evaluate_patches` measures one. Both import torch, which costs seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl4eo.pretrain.evaluate import evaluate_patches
    from ssl4eo.pretrain.train import pretrain

__all__ = ["evaluate_patches", "pretrain"]


def __getattr__(name: str) -> Any:
    if name == "pretrain":
        from ssl4eo.pretrain.train import pretrain

        return pretrain
    if name == "evaluate_patches":
        from ssl4eo.pretrain.evaluate import evaluate_patches

        return evaluate_patches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
