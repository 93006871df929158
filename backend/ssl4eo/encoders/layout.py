# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the encoder in a file of weights: where its tensors are, which network they fill, and who writes such files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.checkpoint import is_archive, read_document
from ssl4eo.encoders.hints import arch_named, chans_in_name, method_named
from ssl4eo.encoders.shapes import band_count, find_stem, identify
from ssl4eo.encoders.writers import judge, writers
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ssl4eo.encoders.cards import Method

__all__ = ["Layout", "load_tensors", "read_layout"]

Container = Literal["state_dict", "teacher", "model", "flat"]

# Where the writers of SSL4EO-S12@2156913c put the tensors, and what they prefix (src/benchmark/pretrain_ssl/
# pretrain_moco_v2_s2c.py:377, pretrain_moco_v3_s2c.py:436, pretrain_dino_s2c.py:346, models/mae/util/misc.py:303,
# models/data2vec/utils.py:467, whose model_ema is not what its own evaluation loads).
_CONTAINERS: tuple[Container, ...] = ("state_dict", "teacher", "model")
_PREFIXES = ("module.encoder_q.", "module.base_encoder.", "module.backbone.", "backbone.", "module.", "")
# DeCUR trains two encoders at once, the first on Sentinel-1 (zhu-xlab/DeCUR README.md).
_JOINT_PREFIXES = ("module.backbone_1.", "module.backbone_2.", "backbone_1.", "backbone_2.")
_DEFORMABLE = re.compile(r"(^|\.)da[12]_l[34]\.")

# The tensors of a network, not of a head, decoder, queue or loss beside it.
_OF_NETWORK = re.compile(
    r"(conv1|bn1|layer\d+|patch_embed|blocks|norm|norm_pre|rel_pos_bias)\.|(cls_token|pos_embed|reg_token|register_tokens|dist_token)$"
)
# BEiT's norm is unused where the mean of the patches is taken; the index follows from the window.
_BEIT_UNUSED = re.compile(r"norm\.|.*relative_position_index$")


@dataclass(frozen=True)
class Layout:
    """What a file of weights turned out to be.

    Attributes:
        container: the key that the tensors lie under; "flat" when they lie at the top.
        prefix: of their names in the file.
        backbone: a name in `BACKBONES`.
        in_chans: bands that the network takes: 13 (Sentinel-2), 2 (Sentinel-1) or 3 (red, green, blue).
        methods: those that write such files, the judged one first.
        reason: what the judgement rests on.
        also: band counts of other encoders in the same file.
    """

    container: Container
    prefix: str
    backbone: str
    in_chans: int
    methods: tuple[Method, ...]
    reason: str
    also: tuple[int, ...] = ()

    @property
    def method(self) -> Method:
        """The judged method."""
        return self.methods[0]


def read_layout(
    path: str | Path, method: str | None = None, arch: str | None = None, in_chans: int | None = None
) -> tuple[Layout, dict[str, Tensor], dict[str, Any]]:
    """Find the encoder in a file.

    Args:
        path: a torch or safetensors file: a training checkpoint, a backbone file or a flat dictionary.
        method: settles who wrote it where the file does not say ("moco", "moco-v3", "dino", ...).
        arch: must agree with the tensors ("resnet50", "vit_small", "vits16"); "resnet50-s1" also names the sensor.
        in_chans: which encoder of a joint file is wanted. Without it the file's name or `arch` decides, else the one
            for Sentinel-2 is taken.

    Returns:
        The layout; the encoder's tensors by the network's own names, still in the file, so copy what is kept; and the
        card that `ssl4eo pretrain` stored, or an empty dictionary.

    Raises:
        InputError: when the file cannot be read safely, holds no encoder that is known here, or contradicts a hint.
    """
    path = Path(path)
    named = method_named(method) if method else None
    known, sensor_chans = arch_named(arch) if arch else (frozenset(BACKBONES), None)
    document = read_document(path)
    container, held = _contents(document)
    prefix, also = _prefix(path, held, in_chans or sensor_chans or chans_in_name(path.stem))
    tensors = {key.removeprefix(prefix): value for key, value in held.items() if key.startswith(prefix)}
    backbone = identify(path, tensors)
    shape = BACKBONES[backbone]
    tensors = {key: value for key, value in tensors.items() if _OF_NETWORK.match(key)}
    if shape.kind == "beit":
        tensors = {key: value for key, value in tensors.items() if not _BEIT_UNUSED.match(key)}
    chans = band_count(path, tensors, in_chans or sensor_chans)
    stored = document.get("card") if isinstance(document, dict) else None
    card: dict[str, Any] = stored if isinstance(stored, dict) else {}
    found = writers(container, prefix, shape, tensors)
    if backbone not in known:
        raise InputError(f"{path} holds a {backbone}, not a {arch}; leave the architecture out or name that one.")
    if named and (named[0] not in found[0] or shape.kind not in named[1]):
        raise InputError(
            f"{path} is no file of {method}: {found[1]}, as in files of {' or '.join(found[0])}; "
            "leave the method out or name one of those."
        )
    methods, reason = judge(path, named[0] if named else None, card, found)
    return Layout(container, prefix, backbone, chans, methods, reason, also), tensors, card


def load_tensors(path: Path, layout: Layout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that `read_layout` found in memory of their own: the file may be replaced or taken away.

    Of a training checkpoint the encoder alone is copied. Where it is most of the file, reading the whole is faster.
    """
    needed, size, archive = sum(tensor.nbytes for tensor in tensors.values()), path.stat().st_size, is_archive(path)
    if 2 * needed <= size or (needed <= size and not archive):
        return {key: tensor.clone() for key, tensor in tensors.items()}
    if not archive:
        # Tensors larger than their file repeat its values; they are not copied before their shapes are checked.
        return dict(tensors)
    _, held = _contents(read_document(path, mapped=False))
    return {key: held[layout.prefix + key] for key in tensors if layout.prefix + key in held}


def _contents(document: Any) -> tuple[Container, dict[str, Tensor]]:
    held = document if isinstance(document, dict) else {}
    container: Container = "flat"
    for name in _CONTAINERS:
        if isinstance(held.get(name), dict):
            container, held = name, held[name]
            break
    return container, {key: value for key, value in held.items() if isinstance(value, torch.Tensor)}


def _prefix(path: Path, held: Mapping[str, Tensor], in_chans: int | None) -> tuple[str, tuple[int, ...]]:
    """Return what the encoder's names begin with, and the band counts of the encoders that are left aside."""
    if any(_DEFORMABLE.search(key) for key in held):
        raise InputError(
            f"{path} holds DeCUR with deformable attention (RDA), which is not built here; use DeCUR's plain file."
        )
    joint = {prefix: find_stem(held, prefix) for prefix in _JOINT_PREFIXES if find_stem(held, prefix) is not None}
    if joint:
        chans = {int(stem.shape[1]): prefix for prefix, stem in joint.items() if stem is not None and stem.ndim == 4}
        chosen = in_chans if in_chans in chans else max(chans, default=0)
        if chosen in chans:
            return chans[chosen], tuple(count for count in chans if count != chosen)
    for prefix in _PREFIXES:
        if find_stem(held, prefix) is not None:
            return prefix, ()
    first = ", ".join(sorted(held)[:3]) or "no tensor at all"
    raise InputError(
        f"{path} holds no encoder that is known here (its tensors begin with: {first}); use a checkpoint of "
        "SSL4EO-S12, FG-MAE, DeCUR, SoftCon or `ssl4eo pretrain`."
    )
