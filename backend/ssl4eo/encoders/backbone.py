# SPDX-License-Identifier: GPL-2.0-or-later
"""Backbones by name: their shape, and where the centre of each feature cell lies. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BACKBONES", "Backbone"]


@dataclass(frozen=True)
class Backbone:
    """A network's shape.

    Attributes:
        kind: "resnet", "vit" (timm's VisionTransformer) or "beit" (timm's Beit).
        widths: channels of each stage of a ResNet before the bottleneck's expansion; of a transformer, of its tokens.
        depths: blocks of each stage; of a transformer, its blocks.
        levels: what the pyramid gives: stages of a ResNet, blocks of a transformer, counted from 1.
        strides: input pixels per feature cell of each level.
        cell_centre: input position of the centre of the first feature cell, in pixels from the image's edge. A ResNet's
            strided layers are padded to keep output i over input stride * i, so cell i of any stage is centred on
            pixel stride * i, whose centre is at 0.5; a patch's centre lies in its middle.
        halo: pixels that a ResNet reads around what is kept and cuts away again, a multiple of every stride. The zero
            padding of the convolutions reaches inwards by the effective receptive field; docs/features.md has the error
            at the seam. 0 for a transformer, whose windows overlap instead.
        window: side of the images it was pre-trained on, in pixels.
        patch: side of a patch in pixels; None for a ResNet.
        heads: attention heads; 0 for a ResNet.
        bottleneck: whether a ResNet's blocks are bottlenecks.
        layer_scale: whether a ViT's blocks scale their outputs, as DINOv2's do.
    """

    kind: Literal["resnet", "vit", "beit"]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    levels: tuple[int, ...] = (1, 2, 3, 4)
    strides: tuple[int, ...] = (4, 8, 16, 32)
    cell_centre: float = 0.5
    halo: int = 64
    window: int = 224
    patch: int | None = None
    heads: int = 0
    bottleneck: bool = False
    layer_scale: bool = False

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level of the pyramid."""
        if self.patch is not None:
            return self.widths * len(self.levels)
        return tuple(width * (4 if self.bottleneck else 1) for width in self.widths)


def _transformer(
    width: int, depth: int, heads: int, patch: int, *, kind: Literal["vit", "beit"] = "vit", layer_scale: bool = False
) -> Backbone:
    # A quarter of the depth apart: what classes need is more accessible in blocks before the last one
    # (arXiv:2606.13896), and which of them helps differs by task.
    levels = tuple(depth * quarter // 4 for quarter in (1, 2, 3, 4))
    return Backbone(
        kind=kind,
        widths=(width,),
        depths=(depth,),
        levels=levels,
        strides=(patch,) * len(levels),
        cell_centre=patch / 2,
        halo=0,
        patch=patch,
        heads=heads,
        layer_scale=layer_scale,
    )


# ResNets: He et al. 2016 (arXiv:1512.03385), table 1; resnet18w32 halves the channels of ResNet-18.
# Transformers: width, depth and heads of zhu-xlab/SSL4EO-S12@2156913c, src/benchmark/pretrain_ssl/models/
# (moco_v3/vits.py:115, mae/models_mae.py:225-261, data2vec/modeling_finetune.py) and of DINOv2 (arXiv:2304.07193) for
# SoftCon. ViT-S has 6 heads in MoCo-v3 too, where the original has 12.
BACKBONES: dict[str, Backbone] = {
    "resnet18w32": Backbone("resnet", (32, 64, 128, 256), (2, 2, 2, 2)),
    "resnet18": Backbone("resnet", (64, 128, 256, 512), (2, 2, 2, 2)),
    # Sixteen blocks see farther than eight.
    "resnet50": Backbone("resnet", (64, 128, 256, 512), (3, 4, 6, 3), bottleneck=True, halo=128),
    "vits16": _transformer(384, 12, 6, 16),
    "vitb16": _transformer(768, 12, 12, 16),
    "vitl16": _transformer(1024, 24, 16, 16),
    "vith14": _transformer(1280, 32, 16, 14),
    "vits14": _transformer(384, 12, 6, 14, layer_scale=True),
    "vitb14": _transformer(768, 12, 12, 14, layer_scale=True),
    "beits16": _transformer(384, 12, 6, 16, kind="beit"),
}
