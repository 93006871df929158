# SPDX-License-Identifier: GPL-2.0-or-later
"""Batch statistics of large windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scene_files import landscape, write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import get_card
from ssl4eo.encoders.backbone import build_backbone
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.pretrain.batch_norm import recompute_batch_norm
from ssl4eo.pretrain.datasets import load_pixels


def test_statistics_become_those_of_the_scene_and_weights_stay(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(), scale="0.0001")
    torch.manual_seed(0)
    backbone = build_backbone("resnet18w32", 13)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert recompute_batch_norm(backbone, load_pixels([path]), 48, 0) == {"side": 128, "windows": 640}
    after = backbone.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {name for name in after if "running_" in name or "num_batches" in name}

    scaling = get_card(DEFAULT_ENCODER).scaling
    mean, std = (np.array(values).reshape(13, 1, 1) for values in (scaling.mean, scaling.std))
    whole = torch.from_numpy(((landscape() / 10000 - mean) / std).astype(np.float32))[None]
    with torch.inference_mode():
        stem = backbone.conv1(whole)
    expected = stem.mean((0, 2, 3))
    spread = stem.std((0, 2, 3))
    assert ((after["bn1.running_mean"] - expected).abs() < 0.15 * spread).all()
    # The statistics of the random start, 0, are nowhere near.
    assert (expected.abs() > 0.15 * spread).any()


def test_a_small_scene_gives_smaller_windows(tmp_path: Path) -> None:
    backbone = build_backbone("resnet18w32", 13)
    for height, side in ((70, 64), (50, 48)):
        path = write_raster(tmp_path / f"{height}.tif", landscape(13, height, 90), S2_BANDS)
        assert recompute_batch_norm(backbone, load_pixels([path]), 48, 0)["side"] == side
