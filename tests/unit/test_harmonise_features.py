# SPDX-License-Identifier: GPL-2.0-or-later
"""What the file leaves in or turns round does not reach the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.windows import Window as RasterioWindow
from scene_files import write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.encoder import load_encoder
from ssl4eo.scenes import harmonise, open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.encoders.encoder import Encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(DEFAULT_ENCODER, "cpu", "fp32")


@pytest.fixture(scope="module")
def pixels(shared_data: Path) -> NDArray[np.uint16]:
    """A corner of the Havel scene (13, 256, 256), processed before offsets were introduced."""
    with rasterio.open(shared_data / "havel_l1c" / "s2l1c_13band_10m.tif") as dataset:
        return np.asarray(dataset.read(window=RasterioWindow(300, 300, 256, 256)))


def features(encoder: Encoder, path: Path, **overrules: Any) -> list[torch.Tensor]:
    with open_scene(path, **overrules) as scene:
        reflectance, valid = scene.read(scene.grid.window, encoder.card.bands)
    assert valid.all()
    with torch.inference_mode():
        levels = encoder.pyramid(encoder.normalise(torch.from_numpy(reflectance)[None]))
    return [level for _, level in levels]


def least_cosine(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    return min(float(torch.cosine_similarity(a, b, dim=1).min()) for a, b in zip(first, second, strict=True))


def test_an_offset_left_in_gives_the_same_features(
    encoder: Encoder, pixels: NDArray[np.uint16], tmp_path: Path
) -> None:
    plain = features(encoder, write_raster(tmp_path / "plain.tif", pixels))
    shifted = write_raster(tmp_path / "shifted.tif", pixels + np.uint16(1000))
    assert least_cosine(plain, features(encoder, shifted)) > 0.999
    harmonise(shifted, tmp_path / "harmonised.tif")
    assert least_cosine(plain, features(encoder, tmp_path / "harmonised.tif")) > 0.999
    # The measure sees an offset that is not taken out.
    assert least_cosine(plain, features(encoder, shifted, offset=0)) < 0.99


def test_swapped_bands_change_nothing_when_names_are_kept(
    encoder: Encoder, pixels: NDArray[np.uint16], tmp_path: Path
) -> None:
    plain = features(encoder, write_raster(tmp_path / "plain.tif", pixels))
    order = [0, 7, *range(2, 7), 1, *range(8, 13)]
    names = [S2_BANDS[i] for i in order]
    swapped = write_raster(tmp_path / "swapped.tif", pixels[order], names)
    harmonise(swapped, tmp_path / "harmonised.tif")
    for path in (swapped, tmp_path / "harmonised.tif"):
        for first, second in zip(plain, features(encoder, path), strict=True):
            torch.testing.assert_close(first, second, rtol=0, atol=0)
    unnamed = {i + 1: name for i, name in enumerate(S2_BANDS)}
    assert least_cosine(plain, features(encoder, swapped, bands=unnamed)) < 0.99
