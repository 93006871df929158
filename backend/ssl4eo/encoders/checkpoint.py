# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a checkpoint file safely and find the encoder's tensors in it."""

from __future__ import annotations

import argparse
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ssl4eo.encoders.backbone import build_backbone, identify_backbone
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["Checkpoint", "read_checkpoint"]

# Where the writers of SSL4EO-S12 put the tensors, in the order in which loaders prefer them, and what they prefix
# (zhu-xlab/SSL4EO-S12@2156913c: pretrain_moco_v2_s2c.py:377, pretrain_dino_s2c.py:346, models/mae/util/misc.py:303).
_CONTAINERS = ("state_dict", "teacher", "model")
_PREFIXES = ("module.encoder_q.", "module.base_encoder.", "module.backbone.", "backbone.", "module.", "")
# Tensors that belong to a projection head and not to the encoder.
_HEADS = ("fc.", "head.")


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, and what the file says of itself."""

    network: nn.Module
    backbone: str
    in_chans: int
    card: dict[str, Any]


def read_checkpoint(path: str | Path, arch: str | None = None) -> Checkpoint:
    """Read a ResNet encoder from a training checkpoint, a backbone file or a flat state dict.

    Nothing but tensors, plain containers and `argparse.Namespace` is unpickled.

    Raises:
        InputError: when the file is missing, unreadable or unsafe, or encoder tensors are missing or of a wrong shape.
    """
    document = _load(Path(path))
    tensors = _encoder_tensors(document)
    backbone = arch or identify_backbone(tensors)
    if backbone is None:
        known = ", ".join(sorted(tensors)[:3]) or "no tensor at all"
        raise InputError(
            f"{path} holds no encoder that is known here (its tensors begin with: {known}); "
            "use a ResNet checkpoint of SSL4EO-S12 or of `ssl4eo pretrain`."
        )
    stem = tensors.get("conv1.weight")
    in_chans = int(stem.shape[1]) if stem is not None and stem.ndim == 4 else 13
    network = build_backbone(backbone, in_chans)
    _fill(network, tensors, path, backbone)
    card = document.get("card") if isinstance(document, dict) else None
    return Checkpoint(network.eval(), backbone, in_chans, card if isinstance(card, dict) else {})


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} does not exist; check the path of the weights.")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} was not opened: it is no checkpoint, or it holds more than tensors and plain values, "
            "which could run code; get the weights from their authors' page."
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is not a whole checkpoint file; copy or download it again.") from error


def _encoder_tensors(document: Any) -> dict[str, Tensor]:
    container = document if isinstance(document, dict) else {}
    for name in _CONTAINERS:
        if isinstance(container.get(name), dict):
            container = container[name]
            break
    tensors = {key: value for key, value in container.items() if isinstance(value, torch.Tensor)}
    for prefix in _PREFIXES:
        chosen = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if "conv1.weight" in chosen:
            return {key: value for key, value in chosen.items() if not key.startswith(_HEADS)}
    return tensors


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], path: str | Path, backbone: str) -> None:
    wanted = network.state_dict()
    # Files from before 2018 lack BatchNorm's step counter, which inference does not use.
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if missing or wrong:
        fault = f"{len(missing)} tensors are missing, first {missing[0]}" if missing else f"wrong shape: {wrong[0]}"
        raise InputError(f"{path} does not fit a {backbone} ({fault}); use the file that belongs to this encoder.")
    network.load_state_dict({**wanted, **{key: tensors[key] for key in wanted if key in tensors}})
