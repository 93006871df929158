# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs of other sizes than those of pre-training: the stored tables, interpolated as the authors do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import checkpoint_files as files
import numpy as np
import pytest
import torch
from ssl4eo.encoders import load_checkpoint
from ssl4eo.encoders.architecture import build_network, check_size
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.positions import resize_bias, resize_positions
from ssl4eo.errors import InputError
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def vit() -> Any:
    return files.vit("vit_small_patch16_224", 3)


@pytest.fixture(scope="module")
def folder(vit: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save(vit.state_dict(), folder / "vit.pth")
    torch.save(files.randomised(build_network("beits16", 3)).state_dict(), folder / "beit.pth")
    return folder


def _last(encoder: Any, x: torch.Tensor) -> torch.Tensor:
    return encoder.pyramid(x)[-1][1]


def _timm(vit: Any, x: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Return the last block's tokens of timm's network for this size, with the given positions of the patches."""
    network = files.timm_network("vit_small_patch16_224", 3, img_size=tuple(x.shape[2:])).eval()
    flat = patches.permute(0, 2, 3, 1).reshape(1, -1, 384)
    network.load_state_dict({**vit.state_dict(), "pos_embed": torch.cat([vit.pos_embed[:, :1], flat], 1)})
    with torch.inference_mode():
        found = network.forward_intermediates(x, indices=1, norm=True, intermediates_only=True)[0]
    return torch.as_tensor(found)


@pytest.mark.parametrize("method", ["mae", "dino"])
@pytest.mark.parametrize(("height", "width"), [(256, 256), (224, 448), (96, 160)])
def test_positions_are_those_of_the_authors(folder: Path, vit: Any, method: str, height: int, width: int) -> None:
    encoder = load_checkpoint(folder / "vit.pth", method=method)
    square = vit.pos_embed[:, 1:].detach().reshape(1, 14, 14, 384).permute(0, 3, 1, 2)
    rows, columns = height // 16, width // 16
    if method == "mae":
        patches = functional.interpolate(square, size=(rows, columns), mode="bicubic", align_corners=False)
    else:
        patches = functional.interpolate(square, scale_factor=((rows + 0.1) / 14, (columns + 0.1) / 14), mode="bicubic")
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))
    found = _last(encoder, x)
    assert found.shape == (1, 384, rows, columns)
    torch.testing.assert_close(found, _timm(vit, x, patches), atol=1e-4, rtol=0)


def test_sizes_do_not_wear_the_stored_table_out(folder: Path, vit: Any) -> None:
    encoder = load_checkpoint(folder / "vit.pth")
    x = torch.rand(1, 3, 224, 224)
    first = _last(encoder, x)
    for side in (32, 48, 64, 80, 96, 112, 128):
        _last(encoder, torch.rand(1, 3, side, side))
    assert torch.equal(_last(encoder, x), first)
    assert torch.equal(encoder.network.pos_embed, vit.pos_embed)


def test_the_stored_table_is_used_and_not_its_transpose(folder: Path, vit: Any, tmp_path: Path) -> None:
    table = vit.pos_embed[:, 1:].detach().reshape(1, 14, 14, 384)
    swapped = torch.cat([vit.pos_embed[:, :1].detach(), table.transpose(1, 2).reshape(1, 196, 384)], 1)
    torch.save({**vit.state_dict(), "pos_embed": swapped}, tmp_path / "swapped.pth")
    x = torch.rand(1, 3, 224, 224)
    straight, turned = (
        _last(load_checkpoint(folder / "vit.pth"), x),
        _last(load_checkpoint(tmp_path / "swapped.pth"), x),
    )
    assert (straight - turned).abs().mean() > 0.05
    back = _last(load_checkpoint(tmp_path / "swapped.pth"), x.transpose(2, 3)).transpose(2, 3)
    assert (straight - back).abs().mean() > 0.05, "the patches turn too, so that only half of it is undone"


def _authors_bias(table: np.ndarray, side: int, new: int) -> np.ndarray:
    """Interpolate one head as BEiT's fine-tuning does, with the replacement that scipy names for its interp2d."""
    from scipy.interpolate import RectBivariateSpline

    source, target = 2 * side - 1, 2 * new - 1
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        middle = (low + high) / 2
        reach = (1 - middle ** (source // 2)) / (1 - middle)
        low, high = (low, middle) if reach > target // 2 else (middle, high)
    places = np.cumsum([middle**k for k in range(source // 2)])
    places = np.concatenate([-places[::-1], [0], places])
    wanted = np.arange(-(target // 2), target // 2 + 1)
    return np.asarray(RectBivariateSpline(places, places, table.reshape(source, source))(wanted, wanted)).ravel()


@pytest.mark.parametrize("side", [16, 28, 38])
def test_relative_positions_are_those_of_the_authors(side: int) -> None:
    table = 0.3 * torch.randn(732, 6, generator=torch.Generator().manual_seed(0))
    resized = resize_bias(table, (14, 14), (side, side))
    assert torch.equal(resized[-3:], table[-3:])
    for head in range(6):
        expected = _authors_bias(table[:-3, head].double().numpy(), 14, side)
        np.testing.assert_allclose(resized[:-3, head].numpy(), expected, atol=1e-3)


def test_relative_positions_of_smaller_and_oblong_windows_keep_their_place() -> None:
    table = torch.randn(732, 2, generator=torch.Generator().manual_seed(0))
    stored = table[:-3].reshape(27, 27, 2)
    smaller = resize_bias(table, (14, 14), (6, 9))[:-3].reshape(11, 17, 2)
    torch.testing.assert_close(smaller, stored[8:19, 5:22], atol=1e-5, rtol=0)
    oblong = resize_bias(table, (14, 14), (14, 20))[:-3].reshape(27, 39, 2)
    torch.testing.assert_close(oblong[:, [0, 19, 38]], stored[:, [0, 13, 26]], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (256, 256), (96, 160)])
def test_data2vec_takes_other_sizes(folder: Path, height: int, width: int) -> None:
    from timm.models.beit import Beit

    encoder = load_checkpoint(folder / "beit.pth")
    encoder.pyramid(torch.rand(1, 3, 64, 64))
    x = torch.rand(2, 3, height, width)
    reference = Beit(
        img_size=(height, width), in_chans=3, num_classes=0, embed_dim=384, num_heads=6, init_values=0.1,
        use_abs_pos_emb=False, use_shared_rel_pos_bias=True, global_pool="avg",
    ).eval()  # fmt: skip
    tensors = torch.load(folder / "beit.pth", weights_only=True)
    name = "rel_pos_bias.relative_position_bias_table"
    tensors[name] = resize_bias(tensors[name], (14, 14), (height // 16, width // 16))
    assert reference.load_state_dict(tensors, strict=False).missing_keys == ["fc_norm.weight", "fc_norm.bias"]
    for block in (*reference.blocks, reference.fc_norm):
        for module in block.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = 1e-6
    with torch.inference_mode():
        torch.testing.assert_close(encoder.pooled(x), reference(x), atol=1e-4, rtol=0)
    assert _last(encoder, x).shape == (2, 384, height // 16, width // 16)


@pytest.mark.parametrize(
    ("backbone", "size", "words"),
    [
        (
            "vits16",
            (250, 224),
            r"250 x 224 pixels, but both .* patch of 16; the nearest sizes are 240 or 256 and 224\.",
        ),
        ("vits14", (256, 256), r"patch of 14; the nearest sizes are 252 or 266\."),
        ("beits16", (8, 224), r"the nearest sizes are 16 and 224\."),
        ("resnet50", (31, 64), r"31 x 64 pixels; give at least 32 x 32\."),
    ],
)
def test_sizes_that_are_not_taken(backbone: str, size: tuple[int, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_size(BACKBONES[backbone], *size)


def test_an_encoder_refuses_sizes_and_band_counts(folder: Path) -> None:
    encoder = load_checkpoint(folder / "vit.pth")
    for call in (encoder.pyramid, encoder.pooled):
        with pytest.raises(InputError, match="multiples of the patch of 16"):
            call(torch.rand(1, 3, 225, 224))
        with pytest.raises(InputError, match=r"shape \(1, 13, 224, 224\), but vit takes \(batch, 3, height, width\)"):
            call(torch.rand(1, 13, 224, 224))


def test_a_table_of_its_own_size_is_returned_as_it_is() -> None:
    table = torch.randn(1, 197, 8)
    assert torch.equal(resize_positions(table, (14, 14), 0.1), table)
