# SPDX-License-Identifier: GPL-2.0-or-later
"""MoCo-v2: momentum contrast with a queue of negatives, on every level of the backbone.

He et al. 2020 (arXiv:1911.05722) give the momentum encoder, the queue and the shuffled batch statistics; Chen et al.
2020 (arXiv:2003.04297) the MLP head and the cosine schedule. Two things are ours, for maps from little data: each
level has its own head and queue, so that the fine levels learn as well as the last one; and the two views come from
one region, not from one crop, so that neighbours count as the same thing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssl4eo.encoders import get_card
from ssl4eo.errors import InputError
from ssl4eo.pretrain.augment import Augmentation

__all__ = ["MoCo", "Queue", "info_nce"]

# The bundled card holds the normalisation of 13-band Level-1C reflectance, which every encoder made here shares.
_CARD = "moco-resnet18w32-s2"
# He et al. 2020, section 3.3: dimension of the embeddings.
_DIMENSION = 128
# He et al. 2020 hold 65536 keys of 1.28 million images. A few small scenes hold some thousand different regions: a
# longer queue would hold the same places several times, and each would count as its own negative.
_QUEUE = 4096
# He et al. 2020, table 3, finds 0.99 to 0.9999 for runs of 200 epochs; a run of some thousand steps needs the fastest.
_MOMENTUM = 0.99
# Chen, Kornblith et al. 2020 (SimCLR, arXiv:2002.05709), table 5: best for unit vectors. MoCo-v2's 0.2 belongs to its
# longer queue and schedule.
_TEMPERATURE = 0.1
# The batch is normalised in this many parts, as on as many devices (He et al. 2020, section 3.3, "shuffling BN").
_PARTS = 2


class MoCo:
    """The query encoder, its momentum copy, and one head and queue per level."""

    def __init__(
        self,
        backbone: nn.Module,
        batch: int,
        *,
        views: Augmentation | None = None,
        queue: int = _QUEUE,
        momentum: float = _MOMENTUM,
        temperature: float = _TEMPERATURE,
    ) -> None:
        """Build the method around a timm ResNet; heads and queues draw from torch's global generator.

        Raises:
            InputError: when the batch cannot be split into parts of at least two, or does not fit the queue.
        """
        if batch % _PARTS or batch < 2 * _PARTS or queue % batch:
            raise InputError(
                f"A batch of {batch} does not fit; choose an even number of at least {2 * _PARTS} "
                f"that divides the queue of {queue}, such as 64 or 128."
            )
        self.views = views or Augmentation()
        self.region = round(1.5 * self.views.source[1])
        self.momentum, self.temperature = momentum, temperature
        self.backbone = backbone
        self.heads = nn.ModuleList(_head(width) for width in _level_widths(backbone))
        self.key_backbone, self.key_heads = copy.deepcopy(backbone), copy.deepcopy(self.heads)
        for parameter in self._key_parameters():
            parameter.requires_grad_(False)
        self.queues = [Queue(queue, _DIMENSION) for _ in self.heads]
        scaling = get_card(_CARD).scaling
        self._mean = torch.tensor(scaling.mean).view(-1, 1, 1)
        self._std = torch.tensor(scaling.std).view(-1, 1, 1)

    def settings(self) -> dict[str, Any]:
        """Return the constants of this run."""
        return {
            "queue": self.queues[0].keys.shape[1],
            "momentum": self.momentum,
            "temperature": self.temperature,
            "embedding": _DIMENSION,
            "batch_norm_parts": _PARTS,
            "levels": len(self.heads),
            "region": self.region,
            "augmentation": {**asdict(self.views), "source": list(self.views.source)},
        }

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the query encoder's and its heads' parameters."""
        yield from self.backbone.parameters()
        yield from self.heads.parameters()

    def to(self, device: torch.device) -> MoCo:
        """Move networks, queues and normalisation to a device."""
        for module in (self.backbone, self.heads, self.key_backbone, self.key_heads):
            module.to(device).to(memory_format=torch.channels_last)
        self._mean, self._std = self._mean.to(device), self._std.to(device)
        for queue in self.queues:
            queue.keys = queue.keys.to(device)
        return self

    def loss(self, regions: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean InfoNCE over the levels; the keys of this step enter the queues.

        Args:
            regions: reflectance (B, 13, region, region).
            generator: of the views and of the shuffle, on the CPU.
        """
        queries = self._embed(self.backbone, self.heads, self._view(regions, generator))
        with torch.no_grad():
            self._update_key_encoder()
            # Queries and keys of one place must not share batch statistics, or the network reads the answer from them.
            order = torch.randperm(len(regions), generator=generator).to(regions.device)
            keys = self._embed(self.key_backbone, self.key_heads, self._view(regions, generator)[order])
            back = order.argsort()
        losses = []
        for query, key, queue in zip(queries, keys, self.queues, strict=True):
            losses.append(info_nce(query, key[back], queue.negatives(), self.temperature))
            queue.push(key)
        return torch.stack(losses).mean()

    def after_step(self) -> None:
        """Nothing: the key encoder moves at the start of the next step."""

    def _view(self, regions: Tensor, generator: torch.Generator) -> Tensor:
        view = (self.views(regions, generator) - self._mean) / self._std
        return view.contiguous(memory_format=torch.channels_last)

    def _embed(self, backbone: nn.Module, heads: nn.ModuleList, view: Tensor) -> list[Tensor]:
        """Return unit vectors (B, 128) per level; batch statistics are those of each part alone."""
        backbone.train()
        parts = []
        for part in view.chunk(_PARTS):
            maps = backbone.forward_intermediates(part, indices=[1, 2, 3, 4], intermediates_only=True)  # type: ignore[operator]
            parts.append(
                [functional.normalize(head(level.mean((2, 3)))) for head, level in zip(heads, maps, strict=True)]
            )
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def _key_parameters(self) -> Iterator[nn.Parameter]:
        yield from self.key_backbone.parameters()
        yield from self.key_heads.parameters()

    @torch.no_grad()
    def _update_key_encoder(self) -> None:
        for key, query in zip(self._key_parameters(), self.parameters(), strict=True):
            key.lerp_(query, 1 - self.momentum)


class Queue:
    """The last keys, first in first out: (dimension, length), only the filled part of which counts."""

    def __init__(self, length: int, dimension: int) -> None:
        self.keys = torch.zeros(dimension, length)
        self._next = self._filled = 0

    def negatives(self) -> Tensor:
        """Return the keys so far, (dimension, filled)."""
        return self.keys[:, : self._filled]

    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by (B, dimension); B divides the length."""
        # A new tensor, for the old one may still be needed by the backward pass.
        updated = self.keys.clone()
        updated[:, self._next : self._next + len(keys)] = keys.T
        self.keys = updated
        self._next = (self._next + len(keys)) % self.keys.shape[1]
        self._filled = min(self._filled + len(keys), self.keys.shape[1])


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the mean InfoNCE loss (He et al. 2020, equation 1), negatives from the queue only.

    Args:
        query: unit vectors (B, D).
        key: unit vectors (B, D), each the positive of its query.
        negatives: unit vectors (D, K); K may be 0, and then the loss is 0.
        temperature: of the softmax.
    """
    positive = (query * key).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, query @ negatives], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


def _level_widths(backbone: nn.Module) -> list[int]:
    return [int(level["num_chs"]) for level in backbone.feature_info[1:]]  # type: ignore[index]


def _head(width: int) -> nn.Module:
    hidden = 2 * _DIMENSION
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, _DIMENSION))
