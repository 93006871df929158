# SPDX-License-Identifier: GPL-2.0-or-later
"""Transformers over a scene: native windows on a fixed grid, each cell where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from encoder_files import random_encoders
from scene_files import landscape, write_raster
from ssl4eo.encoders import load_encoder
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.features import FeatureSet, encode
from ssl4eo.features.tiling import TILE
from ssl4eo.grid import Window
from ssl4eo.scenes import open_scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Patches of 16 and of 14 pixels, absolute and relative positions.
IDS = ("dino-vits16-s2", "softcon-vits14-s2", "data2vec-vits16-s2")


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), IDS):
        yield


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_the_network_sees_holds_whole_cells(backbone: str) -> None:
    shape = BACKBONES[backbone]
    if shape.patch is None:
        assert not any(TILE % stride or shape.halo % stride for stride in shape.strides)
    else:
        # Windows that overlap by half have their cells in common.
        assert shape.window // 2 % shape.patch == 0


@pytest.mark.parametrize("encoder_id", IDS)
def test_windows_side_by_side_are_what_the_network_says_of_them(tmp_path: Path, encoder_id: str) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(height=300, width=500))
    encode(path, tmp_path / "set", encoder=encoder_id, mode="fast", components="full", device="cpu", precision="fp32")
    features, encoder = FeatureSet.open(tmp_path / "set"), load_encoder(encoder_id, "cpu", "fp32")
    stride = encoder.backbone.strides[0]
    cells = 224 // stride
    with open_scene(path) as scene:
        # The second window of the first row; the last one reaches far beyond the image, where pixels are mirrored.
        pixels, _ = scene.read(Window(0, 0, 3 * 224, 2 * 224), encoder.card.bands)
        whole = encoder.normalise(torch.from_numpy(pixels))
        for col, row in ((1, 0), (2, 1)):
            alone = encoder.pyramid(whole[None, :, 224 * row : 224 * (row + 1), 224 * col : 224 * (col + 1)])
            for level, (_, expected) in zip(features.levels[2:], alone, strict=True):
                there = level.grid.window.intersect(Window(cells * col, cells * row, cells, cells))
                assert there is not None
                wanted = expected[0, :, : there.height, : there.width].numpy()
                reach = 126 * level.scale[:, None, None]
                inside = np.abs(wanted - (level.offset + 128 * level.scale)[:, None, None]) < reach
                error = np.abs(level.read(there) - wanted) / level.scale[:, None, None]
                assert inside.mean() > 0.98
                assert error[inside].max() < 0.52


@pytest.mark.parametrize("encoder_id", IDS[:2])
def test_cells_of_missing_pixels_are_missing(tmp_path: Path, encoder_id: str) -> None:
    values = landscape(height=300, width=300)
    values[:, :, :150] = 0
    path = write_raster(tmp_path / "s.tif", values)
    encode(path, tmp_path / "set", encoder=encoder_id, device="cpu", precision="fp32")
    features = FeatureSet.open(tmp_path / "set")
    for level in features.levels[2:]:
        missing = np.isnan(level.read(level.grid.window)[0])
        # A cell of which half or more is valid stands: of 16 pixels at 144 only 10, of 14 at 140 only 4.
        edge = {16: 9, 14: 11}[level.stride]
        assert missing[:, :edge].all()
        assert not missing[:18, edge:18].any()


@pytest.mark.parametrize("shape", [(13, 7, 9), (13, 1, 300), (13, 224, 224)])
@pytest.mark.parametrize("encoder_id", IDS[:2])
def test_scenes_smaller_than_a_window(tmp_path: Path, encoder_id: str, shape: tuple[int, int, int]) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(*shape))
    encode(path, tmp_path / "set", encoder=encoder_id, device="cpu")
    features = FeatureSet.open(tmp_path / "set")
    xs, ys = features.grid.xy(np.array([0.5, shape[2] - 0.5]), np.array([0.5, shape[1] - 0.5]))
    assert len(features.levels) == 6
    assert all(np.isfinite(values).all() for values in features.sample(xs, ys))
