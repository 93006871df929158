# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the network of a backbone with timm, with random weights or with those of a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ssl4eo.encoders.backbone import BACKBONES, Backbone
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["build_network", "check_size", "fuse_norms", "load_network"]

# Of LayerNorm, in every transformer of SSL4EO-S12@2156913c (pretrain_ssl/models/{moco_v3/vits.py:115,
# mae/models_mae.py:225, data2vec/modeling_finetune.py:397}, vision_transformer.py of DINO) and of DINOv2.
EPSILON = 1e-6
# What a ResNet needs for one cell at its last stride.
_SMALLEST = 32
_NAMED = 3


def build_network(backbone: str, in_chans: int, *, drawn: bool = True) -> nn.Module:
    """Return the network without a classifier.

    Args:
        backbone: a name in `BACKBONES`.
        in_chans: its input channels.
        drawn: whether weights are drawn at random; those of a transformer are left as they come otherwise.

    Raises:
        InputError: for a name that is not in `BACKBONES`.
    """
    if backbone not in BACKBONES:
        raise InputError(f"There is no backbone {backbone!r}; choose one of: {', '.join(BACKBONES)}.")
    shape = BACKBONES[backbone]
    if shape.kind == "resnet":
        return _resnet(shape, in_chans)
    return _vit(shape, in_chans, drawn=drawn) if shape.kind == "vit" else _beit(shape, in_chans)


def load_network(backbone: str, in_chans: int, tensors: Mapping[str, Tensor], source: str | Path) -> nn.Module:
    """Return the network with a file's tensors as its weights, float32, in inference mode.

    Args:
        backbone: a name in `BACKBONES`.
        in_chans: its input channels.
        tensors: by the network's own names, in memory; the network takes those that are float32 as they are.
        source: the file, for the error.

    Raises:
        InputError: when tensors are missing, of a wrong shape, or have no place in the network; names them.
    """
    # Without memory: nothing is drawn at random that the file replaces at once.
    with torch.device("meta"):
        network = build_network(backbone, in_chans, drawn=False)
    wanted = network.state_dict()
    _check_tensors(backbone, wanted, tensors, source)
    # Files from before 2018 lack BatchNorm's step counter, which inference does not use.
    filled = {key: _plain(tensors[key]) if key in tensors else torch.zeros((), dtype=torch.long) for key in wanted}
    network.load_state_dict(filled, assign=True)
    _make_buffers(network, BACKBONES[backbone])
    return network.eval()


def fuse_norms(network: nn.Module) -> nn.Module:
    """Fold the normalisations of a ResNet in inference mode into its convolutions, and return it.

    A ResNet-50 then takes 1.57 s of a core instead of 1.76 for 1280 x 1280 pixels in bf16, and comes no farther from
    float32.
    """
    for module in list(network.modules()):
        children = dict(module.named_children())
        for convolution, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1")):
            first, second = children.get(convolution), children.get(norm)
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, convolution, fuse_conv_bn_eval(first, second))
                setattr(module, norm, nn.Identity())
    return network


def check_size(shape: Backbone, height: int, width: int) -> None:
    """Refuse an input size that the network does not take.

    Raises:
        InputError: for a transformer when a side is no multiple of its patch, names the nearest; for a ResNet below 32.
    """
    if shape.patch is None:
        if min(height, width) < _SMALLEST:
            raise InputError(f"The input is {height} x {width} pixels; give at least {_SMALLEST} x {_SMALLEST}.")
        return
    if height % shape.patch or width % shape.patch or not height or not width:
        nearest = " and ".join(dict.fromkeys(_nearest(side, shape.patch) for side in (height, width)))
        raise InputError(
            f"The input is {height} x {width} pixels, but both sides must be multiples of the patch of {shape.patch}; "
            f"the nearest sizes are {nearest}."
        )


def _nearest(side: int, patch: int) -> str:
    lower, upper = side // patch * patch, -(-side // patch) * patch
    return str(side) if lower == upper > 0 else f"{lower} or {upper}" if lower else str(max(upper, patch))


def _resnet(shape: Backbone, in_chans: int) -> nn.Module:
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    block = Bottleneck if shape.bottleneck else BasicBlock
    network: nn.Module = ResNet(block, layers=shape.depths, channels=shape.widths, in_chans=in_chans, num_classes=0)
    return network


def _vit(shape: Backbone, in_chans: int, *, drawn: bool) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        **_common(shape, in_chans),
        global_pool="token",
        # The value is the file's; that there is one makes timm scale the blocks, as DINOv2 does (arXiv:2304.07193).
        init_values=1e-5 if shape.layer_scale else None,
        weight_init="" if drawn else "skip",
    )
    return network


def _beit(shape: Backbone, in_chans: int) -> nn.Module:
    from timm.models.beit import Beit

    # SSL4EO-S12@2156913c, pretrain_ssl/models/data2vec/modeling_finetune.py:67-260 with the settings of
    # scripts/pretrain/train_data2vec_vits16_s2c.sh: one table of biases for all blocks, no absolute positions.
    network: Any = Beit(
        **_common(shape, in_chans),
        global_pool="avg",
        init_values=0.1,
        use_abs_pos_emb=False,
        use_shared_rel_pos_bias=True,
    )
    # It follows the mean of the patches and is trained with the classifier: no released file has it.
    network.fc_norm = nn.Identity()
    module: nn.Module = network
    return module


def _common(shape: Backbone, in_chans: int) -> dict[str, Any]:
    return {
        "img_size": shape.window,
        "patch_size": shape.patch,
        "in_chans": in_chans,
        "num_classes": 0,
        "embed_dim": shape.widths[0],
        "depth": shape.depths[0],
        "num_heads": shape.heads,
        "mlp_ratio": 4.0,
        "qkv_bias": True,
        "norm_layer": partial(nn.LayerNorm, eps=EPSILON),
    }


def _check_tensors(
    backbone: str, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: str | Path
) -> None:
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    surplus = [key for key in tensors if key not in wanted]
    for names, fault in (
        (missing, "missing tensors"),
        (wrong, "tensors of a wrong shape"),
        (surplus, "tensors without a place in it"),
    ):
        if names:
            rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise InputError(
                f"{source} does not fit the network {backbone} ({fault}: {', '.join(names[:_NAMED])}{rest}); "
                "use the file that belongs to this encoder."
            )


def _plain(tensor: Tensor) -> Tensor:
    """Return float32 without strides and gradients of the file's; a counter stays an integer."""
    detached = tensor.detach()
    return (detached.float() if detached.is_floating_point() else detached).contiguous()


def _make_buffers(network: nn.Module, shape: Backbone) -> None:
    """Give memory and values to the buffers that no file holds: only BEiT has some."""
    if shape.kind == "beit":
        from timm.models.beit import RelativePositionBias

        beit: Any = network
        for block in beit.blocks:
            block.attn.k_bias = torch.zeros(shape.widths[0])
        side = shape.window // (shape.patch or 1)
        made = RelativePositionBias((side, side), shape.heads)
        made.relative_position_bias_table = beit.rel_pos_bias.relative_position_bias_table
        beit.rel_pos_bias = made
    left = [name for name, buffer in network.named_buffers() if buffer.is_meta]
    if left:
        raise RuntimeError(f"timm's network has buffers that are not known here: {', '.join(left)}")
