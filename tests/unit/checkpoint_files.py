# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of weights as the authors' programs write them, around networks that timm or torchvision made."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
_TABLES = ("pos_embed", "cls_token", "relative_position_bias_table")


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every tensor of a network, statistics of BatchNorm included, so that each one matters to the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.is_floating_point():
                spread = 0.5 if name.endswith(_TABLES) else tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.1
                shift = 1.0 if name.endswith("weight") and tensor.ndim == 1 else 0.0
                tensor.copy_(shift + spread * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def resnet(name: str, bands: int, seed: int = 0) -> nn.Module:
    """Return torchvision's ResNet as the authors change it: other bands, no classifier."""
    import torchvision

    network = getattr(torchvision.models, name)(weights=None)
    network.conv1 = nn.Conv2d(bands, 64, kernel_size=7, stride=2, padding=3, bias=False)
    network.fc = nn.Identity()
    return randomised(network, seed)


def timm_network(name: str, bands: int, **settings: Any) -> nn.Module:
    """Return timm's own network of that name, without a classifier."""
    import timm

    return timm.create_model(name, in_chans=bands, num_classes=0, **settings)


def vit(name: str, bands: int, seed: int = 0, **settings: Any) -> nn.Module:
    """Return timm's transformer of that name, randomised."""
    return randomised(timm_network(name, bands, **settings), seed)


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors with longer names."""
    return {prefix + key: value for key, value in tensors.items()}


def hollow(network: nn.Module) -> Tensors:
    """Return tensors of the right names and shapes that take no room in a file: one value each, repeated."""
    tensors = network.state_dict().items()
    return {key: torch.zeros((), dtype=value.dtype, device="cpu").expand(value.shape) for key, value in tensors}


def moco_v2_full(tensors: Tensors) -> dict[str, Any]:
    """Wrap as pretrain_moco_v2_s2c.py does."""
    head = {"fc.0.weight": torch.ones(8, 8), "fc.0.bias": torch.ones(8)}
    momentum = {key: torch.zeros_like(value) for key, value in tensors.items()}
    held = {
        "module.queue": torch.zeros(4, 4),
        "module.queue_ptr": torch.zeros(1, dtype=torch.long),
        **prefixed("module.encoder_q.", {**tensors, **head}),
        **prefixed("module.encoder_k.", {**momentum, **head}),
    }
    return {"epoch": 100, "arch": "resnet50", "state_dict": held, "optimizer": {"state": {}, "param_groups": []}}


def dino_resnet_full(tensors: Tensors) -> dict[str, Any]:
    """Wrap as pretrain_dino_s2c.py does for a ResNet, whose teacher is wrapped once more; numpy wrote the rate."""
    head = {"mlp.0.weight": torch.ones(4, 4), "last_layer.weight_g": torch.ones(4, 1)}
    other = {key: torch.zeros_like(value) for key, value in tensors.items()}
    return {
        "student": {**prefixed("module.backbone.", other), **prefixed("module.head.", head)},
        "teacher": {**prefixed("module.backbone.", tensors), **prefixed("module.head.", head)},
        "optimizer": {"state": {}, "param_groups": [{"lr": np.float64(0.1), "nesterov": np.bool_(True)}]},
        "epoch": np.int64(99),
        "args": argparse.Namespace(arch="resnet50", lr=np.float32(0.1)),
        "dino_loss": {"center": torch.zeros(1, 8)},
    }


def mae_full(tensors: Tensors) -> dict[str, Any]:
    """Wrap as models/mae/util/misc.py does."""
    decoder = {
        "mask_token": torch.ones(1, 1, 8),
        "decoder_pos_embed": torch.ones(1, 5, 8),
        "decoder_embed.weight": torch.ones(8, 8),
        "decoder_blocks.0.norm1.weight": torch.ones(8),
        "decoder_norm.weight": torch.ones(8),
        "decoder_pred.weight": torch.ones(8, 8),
    }
    return {
        "model": {**tensors, **decoder},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
        "epoch": 99,
        "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(model="mae_vit_base_patch16"),
    }


def decur_joint(radar: Tensors, optical: Tensors) -> dict[str, Any]:
    """Wrap as DeCUR's pretrain_mm.py does."""
    held = {
        **prefixed("module.backbone_1.", radar),
        **prefixed("module.backbone_2.", optical),
        "module.projector1.0.weight": torch.ones(8, 8),
        "module.bn.running_mean": torch.ones(8),
    }
    return {"epoch": 100, "model": held, "optimizer": {"state": {}, "param_groups": []}}
