# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell a backbone, and the bands it takes, by the names and shapes of its tensors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssl4eo.encoders.backbone import BACKBONES, Backbone
from ssl4eo.encoders.hints import SENSOR_CHANS
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["band_count", "find_stem", "identify"]

# The convolution that takes the bands, in a ResNet and in a transformer.
_STEMS = ("conv1.weight", "patch_embed.proj.weight")


def find_stem(tensors: Mapping[str, Tensor], prefix: str = "") -> Tensor | None:
    """Return the convolution that takes the bands, (width, bands, height, width), or None."""
    return next((tensors[prefix + stem] for stem in _STEMS if prefix + stem in tensors), None)


def identify(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Return the backbone whose tensors these are, by their shapes; one with missing blocks is still recognised.

    Raises:
        InputError: when there is no such backbone.
    """
    found = _shape_of(tensors)
    if found is not None:
        for exact in (True, False):
            for name, shape in BACKBONES.items():
                key = (shape.kind, shape.widths[0], shape.patch, shape.bottleneck, shape.layer_scale)
                same = key == (found.kind, found.widths[0], found.patch, found.bottleneck, found.layer_scale)
                fewer = all(have <= full for have, full in zip(found.depths, shape.depths, strict=False))
                if same and (found.depths == shape.depths if exact else fewer):
                    return name
    what = "a network that cannot be made out" if found is None else _in_words(found)
    raise InputError(
        f"{path} holds {what}, which is none of those known here: {', '.join(BACKBONES)}; use one of these."
    )


def band_count(path: Path, tensors: Mapping[str, Tensor], wanted: int | None) -> int:
    """Return how many bands the network takes.

    Raises:
        InputError: when no sensor here has as many, or not as many are wanted.
    """
    stem = find_stem(tensors)
    chans = 0 if stem is None else int(stem.shape[1])
    if chans not in SENSOR_CHANS.values():
        raise InputError(
            f"{path} takes {chans} bands; use an encoder of 13 (Sentinel-2 Level-1C), 3 (its red, green and blue) or "
            "2 bands (Sentinel-1 VV and VH)."
        )
    if wanted is not None and chans != wanted:
        raise InputError(f"{path} takes {chans} bands, not {wanted}; use the file that belongs to this encoder.")
    return chans


def _shape_of(tensors: Mapping[str, Tensor]) -> Backbone | None:
    stem = find_stem(tensors)
    if stem is None or stem.ndim != 4:
        return None
    width = int(stem.shape[0])
    if "patch_embed.proj.weight" in tensors:
        return Backbone(
            kind="beit" if any(re.match(r"blocks\.\d+\.attn\.q_bias$", key) for key in tensors) else "vit",
            widths=(width,),
            depths=(_count(tensors, "blocks"),),
            patch=int(stem.shape[2]),
            layer_scale=any(re.match(r"blocks\.\d+\.ls1\.gamma$", key) for key in tensors),
        )
    # The stem has 64 channels whatever the width of the stages.
    block = tensors.get("layer1.0.conv1.weight")
    return Backbone(
        kind="resnet",
        widths=(width if block is None else int(block.shape[0]),),
        depths=tuple(_count(tensors, f"layer{stage}") for stage in (1, 2, 3, 4)),
        bottleneck=any(re.match(r"layer\d\.\d+\.conv3\.", key) for key in tensors),
    )


def _count(tensors: Mapping[str, Tensor], name: str) -> int:
    return len({key.split(".")[1] for key in tensors if key.startswith(f"{name}.")})


def _in_words(shape: Backbone) -> str:
    if shape.kind == "resnet":
        blocks = ", ".join(str(depth) for depth in shape.depths)
        return f"a ResNet of {blocks} {'bottleneck' if shape.bottleneck else 'basic'} blocks, {shape.widths[0]} wide"
    name = "BEiT" if shape.kind == "beit" else "vision transformer"
    return f"a {name} of {shape.depths[0]} blocks, {shape.widths[0]} wide, with patches of {shape.patch} pixels"
