# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge which method wrote a file of weights, by where its tensors lie and what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo.encoders.hints import method_in_name
from ssl4eo.encoders.positions import sincos_writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ssl4eo.encoders.backbone import Backbone
    from ssl4eo.encoders.cards import Method

__all__ = ["judge", "writers"]

# Methods, the most likely first, and what tells them.
_Judgement = tuple[tuple["Method", ...], str]


def writers(container: str, prefix: str, shape: Backbone, tensors: Mapping[str, Tensor]) -> _Judgement:
    """Return the methods that write such files, the most likely first, and by what they are told."""
    by_place: tuple[tuple[bool, tuple[Method, ...], str], ...] = (
        (shape.kind == "beit", ("data2vec",), "its blocks are BEiT's"),
        (shape.layer_scale, ("softcon",), "its blocks are DINOv2's"),
        ("backbone_" in prefix, ("decur",), "it holds two encoders"),
        (prefix in ("module.encoder_q.", "module.base_encoder."), ("moco",), f"its tensors are named {prefix}*"),
        (container == "teacher", ("dino",), "it holds a teacher"),
        (shape.kind == "resnet", ("moco", "dino", "decur", "softcon"), "it holds a ResNet"),
    )
    for told, methods, reason in by_place:
        if told:
            return methods, reason
    return _of_transformer(container, tensors)


def _of_transformer(container: str, tensors: Mapping[str, Tensor]) -> _Judgement:
    table = tensors.get("pos_embed")
    writer = sincos_writer(table) if table is not None else None
    if writer == "mae":
        return ("mae", "fgmae"), "its position table is MAE's"
    if writer == "moco":
        return ("moco",), "its position table is MoCo-v3's"
    if container == "model":
        return ("mae", "fgmae", "decur"), "it holds a transformer under model"
    return ("mae", "dino", "moco", "fgmae", "decur"), "it holds a transformer"


def judge(path: Path, named: Method | None, card: Mapping[str, Any], found: _Judgement) -> _Judgement:
    """Put the method first that the caller, the stored card or the file's name gives; the caller's alone then stays."""
    methods, reason = found
    if named:
        return (named,), f"{reason}, and {named} was asked for"
    if len(methods) == 1:
        return found
    for name, source in ((card.get("method"), "its card says"), (method_in_name(path.stem), "its name says")):
        for method in methods:
            if method == name:
                return (method, *(other for other in methods if other != method)), f"{reason} and {source} {method}"
    return methods, f"{reason}, taken as {methods[0]}'s; name another method if it is not"
