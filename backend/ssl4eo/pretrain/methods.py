# SPDX-License-Identifier: GPL-2.0-or-later
"""What a pre-training method must offer, and the methods there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ssl4eo.errors import InputError
from ssl4eo.pretrain.moco import MoCo

__all__ = ["METHODS", "Method", "build_method"]


class Method(Protocol):
    """A self-supervised method around a backbone; `train.pretrain` knows no more of it than this."""

    backbone: nn.Module
    """The network whose tensors are the result."""

    region: int
    """Side in scene pixels of the regions that `loss` wants."""

    def settings(self) -> dict[str, Any]:
        """Return what the model card should say of the method: plain numbers and strings."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return what the optimiser trains."""
        ...

    def to(self, device: torch.device) -> Method:
        """Move everything to a device."""
        ...

    def loss(self, regions: Tensor, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of one step.

        Args:
            regions: reflectance (B, 13, region, region) on the method's device.
            generator: of the random views, on the CPU.
        """
        ...

    def after_step(self) -> None:
        """Do what follows the optimiser's step (momentum encoders, queues)."""
        ...


# Called with the backbone, the number of regions per step and a generator for the initial weights.
METHODS: dict[str, Callable[[nn.Module, int], Method]] = {"moco": MoCo}


def build_method(name: str, backbone: nn.Module, batch: int) -> Method:
    """Return a method by name.

    Raises:
        InputError: for a name that is not in `METHODS`, or a batch that the method cannot split.
    """
    require_method(name)
    return METHODS[name](backbone, batch)


def require_method(name: str) -> None:
    """Refuse an unknown method before any work starts.

    Raises:
        InputError: for a name that is not in `METHODS`.
    """
    if name not in METHODS:
        raise InputError(f"There is no pre-training method {name!r} here; choose one of: {', '.join(METHODS)}.")
