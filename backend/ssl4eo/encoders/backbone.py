# SPDX-License-Identifier: GPL-2.0-or-later
"""Backbones by name, built by timm, and where the centre of each feature cell lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["BACKBONES", "Backbone", "build_backbone", "identify_backbone"]


@dataclass(frozen=True)
class Backbone:
    """A ResNet: block type, blocks per stage and channels per stage.

    `cell_centre` is the input position of the centre of the first feature cell, in pixels from the image's edge. In a
    ResNet every strided layer is padded to keep output i over input stride * i, so cell i of any stage is centred on
    pixel stride * i, whose centre is at 0.5; a patch embedding would give stride / 2.

    `halo` is how many pixels are read around a tile and cut away again, a multiple of every stride. The zero padding of
    the layers reaches inwards by the effective receptive field; docs/features.md has the error at the seam by halo.
    """

    bottleneck: bool
    blocks: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    strides: tuple[int, int, int, int] = (4, 8, 16, 32)
    cell_centre: float = 0.5
    halo: int = 64


# Depths: He et al. 2016 (arXiv:1512.03385), table 1. resnet18w32 halves the channels of ResNet-18.
BACKBONES: dict[str, Backbone] = {
    "resnet18w32": Backbone(False, (2, 2, 2, 2), (32, 64, 128, 256)),
    "resnet18": Backbone(False, (2, 2, 2, 2), (64, 128, 256, 512)),
    # Sixteen blocks see farther than eight.
    "resnet50": Backbone(True, (3, 4, 6, 3), (64, 128, 256, 512), halo=128),
}


def build_backbone(name: str, in_chans: int) -> nn.Module:
    """Return the network with random weights and no classifier.

    Raises:
        InputError: for a name that is not in `BACKBONES`.
    """
    if name not in BACKBONES:
        raise InputError(f"There is no backbone {name!r}; choose one of: {', '.join(BACKBONES)}.")
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    shape = BACKBONES[name]
    block = Bottleneck if shape.bottleneck else BasicBlock
    network: nn.Module = ResNet(block, layers=shape.blocks, channels=shape.channels, in_chans=in_chans, num_classes=0)
    return network


def identify_backbone(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the backbone whose tensors these are, judged by their shapes, or None."""
    stem = tensors.get("conv1.weight")
    if stem is None or stem.ndim != 4:
        return None
    blocks = tuple(
        len({key.split(".")[1] for key in tensors if key.startswith(f"layer{stage}.")}) for stage in (1, 2, 3, 4)
    )
    width = tensors["layer1.0.conv1.weight"].shape[0] if "layer1.0.conv1.weight" in tensors else 0
    bottleneck = "layer1.0.conv3.weight" in tensors
    for name, shape in BACKBONES.items():
        if (shape.bottleneck, shape.blocks, shape.channels[0]) == (bottleneck, blocks, width):
            return name
    return None
