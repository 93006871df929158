# SPDX-License-Identifier: GPL-2.0-or-later
"""An encoder: reflectance in, a pyramid of features out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import torch

from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.cards import DEFAULT_ENCODER, Card, Method, Scaling, get_card
from ssl4eo.encoders.checkpoint import read_checkpoint
from ssl4eo.encoders.device import choose_device, choose_precision
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["Encoder", "load_checkpoint", "load_encoder"]


class Encoder:
    """A card and its network on a device, in inference mode."""

    def __init__(
        self,
        card: Card,
        network: nn.Module,
        device: str = "cpu",
        precision: str = "fp32",
        weights_sha256: str | None = None,
    ) -> None:
        self.card = card
        self.device = choose_device(device)
        self.precision, self._dtype = choose_precision(precision, self.device)
        self.weights_sha256 = weights_sha256
        self.backbone = BACKBONES[card.backbone]
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(card.scaling.mean or (0.0,), device=self.device).view(-1, 1, 1)
        self._std = torch.tensor(card.scaling.std or (1.0,), device=self.device).view(-1, 1, 1)

    def normalise(self, reflectance: Tensor) -> Tensor:
        """Turn reflectance, bands in the card's order, into network input.

        Args:
            reflectance: (..., C, H, W) float32.

        Returns:
            The same shape, on the encoder's device.
        """
        return (reflectance.to(self.device).clamp(0, 1) - self._mean) / self._std

    @torch.inference_mode()
    def pyramid(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return (stride, features (B, C_l, H / stride, W / stride) float32) per level, finest first.

        Args:
            x: normalised (B, C, H, W).

        Raises:
            InputError: when x has another number of bands than the card.
        """
        with self._autocast():
            intermediates = cast("Callable[..., list[Tensor]]", self.network.forward_intermediates)
            maps = intermediates(self._checked(x), indices=[1, 2, 3, 4], intermediates_only=True)
        return list(zip(self.card.strides, (level.float() for level in maps), strict=True))

    @torch.inference_mode()
    def pooled(self, x: Tensor) -> Tensor:
        """Return one vector per image, (B, D) float32: the mean over the last level, as the authors of MoCo used.

        Args:
            x: normalised (B, C, H, W).

        Raises:
            InputError: when x has another number of bands than the card.
        """
        with self._autocast():
            pooled: Tensor = self.network(self._checked(x))
        return pooled.float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32)

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != len(self.card.bands):
            raise InputError(
                f"The input has the shape {tuple(x.shape)}, but {self.card.id} takes (batch, {len(self.card.bands)}, "
                "height, width); give its bands in the order of its card."
            )
        return x.to(self.device, memory_format=torch.channels_last)


def load_encoder(encoder_id: str, device: str = "auto", precision: str = "auto") -> Encoder:
    """Load an encoder by the id of its card.

    Raises:
        InputError: for an unknown id, missing weights, or a file whose checksum is not the card's.
    """
    card = get_card(encoder_id)
    path = card.weights_path
    if path is None:
        raise InputError(f"The weights of {encoder_id} are not on this computer ({card.file}); restore that file.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if card.sha256 is not None and digest != card.sha256:
        raise InputError(f"{path} is not the file that the card of {encoder_id} names (sha256 {digest}); restore it.")
    checkpoint = read_checkpoint(path, card.backbone)
    if checkpoint.in_chans != len(card.bands):
        raise InputError(f"{path} takes {checkpoint.in_chans} bands, but its card lists {len(card.bands)}; restore it.")
    return Encoder(card, checkpoint.network, device, precision, digest)


def load_checkpoint(path: str | Path, method: str | None = None, arch: str | None = None) -> Encoder:
    """Load an encoder from a checkpoint file, whatever its layout; `method` and `arch` only settle ties.

    A file written by `ssl4eo pretrain` brings its card; any other is taken as a 13-band SSL4EO-S12 encoder, whose
    input is reflectance clipped to [0, 1].

    Raises:
        InputError: when the file is no checkpoint, is unsafe, or does not fit a known network.
    """
    checkpoint = read_checkpoint(path, arch)
    if checkpoint.in_chans != len(S2_BANDS):
        raise InputError(
            f"{path} takes {checkpoint.in_chans} bands; only encoders of the {len(S2_BANDS)} Sentinel-2 "
            "Level-1C bands are read."
        )
    card = _card_of(Path(path), checkpoint.backbone, checkpoint.card, method)
    return Encoder(card, checkpoint.network, weights_sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest())


def _card_of(path: Path, backbone: str, stored: dict[str, Any], method: str | None) -> Card:
    if stored.get("method"):
        scaling = get_card(DEFAULT_ENCODER).scaling
    else:
        scaling = Scaling(source="zhu-xlab/SSL4EO-S12@2156913c, ssl4eo_dataset.py:114: DN / 10000 in [0, 1]")
    stated = method or stored.get("method") or "moco"
    if stated not in get_args(Method):
        raise InputError(f"There is no method {stated!r}; choose one of: {', '.join(get_args(Method))}.")
    return Card(
        id=path.stem,
        title=path.name,
        method=cast("Method", stated),
        backbone=backbone,
        sensor="S2",
        level="L1C",
        bands=S2_BANDS,
        gsd=10.0,
        strides=BACKBONES[backbone].strides,
        pooling="mean over the last level",
        scaling=scaling,
        size_mb=path.stat().st_size / 1e6,
        license="see the weights' authors",
        attribution="see the weights' authors",
        citation="Wang et al. 2023, doi:10.1109/MGRS.2023.3281651",
        note="Loaded from a file.",
        training=stored,
    )
