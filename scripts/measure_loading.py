# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure how long an encoder takes to load from the cache, against the shortest way that torch and timm offer.

    .venv/bin/python scripts/measure_loading.py [RUNS]

Prints the medians for ViT-S/16 (random weights in a file, laid out as the released one), the three ways in turn in one
process: `load_encoder`; torch.load and load_state_dict into a network that timm makes; the same into one that is there.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch

ENCODER = "moco-vits16-s2"


def make() -> torch.nn.Module:
    """Return the network as timm makes it."""
    return timm.create_model("vit_small_patch16_224", in_chans=13, num_classes=0)


def fill(network: torch.nn.Module, path: Path) -> None:
    """Load the file the bare way."""
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(runs: int = 9) -> None:
    """Print the table."""
    from ssl4eo.encoders import load_encoder
    from ssl4eo.encoders.weights.importing import import_file

    with tempfile.TemporaryDirectory() as folder:
        os.environ["SSL4EO_WEIGHTS"] = folder
        file, ready = Path(folder) / "vits16.pth", make()
        torch.save(ready.state_dict(), file)
        cached = Path(import_file(file, ENCODER)["path"])
        ways: dict[str, Callable[[], Any]] = {
            "load_encoder": lambda: load_encoder(ENCODER, "cpu", "fp32"),
            "timm.create_model, torch.load, load_state_dict": lambda: fill(make(), cached),
            "torch.load, load_state_dict": lambda: fill(ready, cached),
        }
        for work in ways.values():
            work()
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, work in ways.items():
                taken[name].append(seconds(work))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ours = medians["load_encoder"]
    for name, median in medians.items():
        print(f"{median:7.3f} s  load_encoder takes {ours / median:5.2f} of it  {name}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
