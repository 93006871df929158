# SPDX-License-Identifier: GPL-2.0-or-later
"""Pre-train an encoder on the unlabelled pixels of scenes; the loop knows nothing of the method."""

from __future__ import annotations

import math
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

import ssl4eo
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.device import choose_device
from ssl4eo.errors import InputError, Ssl4eoError
from ssl4eo.files import atomic_file
from ssl4eo.jobs import Progress, no_progress, part
from ssl4eo.pretrain.datasets import CropSource, load_pixels
from ssl4eo.pretrain.methods import Method, build_method, require_method

__all__ = ["pretrain"]

_BACKBONE = "resnet18w32"
# AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101; 0.01 is torch's default decay) instead of MoCo's SGD, whose rate
# would have to follow the batch. The rate is our choice, not the outcome of a search.
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 0.01
# Linear warm-up before the cosine (Goyal et al. 2017, arXiv:1706.02677, section 2.2), as a share of the steps.
_WARM_UP = 0.05
_LOADING = 0.02


def pretrain(
    method: str,
    scenes: Sequence[str | Path],
    out: str | Path,
    *,
    steps: int = 2000,
    batch: int = 128,
    seed: int = 0,
    device: str = "auto",
    bands: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Pre-train a half-width ResNet-18 and write it with the card of its making.

    Args:
        method: a name in `methods.METHODS`.
        scenes: Level-1C scenes with all 13 bands.
        out: the file to write; it appears when training has ended.
        steps: optimiser steps.
        batch: regions per step.
        seed: of weights, crops and views; the same seed on the same device and software gives the same file.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        bands: canonical names in file order, for scenes whose files do not name their bands.
        progress: told after each step; may raise `Cancelled`.

    Returns:
        `{"weights", "loss_first", "loss_last", ...}` and the fields of the card.

    Raises:
        InputError: for an unknown method or device, scenes that cannot be used, or counts that make no sense.
        OutputError: when `out` cannot be written.
    """
    require_method(method)
    if steps < 1:
        raise InputError(f"{steps} steps train nothing; give at least 1.")
    if not 0 <= seed < 2**32:
        raise InputError(f"The seed {seed} is out of range; give a whole number from 0 to {2**32 - 1}.")
    where = choose_device(device)
    start = time.monotonic()
    with atomic_file(out) as temporary, _seeded(seed):
        pixels = load_pixels(scenes, bands=bands, progress=part(progress, 0, _LOADING))
        network = build_method(method, build_network(_BACKBONE, len(S2_BANDS)), batch)
        source = CropSource(pixels, network.region)
        losses = _train(network.to(where), source, steps, batch, seed, part(progress, _LOADING, 1))
        card = {
            "method": method,
            "backbone": _BACKBONE,
            "bands": list(S2_BANDS),
            "scenes": source.used,
            "attribution": attribution(source.used),
            "steps": steps,
            "batch": batch,
            "crops": steps * batch,
            "seed": seed,
            "device": _device_name(where),
            "seconds": round(time.monotonic() - start, 1),
            "settings": {**network.settings(), "learning_rate": _LEARNING_RATE, "weight_decay": _WEIGHT_DECAY},
            "software": _versions(),
        }
        tensors = {name: value.cpu().contiguous() for name, value in network.backbone.state_dict().items()}
        torch.save({"state_dict": tensors, "card": card}, temporary)
    tenth = max(1, steps // 10)
    return {
        "weights": str(out),
        "loss_first": float(np.mean(losses[:tenth])),
        "loss_last": float(np.mean(losses[-tenth:])),
        **card,
    }


def attribution(records: Sequence[dict[str, Any]]) -> str:
    """Return the notice that the Copernicus data licence asks for, with the years as far as they are known."""
    years = sorted({found.group() for record in records if (found := re.match(r"\d{4}", record["date"] or ""))})
    span = "" if not years else f" [{years[0]}]" if len(years) == 1 else f" [{years[0]}-{years[-1]}]"
    unknown = sum(record["date"] is None for record in records)
    note = f" ({unknown} of {len(records)} scenes of unknown date)" if unknown else ""
    return f"Contains modified Copernicus Sentinel data{span}{note}"


def _train(method: Method, source: CropSource, steps: int, batch: int, seed: int, progress: Progress) -> list[float]:
    """Run the loop and return the loss of each step."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(method.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    device = next(method.backbone.parameters()).device
    losses = []
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss = method.loss(source.sample(batch, rng).to(device), generator)
        if not torch.isfinite(loss):
            raise Ssl4eoError(f"The loss became {loss.item()} at step {step + 1}; use other scenes or a larger batch.")
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        method.after_step()
        losses.append(loss.item())
        progress((step + 1) / steps, f"Step {step + 1} of {steps}, loss {np.mean(losses[-50:]):.3f}")
    return losses


def _rate(step: int, steps: int) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine (Chen et al. 2020, table 1)."""
    warm_up = max(1, round(_WARM_UP * steps))
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, which draws initial weights, and put its state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def _versions() -> dict[str, str]:
    return {
        "ssl4eo": ssl4eo.__version__,
        "torch": str(torch.__version__),
        "timm": timm.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
