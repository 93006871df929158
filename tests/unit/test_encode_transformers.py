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
from ssl4eo.features.tiling import encode_tile, level_grid, tile_side
from ssl4eo.grid import Window, tiles
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.info import plan_bands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.scenes.scene import Scene

# Patches of 16 and of 14 pixels, absolute and relative positions.
IDS = ("dino-vits16-s2", "softcon-vits14-s2", "data2vec-vits16-s2")


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), IDS):
        yield


def tile_of(
    scene: Scene, encoder: Encoder, tile: Window, extent: Window | None = None
) -> list[tuple[Window, NDArray[np.float32]]]:
    done = encode_tile(scene, encoder, plan_bands(scene.info, encoder.card.bands), tile, extent)
    assert done is not None
    return done


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_tile_holds_whole_cells_and_whole_windows(backbone: str) -> None:
    shape = BACKBONES[backbone]
    side = tile_side(shape)
    assert side == {None: 512, 16: 512, 14: 448}[shape.patch]
    assert all(side % stride == 0 and shape.halo % stride == 0 for stride in shape.strides)
    if shape.patch:
        assert shape.window % shape.patch == 0
        assert side % (shape.window - 2 * shape.halo) == 0


@pytest.mark.parametrize("encoder_id", IDS)
def test_what_a_window_keeps_is_what_the_network_says_of_it(tmp_path: Path, encoder_id: str) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(height=600, width=640))
    encoder = load_encoder(encoder_id, "cpu", "fp32")
    shape = encoder.backbone
    assert shape.patch is not None
    side = tile_side(shape)
    keep, margin = shape.window - 2 * shape.halo, shape.halo // shape.patch
    with open_scene(path) as scene:
        levels = tile_of(scene, encoder, Window(0, 0, side, side))
        # The second window across, the third down; the last one across reaches beyond the image.
        for col, row in ((1, 2), (3, 0)):
            window = Window(col * keep, row * keep, keep, keep).grow(shape.halo)
            pixels, _ = scene.read(window, encoder.card.bands)
            alone = encoder.pyramid(encoder.normalise(torch.from_numpy(pixels))[None])
            for (cells, values), (stride, features) in zip(levels, alone, strict=True):
                own = Window(col * keep // stride, row * keep // stride, keep // stride, keep // stride)
                rows, cols = own.shift(-cells.col, -cells.row).slices
                expected = features[0, :, margin:-margin, margin:-margin].numpy()
                np.testing.assert_allclose(values[:, rows, cols], expected, atol=2e-4)
    assert len(levels) == 4


@pytest.mark.parametrize("encoder_id", IDS)
@pytest.mark.parametrize("at", [(37, 205), (133, 61), (509, 300)])
def test_a_bright_spot_lies_in_the_cell_on_its_ground(tmp_path: Path, encoder_id: str, at: tuple[int, int]) -> None:
    col, row = at
    flat = np.random.default_rng(0).normal(800, 5, (13, 440, 640)).astype(np.uint16)
    spot = flat.copy()
    spot[:, row - 2 : row + 3, col - 2 : col + 3] = 9000
    encoder, extent = load_encoder(encoder_id, "cpu", "fp32"), Window(col, row, 1, 1)
    (tile,) = tiles(extent, tile_side(encoder.backbone))
    made = []
    for name, values in (("flat", flat), ("spot", spot)):
        with open_scene(write_raster(tmp_path / f"{name}.tif", values, scale="0.0001")) as scene:
            made.append(tile_of(scene, encoder, tile, extent))
            grid = scene.grid
    for (cells, without), (_, with_spot) in zip(*made, strict=True):
        stride = encoder.backbone.strides[0]
        changed = ((with_spot - without) ** 2).sum(axis=0)
        at_row, at_col = np.unravel_index(np.nanargmax(changed), changed.shape)
        level = level_grid(grid, grid.window, stride, encoder.backbone.cell_centre)
        x, y = level.grid.xy(cells.col + at_col - level.window.col + 0.5, cells.row + at_row - level.window.row + 0.5)
        there = grid.xy(col + 0.5, row + 0.5)
        # Within the cell: no farther than half its side of 10 m pixels along either axis.
        assert abs(x - there[0]) <= 5 * stride
        assert abs(y - there[1]) <= 5 * stride


@pytest.mark.parametrize("encoder_id", IDS[:2])
def test_a_part_is_the_same_as_the_whole_there(tmp_path: Path, encoder_id: str) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(height=330, width=640))
    encoder = load_encoder(encoder_id, "cpu", "fp32")
    extent = Window(390, 150, 220, 60)
    side, compared = tile_side(encoder.backbone), 0
    with open_scene(path) as scene:
        for tile in tiles(extent, side):
            inside = extent.intersect(tile)
            assert inside is not None
            part, whole = tile_of(scene, encoder, tile, extent), tile_of(scene, encoder, tile)
            for (cells, values), (_, expected) in zip(part, whole, strict=True):
                stride = tile.width // (cells.width - 2)
                own = Window(
                    inside.col // stride, inside.row // stride, inside.width // stride, inside.height // stride
                )
                rows, cols = own.shift(-cells.col, -cells.row).slices
                np.testing.assert_allclose(values[:, rows, cols], expected[:, rows, cols], atol=2e-4)
                compared += own.width * own.height
            # What lies far from the extent was not computed.
            assert np.isnan(part[0][1]).sum() > np.isnan(whole[0][1]).sum()
    assert compared > 0


def test_each_tile_keeps_its_own_cells(tmp_path: Path) -> None:
    """A tile's ring reaches into its neighbours, whose own cells have more context and must stand."""
    path = write_raster(tmp_path / "s.tif", landscape(height=40, width=530))
    encode(path, tmp_path / "set", encoder=IDS[0], device="cpu", precision="fp32")
    features = FeatureSet.open(tmp_path / "set")
    stored = np.load(tmp_path / "set/projection.npz")
    encoder = load_encoder(IDS[0], "cpu", "fp32")
    with open_scene(path) as scene:
        for tile in tiles(scene.grid.window, 512):
            for index, (cells, values) in enumerate(tile_of(scene, encoder, tile), start=1):
                level = features.levels[index]
                own = level.grid.window.intersect(Window(tile.col // 16, tile.row // 16, 32, 32))
                assert own is not None
                rows, cols = own.shift(-cells.col, -cells.row).slices
                centred = values[:, rows, cols] - stored[f"mean_{index}"][:, None, None]
                expected = np.einsum("kc,chw->khw", stored[f"components_{index}"], centred)
                error = (np.abs(level.read(own) - expected) / level.scale[:, None, None])[:8]
                # Half a step of the bytes; the few values beyond their range are cut. The last components hardly vary.
                assert np.quantile(error, 0.98) < 0.51


@pytest.mark.parametrize("encoder_id", IDS[:2])
def test_cells_of_missing_pixels_are_missing(tmp_path: Path, encoder_id: str) -> None:
    values = landscape(height=300, width=300)
    values[:, :, :150] = 0
    path = write_raster(tmp_path / "s.tif", values)
    encode(path, tmp_path / "set", encoder=encoder_id, device="cpu", precision="fp32")
    features = FeatureSet.open(tmp_path / "set")
    for level in features.levels[1:]:
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
    assert len(features.levels) == 5
    assert all(np.isfinite(values).all() for values in features.sample(xs, ys))
