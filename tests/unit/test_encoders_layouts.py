# SPDX-License-Identifier: GPL-2.0-or-later
"""Every other layout that is released: what is read from it, and that it gives what timm or torchvision gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import checkpoint_files as files
import msgspec
import pytest
import torch
from ssl4eo.encoders import get_card, load_checkpoint
from ssl4eo.encoders.architecture import build_network, load_network
from ssl4eo.encoders.hints import arch_named, chans_in_name, method_in_name, method_named
from ssl4eo.encoders.layout import read_layout
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def _same(encoder: Any, network: nn.Module, bands: int) -> None:
    x = torch.rand(2, bands, 224, 224, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        torch.testing.assert_close(encoder.pooled(x), network(x), atol=1e-4, rtol=0)


def test_moco_resnet_18(tmp_path: Path) -> None:
    network = files.resnet("resnet18", 13)
    torch.save(files.moco_v2_full(network.state_dict()), tmp_path / "w.pth")
    layout, _, _ = read_layout(tmp_path / "w.pth")
    assert (layout.container, layout.prefix) == ("state_dict", "module.encoder_q.")
    assert (layout.backbone, layout.in_chans, layout.methods) == ("resnet18", 13, ("moco",))
    encoder = load_checkpoint(tmp_path / "w.pth")
    assert encoder.card.id == "w"
    assert encoder.card.bands == get_card("moco-resnet18-s2").bands
    _same(encoder, network, 13)


def test_moco_rgb_backbone(tmp_path: Path) -> None:
    network = files.resnet("resnet18", 3)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "B3_rn18_moco.pth")
    encoder = load_checkpoint(tmp_path / "B3_rn18_moco.pth", arch="resnet18-rgb")
    assert (encoder.card.method, encoder.card.bands) == ("moco", ("B04", "B03", "B02"))
    assert encoder.card.scaling.rule == "clip"
    _same(encoder, network, 3)


def test_flat_sentinel_1_resnet_50(tmp_path: Path) -> None:
    network = files.resnet("resnet50", 2)
    torch.save(network.state_dict(), tmp_path / "resnet50_sentinel1_all_moco.pth")
    encoder = load_checkpoint(tmp_path / "resnet50_sentinel1_all_moco.pth")
    card = encoder.card
    assert (card.sensor, card.level, card.bands) == ("S1", "GRD", ("VV", "VH"))
    assert card.scaling == get_card("moco-resnet50-s1").scaling
    _same(encoder, network, 2)


def test_dino_resnet_50_takes_the_teacher_out_of_its_wrapping(tmp_path: Path) -> None:
    network = files.resnet("resnet50", 13)
    torch.save(files.dino_resnet_full(network.state_dict()), tmp_path / "w.pth")
    encoder = load_checkpoint(tmp_path / "w.pth")
    assert (encoder.card.method, encoder.card.pooling) == ("dino", "average")
    _same(encoder, network, 13)


def test_full_mae_vit_base_of_sentinel_1(tmp_path: Path) -> None:
    network = files.vit("vit_base_patch16_224", 2)
    torch.save(files.mae_full(network.state_dict()), tmp_path / "w.pth")
    encoder = load_checkpoint(tmp_path / "w.pth", method="mae", arch="vit_base_patch16")
    assert (encoder.card.method, encoder.card.backbone, encoder.card.sensor) == ("mae", "vitb16", "S1")
    assert encoder.card.scaling == get_card("mae-vitb16-s1").scaling
    _same(encoder, network, 2)


def test_softcon_is_dinov2_without_its_mask(tmp_path: Path) -> None:
    network = files.vit("vit_small_patch14_dinov2", 2, img_size=224)
    torch.save({**network.state_dict(), "mask_token": torch.ones(1, 384)}, tmp_path / "w.pth")
    encoder = load_checkpoint(tmp_path / "w.pth")
    assert (encoder.card.method, encoder.card.backbone, encoder.card.pooling) == ("softcon", "vits14", "cls")
    assert encoder.card.scaling == get_card("softcon-vits14-s1").scaling
    _same(encoder, network, 2)


@pytest.mark.parametrize(
    ("name", "backbone", "width"),
    [
        ("vit_base_patch16_224", "vitb16", 768),
        ("vit_large_patch16_224", "vitl16", 1024),
        ("vit_huge_patch14_224", "vith14", 1280),
    ],
)
@pytest.mark.parametrize("bands", [13, 2])
def test_the_large_transformers_are_recognised_and_have_timms_shape(
    tmp_path: Path, name: str, backbone: str, width: int, bands: int
) -> None:
    """Names, shapes, heads and depth against timm's own; the numbers are those of the same class in ViT-S and ViT-B."""
    with torch.device("meta"):
        reference, ours = files.timm_network(name, bands), build_network(backbone, bands)
    torch.save(files.mae_full(files.hollow(reference)), tmp_path / "w.pth")
    layout, tensors, _ = read_layout(tmp_path / "w.pth")
    assert (layout.backbone, layout.in_chans, layout.methods[:2]) == (backbone, bands, ("mae", "fgmae"))
    assert {key: value.shape for key, value in tensors.items()} == {k: v.shape for k, v in ours.state_dict().items()}
    for one, other in zip(ours.blocks, reference.blocks, strict=True):
        assert (one.attn.num_heads, one.norm1.eps) == (other.attn.num_heads, other.norm1.eps)
    assert ours.embed_dim == width
    assert ours.patch_embed.grid_size == reference.patch_embed.grid_size


def test_the_two_encoders_of_decur(tmp_path: Path) -> None:
    radar, optical = files.resnet("resnet50", 2, seed=1), files.resnet("resnet50", 13, seed=2)
    torch.save(files.decur_joint(radar.state_dict(), optical.state_dict()), tmp_path / "joint.pth")
    encoder = load_checkpoint(tmp_path / "joint.pth")
    assert (encoder.card.method, encoder.card.sensor) == ("decur", "S2")
    assert encoder.card.note.endswith("The file also holds an encoder of 2 bands.")
    _same(encoder, optical, 13)
    encoder = load_checkpoint(tmp_path / "joint.pth", arch="resnet50-s1")
    assert encoder.card.scaling == get_card("decur-resnet50-s1").scaling
    _same(encoder, radar, 2)
    assert read_layout(tmp_path / "joint.pth", in_chans=2)[0].also == (13,)
    (tmp_path / "joint.pth").rename(tmp_path / "rn50_sar_decur.pth")
    assert read_layout(tmp_path / "rn50_sar_decur.pth")[0].in_chans == 2


def test_files_of_half_precision_and_of_before_2018(tmp_path: Path) -> None:
    tensors = files.resnet("resnet18", 13).state_dict()
    kept = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    torch.save({key: value.half() for key, value in kept.items()}, tmp_path / "w.pth")
    network = load_checkpoint(tmp_path / "w.pth").network
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32, torch.long}
    torch.testing.assert_close(network.conv1.weight, tensors["conv1.weight"], atol=1e-3, rtol=1e-3)


def _table(by_column_first: bool) -> torch.Tensor:
    """Return MAE's table, or MoCo-v3's, for ViT-S/16; written out cell by cell."""
    frequencies = [10000 ** -(k / 96) for k in range(96)]
    rows = []
    for row in range(14):
        for column in range(14):
            pair = (column, row) if by_column_first else (row, column)
            angles = torch.tensor([[place * f for f in frequencies] for place in pair])
            rows.append(torch.cat([angles[0].sin(), angles[0].cos(), angles[1].sin(), angles[1].cos()]))
    return torch.cat([torch.zeros(1, 384), torch.stack(rows)])[None]


def test_flat_transformers_are_told_apart(tmp_path: Path) -> None:
    with torch.device("meta"):
        network, beit = build_network("vits16", 13), build_network("beits16", 13)
    plain = files.hollow(network)
    for name, tensors, methods in (
        ("a.pth", {**plain, "pos_embed": _table(True)}, ("mae", "fgmae")),
        ("b_fgmae.pth", {**plain, "pos_embed": _table(True)}, ("fgmae", "mae")),
        ("c_mae.pth", {**plain, "pos_embed": _table(False)}, ("moco",)),
        ("d.pth", plain, ("mae", "dino", "moco", "fgmae", "decur")),
        ("e_all_dino-36bc.pth", plain, ("dino", "mae", "moco", "fgmae", "decur")),
        ("f.pth", {**files.hollow(beit), "norm.weight": torch.ones(384), "mask_token": torch.ones(1)}, ("data2vec",)),
        ("g.pth", {"state_dict": files.prefixed("module.base_encoder.", plain)}, ("moco",)),
        ("h.pth", {"teacher": files.prefixed("backbone.", plain)}, ("dino",)),
        ("i.pth", files.prefixed("module.backbone_2.", plain), ("decur",)),
    ):
        torch.save(tensors, tmp_path / name)
        assert read_layout(tmp_path / name)[0].methods == methods, name
    assert "its position table is MoCo-v3's" in read_layout(tmp_path / "c_mae.pth")[0].reason
    assert read_layout(tmp_path / "d.pth", method="DINO")[0].methods == ("dino",)


def test_a_checksum_that_is_published_says_what_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl4eo.encoders import encoder as room

    torch.save(build_network("resnet18", 13).state_dict(), tmp_path / "renamed.pth")
    released = get_card("moco-resnet18-s2")
    monkeypatch.setattr(room, "card_by_checksum", lambda sha256: msgspec.structs.replace(released, method="dino"))
    card = load_checkpoint(tmp_path / "renamed.pth").card
    assert (card.id, card.method, card.license) == ("renamed", "dino", "CC-BY-4.0")
    with pytest.raises(InputError, match="has the checksum of moco-resnet18-s2; leave the method 'softcon' out"):
        load_checkpoint(tmp_path / "renamed.pth", method="softcon")


def test_the_licence_and_scores_of_a_released_file_are_not_those_of_one_like_it(tmp_path: Path) -> None:
    torch.save(build_network("resnet18", 13).state_dict(), tmp_path / "w.pth")
    card = load_checkpoint(tmp_path / "w.pth", method="dino").card
    assert (card.scores, card.files, card.license) == ((), (), "see the weights' authors")
    assert card.note == "Loaded from a file: it holds a ResNet, and dino was asked for. Scaled as dino-resnet50-s2."


def test_only_a_network_like_the_bundled_one_is_scaled_like_it(tmp_path: Path) -> None:
    for backbone, rule in (("resnet18w32", "standardise"), ("vits16", "clip"), ("vitb16", "clip")):
        torch.save(build_network(backbone, 13).state_dict(), tmp_path / "w.pth")
        assert load_checkpoint(tmp_path / "w.pth", method="moco").card.scaling.rule == rule, backbone


@pytest.mark.parametrize("text", ["resnet50", "RN50", "resnet-50"])
def test_spellings_of_a_resnet(text: str) -> None:
    assert arch_named(text) == ({"resnet50"}, None)
    assert arch_named(f"{text}-s1") == ({"resnet50"}, 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vits16", {"vits16", "beits16"}),
        ("vit-s/16", {"vits16", "beits16"}),
        ("vit_small_patch16_224", {"vits16", "beits16"}),
        ("vit_small", {"vits16", "vits14", "beits16"}),
        ("vit_huge_patch14", {"vith14"}),
        ("vit_base_patch14_dinov2", {"vitb14"}),
        ("mae_vit_large_patch16", {"vitl16"}),
        ("beit_small", {"beits16"}),
    ],
)
def test_spellings_of_a_transformer(text: str, found: set[str]) -> None:
    assert arch_named(text)[0] == found


def test_spellings_of_a_method_and_words_of_a_name() -> None:
    assert [method_named(text)[0] for text in ("moco-v2", "MoCo v3", "FG-MAE", "data2vec")] == [
        "moco", "moco", "fgmae", "data2vec",
    ]  # fmt: skip
    assert method_in_name("B13_vits16_fgmae_ep99_enc") == "fgmae"
    assert method_in_name("dinomm_and_maestro") is None
    assert chans_in_name("rn50_ssl4eo-s12_sar_decur_ep100") == 2
    assert chans_in_name("vit_small") is None
    for ask in (method_named, arch_named):
        with pytest.raises(InputError, match=r"There is no .* 'unet'; choose one of: "):
            ask("unet")


def test_networks_take_the_tensors_of_a_backbone(tmp_path: Path) -> None:
    network = build_network("beits16", 2)
    loaded = load_network("beits16", 2, network.state_dict(), tmp_path)
    x = torch.rand(1, 2, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), network.eval()(x))
