# SPDX-License-Identifier: GPL-2.0-or-later
"""An encoder: reflectance or decibels in, a pyramid of features out."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from ssl4eo.encoders.architecture import EPSILON, check_size, fuse_norms, load_network
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.cards import Card, get_card
from ssl4eo.encoders.device import choose_device, choose_precision, device_reason, precision_reason
from ssl4eo.encoders.filecard import card_by_checksum, card_for_file
from ssl4eo.encoders.layout import load_tensors, read_layout
from ssl4eo.encoders.positions import InputSize
from ssl4eo.encoders.weights import require
from ssl4eo.encoders.weights.records import checksum
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["Encoder", "load_checkpoint", "load_encoder"]

# How many blocks DINO's linear probe reads (n_last_blocks in SSL4EO-S12@2156913c,
# transfer_classification/linear_BE_dino.py:228-233).
_LAST_BLOCKS = 4


class Encoder:
    """A card and its network on a device, in inference mode; a transformer must come with the tables of its file."""

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
        self.precision, self.dtype = choose_precision(precision, self.device)
        self.device_reason = device_reason(device)
        self.precision_reason = precision_reason(precision, self.device)
        self.weights_sha256 = weights_sha256
        self.backbone = BACKBONES[card.backbone]
        self.network: Any = network.eval().to(self.device)
        self._gate: _SizeGate | None = None
        if self.backbone.kind == "resnet":
            self.network.to(memory_format=torch.channels_last)
        else:
            self._gate = _SizeGate(InputSize(self.network, self.backbone, card.method))
            if self.device.type == "cpu" and self.dtype != torch.float32:
                _attend_step_by_step(self.network)
        self._mean = torch.tensor(card.scaling.mean or (0.0,), device=self.device).view(-1, 1, 1)
        self._std = torch.tensor(card.scaling.std or (1.0,), device=self.device).view(-1, 1, 1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn reflectance (Sentinel-2) or decibels (Sentinel-1) into network input, by the rule of the card.

        Args:
            pixels: (..., C, H, W) float32, bands in the card's order.

        Returns:
            The same shape, on the encoder's device.
        """
        pixels = pixels.to(self.device)
        if self.card.scaling.rule == "two-sigma":
            # Two deviations on either side of the mean become [0, 1] (SSL4EO-S12@2156913c, ssl4eo_dataset.py:36-41).
            return ((pixels - (self._mean - 2 * self._std)) / (4 * self._std)).clamp(0, 1)
        clipped = pixels.clamp(0, 1)
        return clipped if self.card.scaling.rule == "clip" else (clipped - self._mean) / self._std

    def normalise_band(self, pixels: Tensor, number: int) -> Tensor:
        """Return one band (...) as `normalise` makes it, wherever it lies, as the network takes it.

        Args:
            pixels: (...) float32 of the band `number`, from 0, of the card; overwritten.
            number: of the band.
        """
        scaling = self.card.scaling
        if scaling.rule == "two-sigma":
            mean, std = scaling.mean[number], scaling.std[number]
            pixels.sub_(mean - 2 * std).div_(4 * std).clamp_(0, 1)
        else:
            pixels.clamp_(0, 1)
            if scaling.rule != "clip":
                pixels.sub_(scaling.mean[number] if scaling.mean else 0.0)
                pixels.div_(scaling.std[number] if scaling.std else 1.0)
        return pixels.to(self.dtype)

    def pyramid(self, x: Tensor) -> list[tuple[int, Tensor]]:
        """Return (stride, features (B, C_l, H / stride, W / stride) float32) per level, finest first.

        A ResNet gives its four stages; a transformer some of its blocks, all at the stride of its patch and after the
        final norm (BEiT's as they are: its files hold no norm that was trained with the blocks).

        Args:
            x: normalised (B, C, H, W).

        Raises:
            InputError: when x has another number of bands than the card, or a size that the network does not take.
        """
        return list(zip(self.card.strides, (level.float() for level in self.levels(x)), strict=True))

    @torch.inference_mode()
    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the features (B, C_l, H / stride, W / stride) of `pyramid` in the network's own precision.

        Args:
            x: normalised (B, C, H, W), float32 or the network's own precision.

        Raises:
            InputError: as `pyramid`.
        """
        with self._running(x) as images:
            if self.backbone.kind == "resnet":
                maps: list[Tensor] = self.network.forward_intermediates(
                    images, indices=list(self.backbone.levels), intermediates_only=True
                )
            else:
                maps = self._blocks(images, [level - 1 for level in self.backbone.levels])
        return maps

    @torch.inference_mode()
    def pooled(self, x: Tensor) -> Tensor:
        """Return one vector per image, (B, D) float32: what the authors take for linear probing (`Card.pooling`).

        Args:
            x: normalised (B, C, H, W).

        Raises:
            InputError: as `pyramid`.
        """
        pooling = self.card.pooling
        with self._running(x) as images:
            if pooling == "cls-last4":
                depth = self.backbone.depths[0]
                levels = self._blocks(images, list(range(depth - _LAST_BLOCKS, depth)), prefix=True)
                return torch.cat([tokens[:, 0].float() for _, tokens in levels], dim=1)
            features: Tensor = self.network.forward_features(images).float()
        if pooling == "average":
            return features.mean(dim=(2, 3))
        if pooling == "cls":
            return features[:, 0]
        pooled = features[:, 1:].mean(dim=1)
        return functional.layer_norm(pooled, pooled.shape[1:], eps=EPSILON)

    def _blocks(self, images: Tensor, indices: list[int], *, prefix: bool = False) -> Any:
        return self.network.forward_intermediates(
            images, indices=indices, return_prefix_tokens=prefix, norm=True, intermediates_only=True
        )

    @contextmanager
    def _running(self, x: Tensor) -> Iterator[Tensor]:
        """Check the input and yield it on the device; the network is set to its size and to the precision meanwhile.

        Several threads may be inside at once.
        """
        if x.ndim != 4 or x.shape[1] != len(self.card.bands):
            raise InputError(
                f"The input has the shape {tuple(x.shape)}, but {self.card.id} takes (batch, {len(self.card.bands)}, "
                "height, width); give its bands in the order of its card."
            )
        height, width = x.shape[2:]
        check_size(self.backbone, height, width)
        with (
            self._gate.at(height, width) if self._gate is not None else nullcontext(),
            torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32),
        ):
            yield x.to(self.device, memory_format=torch.channels_last)


class _SizeGate:
    """Lets threads with inputs of one size run at once; those of another size wait until they are through."""

    def __init__(self, input_size: InputSize) -> None:
        self._input_size = input_size
        self._changed = threading.Condition()
        self._size: tuple[int, int] | None = None
        self._inside = 0

    @contextmanager
    def at(self, height: int, width: int) -> Iterator[None]:
        """Hold the network at one size of input."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or self._size == (height, width))
            if self._size != (height, width):
                self._input_size.fit(height, width)
                self._size = (height, width)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()


def _attend_step_by_step(network: nn.Module) -> None:
    """Let attention be two products and a softmax: in bf16 on a CPU torch's fused one takes longer.

    A ViT-S/16 took 62 instead of 67 ms per window of 224 pixels (torch 2.15, one core); in float32 both are alike.
    """
    attention: Any
    for attention in network.modules():
        if hasattr(attention, "fused_attn"):
            attention.fused_attn = False


def _store_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep the large weights as autocast would make them for each batch: the results are the same, bit by bit."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)


def load_encoder(encoder_id: str, device: str = "auto", precision: str = "auto") -> Encoder:
    """Load an encoder by the id of its card.

    Raises:
        InputError: for an unknown id, missing weights, or a file that is not the card's.
    """
    card = get_card(encoder_id)
    local = require(card)
    layout, tensors, _ = read_layout(local.path, arch=card.backbone, in_chans=len(card.bands))
    held = load_tensors(local.path, layout, tensors)
    network = fuse_norms(load_network(layout.backbone, layout.in_chans, held, local.path))
    encoder = Encoder(card, network, device, precision, local.sha256)
    # Here and not for any network: who made it may use it for something else.
    if encoder.dtype != torch.float32:
        _store_weights(encoder.network, encoder.dtype)
    return encoder


def load_checkpoint(path: str | Path, method: str | None = None, arch: str | None = None) -> Encoder:
    """Load an encoder from a file of weights, whatever its layout, on the CPU in float32.

    A file whose checksum is published brings its card; one of `ssl4eo pretrain` what it says of itself; any other is
    taken as the released encoder of the same method, backbone and bands, which `Encoder.card.note` says.

    Args:
        path: a training checkpoint, a backbone file or a flat dictionary, from torch.save or safetensors.
        method: settles who wrote the file where it does not say: "moco", "moco-v3", "dino", "mae", "data2vec", ...
        arch: must agree with the file: "resnet50", "vit_small", "vits16", ...; of a file with two encoders (DeCUR),
            "resnet50-s1" takes the one for Sentinel-1.

    Raises:
        InputError: when the file is no file of weights, could run code, fits no known network, or contradicts a hint.
    """
    path = Path(path)
    layout, tensors, stored = read_layout(path, method, arch)
    digest = checksum(path)
    released = card_by_checksum(digest)
    if released is not None and released.method != layout.method:
        if method is not None:
            raise InputError(f"{path} has the checksum of {released.id}; leave the method {method!r} out.")
        layout = replace(layout, methods=(released.method,))
    network = load_network(layout.backbone, layout.in_chans, load_tensors(path, layout, tensors), path)
    return Encoder(card_for_file(path, layout, stored, released), network, weights_sha256=digest)
