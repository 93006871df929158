# SPDX-License-Identifier: GPL-2.0-or-later
"""Cards, checkpoints and the pyramid of features."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import checkpoint_files as files
import msgspec
import pytest
import torch
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import Encoder, get_card, load_cards, load_encoder
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.device import choose_device, choose_precision
from ssl4eo.encoders.weights import find
from ssl4eo.encoders.weights.records import checksum, folder_of, lock_of
from ssl4eo.encoders.weights.upkeep import install
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bundled_encoder_is_there_small_and_as_its_card_says() -> None:
    card = get_card(DEFAULT_ENCODER)
    assert card.bands == S2_BANDS
    path = find(card)
    assert path is not None
    assert path.stat().st_size <= 12_000_000
    encoder = load_encoder(DEFAULT_ENCODER, "cpu")
    assert encoder.weights_sha256 == card.files[0].sha256
    assert "Copernicus" in card.attribution
    assert {"scenes", "steps", "seed", "device", "seconds"} <= set(card.training)


def test_reading_the_cards_imports_no_torch() -> None:
    code = "import sys; from ssl4eo.encoders import load_cards; load_cards(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("gsd = 10.0", 'gsd = "ten"', r"Expected `float`, got `str` - at `\$.gsd`"),
        ("gsd = 10.0", "gsd = 0.0", "gsd 0.0 is not positive"),
        ('"B8A"', '"B8C"', "unknown bands B8C"),
        ("0.078678685367, ", "", "scaling 'standardise' has 13 means and 12 deviations"),
        ('backbone = "resnet18"', 'backbone = "resnet19"', "unknown backbone 'resnet19'"),
        ("pooling = ", "pulling = ", "unknown field `pulling`"),
        ('scaling = "l1c"', 'scaling = "l1b"', r"there is no \[scaling.l1b\]"),
        ('sha256 = "59bfdff9"', 'sha256 = "59bfdfg9"', "is not 8 to 64 hexadecimal digits"),
        ('url = "https:', 'url = "http:', "does not begin with https://"),
        ('id = "moco-vits16-s2"', 'id = "MoCo"', "the id does not read method-backbone-sensor"),
        ('id = "moco-vits16-s2"', 'id = "moco-resnet18-s2"', "stands twice"),
        ("[scaling.l1c]", "[scaling.l1c", "is not valid TOML"),
    ],
)
def test_a_card_that_does_not_hold_together_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    from ssl4eo.encoders import cards

    text = cards._CARDS_FILE.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "cards.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        load_cards(tmp_path / "cards.toml")


def test_an_unknown_encoder_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no encoder 'x'; choose one of: {DEFAULT_ENCODER}"):
        load_encoder("x")


def test_weights_that_are_not_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path))
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="are not on this computer"):
        load_encoder(DEFAULT_ENCODER)
    (tmp_path / "encoders").mkdir()
    torch.save(build_network("resnet18w32", 13).state_dict(), tmp_path / f"encoders/{DEFAULT_ENCODER}.pth")
    with pytest.raises(InputError, match="is damaged"):
        load_encoder(DEFAULT_ENCODER)


def _install(encoder_id: str, document: object) -> None:
    card = get_card(encoder_id)
    with lock_of(card):
        part = folder_of(card) / "made.part"
        torch.save(document, part)
        install(card, part, "w.pth", sha256=checksum(part), source="a test", verified="tensors")


def test_an_encoder_of_the_cache_is_checked_against_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path))
    with torch.device("meta"):
        radar, optical = build_network("resnet50", 2), build_network("resnet50", 13)
    joint = files.decur_joint(files.hollow(radar), files.hollow(optical))
    for encoder_id, bands in (("decur-resnet50-s1", 2), ("decur-resnet50-s2", 13)):
        _install(encoder_id, joint)
        encoder = load_encoder(encoder_id, "cpu")
        assert encoder.network.conv1.weight.shape == (64, bands, 7, 7)
        assert encoder.card == get_card(encoder_id)
    _install("moco-resnet50-s1", files.hollow(optical))
    with pytest.raises(InputError, match="takes 13 bands, not 2"):
        load_encoder("moco-resnet50-s1")
    _install("moco-resnet18-s2", files.hollow(optical))
    with pytest.raises(InputError, match="holds a resnet50, not a resnet18"):
        load_encoder("moco-resnet18-s2")


@pytest.mark.parametrize("encoder_id", list(load_cards()))
def test_every_card_has_a_network_for_its_bands_window_and_levels(encoder_id: str) -> None:
    card = get_card(encoder_id)
    shape = card.shape
    with torch.device("meta"):
        network = build_network(card.backbone, len(card.bands)).eval()
        x = torch.zeros(1, len(card.bands), shape.window, shape.window)
        first = 0 if shape.kind == "resnet" else 1
        levels = network.forward_intermediates(
            x, indices=[level - first for level in shape.levels], intermediates_only=True
        )
    sides = [shape.window // stride for stride in card.strides]
    assert [level.shape[2:] for level in levels] == [(side, side) for side in sides]
    if shape.kind != "resnet":
        assert {level.shape[1] for level in levels} == set(shape.widths)
        assert network.blocks[0].attn.num_heads == shape.heads
        assert shape.widths[0] % shape.heads == 0
        assert shape.levels[-1] == shape.depths[0]
    assert shape.halo % max(card.strides) == 0


@pytest.mark.parametrize(
    "encoder_id",
    ["moco-resnet18-rgb", "decur-resnet50-s1", "dino-vits16-s2", "softcon-vits14-s1", "data2vec-vits16-s2"],
)
def test_pyramid_and_pooled_of_each_kind(encoder_id: str) -> None:
    card = get_card(encoder_id)
    torch.manual_seed(0)
    network = files.randomised(build_network(card.backbone, len(card.bands)))
    encoder, low = Encoder(card, network), Encoder(card, network, precision="bf16")
    width = card.shape.widths[-1] * (4 if card.shape.bottleneck else 1)
    x = torch.rand(2, len(card.bands), 4 * card.strides[-1], 6 * card.strides[-1])
    levels = encoder.pyramid(x)
    assert [stride for stride, _ in levels] == list(card.strides)
    assert levels[-1][1].shape == (2, width, 4, 6)
    assert encoder.pooled(x).shape == (2, width * (4 if card.pooling == "cls-last4" else 1))
    if card.shape.kind != "resnet":
        assert not torch.allclose(levels[0][1], levels[-1][1])
    for full, rounded in ((levels[-1][1], low.pyramid(x)[-1][1]), (encoder.pooled(x), low.pooled(x))):
        assert rounded.dtype == torch.float32
        assert 0 < (full - rounded).abs().mean() < 0.05 * full.std()


def test_pyramid_and_pooled_have_the_shapes_of_the_card() -> None:
    encoder = load_encoder(DEFAULT_ENCODER, "cpu", "fp32")
    x = encoder.normalise(torch.rand(2, 13, 96, 64))
    assert [(s, tuple(level.shape)) for s, level in encoder.pyramid(x)] == [
        (4, (2, 32, 24, 16)), (8, (2, 64, 12, 8)), (16, (2, 128, 6, 4)), (32, (2, 256, 3, 2)),
    ]  # fmt: skip
    torch.testing.assert_close(encoder.pooled(x), encoder.pyramid(x)[-1][1].mean((2, 3)))
    with pytest.raises(InputError, match=r"shape \(1, 12, 32, 32\), but .* takes \(batch, 13"):
        encoder.pyramid(torch.rand(1, 12, 32, 32))


def test_input_is_clipped_reflectance_scaled_as_the_card_says() -> None:
    encoder = load_encoder(DEFAULT_ENCODER, "cpu")
    scaling = encoder.card.scaling
    x = encoder.normalise(torch.tensor([-0.5, 0.2, 7.0]).view(3, 1, 1, 1).expand(3, 13, 2, 2))
    for band in range(13):
        expected = [(value - scaling.mean[band]) / scaling.std[band] for value in (0, 0.2, 1)]
        torch.testing.assert_close(x[:, band, 0, 0], torch.tensor(expected), atol=1e-3, rtol=1e-4)


def _value(encoder_id: str, pixels: float) -> torch.Tensor:
    """Return what each band becomes when every pixel has this value."""
    card = get_card(encoder_id)
    encoder = Encoder(msgspec.structs.replace(card, backbone="resnet18w32"), build_network("resnet18w32", 1))
    return encoder.normalise(torch.full((1, len(card.bands), 1, 1), pixels))[0, :, 0, 0]


def test_decibels_are_scaled_by_two_deviations_on_either_side_of_the_mean() -> None:
    mean, std = (-12.54847273, -20.19237134), (5.25697717, 5.91150917)
    for decibels in (-60.0, -20.0, -12.0, -5.0, 30.0):
        expected = [min(max((decibels - (m - 2 * s)) / (4 * s), 0.0), 1.0) for m, s in zip(mean, std, strict=True)]
        torch.testing.assert_close(_value("mae-vits16-s1", decibels), torch.tensor(expected))
    assert _value("moco-resnet50-s1", -12.54847273)[0] == pytest.approx(0.5)
    assert _value("decur-resnet50-s1", -12.59)[0] == pytest.approx(0.5)


def test_reflectance_is_scaled_as_the_authors_of_the_weights_did() -> None:
    torch.testing.assert_close(_value("moco-resnet50-s2", 0.25), torch.full((13,), 0.25))
    assert _value("dino-vits16-s2", 2.8).eq(1).all()
    assert _value("moco-resnet18-rgb", -0.1).eq(0).all()
    two_sigma = _value("softcon-vits14-s2", 0.16129)
    assert two_sigma[0] == pytest.approx(0.5)
    assert two_sigma[10] == 1.0, "B10 is far darker"


def test_cells_of_a_residual_network_are_centred_where_the_backbone_says() -> None:
    """A spot moved by one stride moves the response by one cell, mirrored around the cell's centre."""
    backbone = build_network("resnet18", 1).eval()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    with torch.inference_mode():
        for i, stride in enumerate(BACKBONES["resnet18"].strides, start=1):
            # Cell k is centred on pixel stride * k: a spot there is seen alike by the cells on both sides.
            image = torch.zeros(1, 1, 512, 512)
            image[..., 256, 256] = 1
            (level,) = backbone.forward_intermediates(image, indices=[i], intermediates_only=True)
            profile = level[0, 0].sum(0)
            centre = float((profile * torch.arange(len(profile))).sum() / profile.sum())
            assert centre * stride == pytest.approx(256, abs=1.0), stride


def test_devices_and_precisions() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_precision("fp16", torch.device("cpu")) == ("fp16", torch.float16)
    with pytest.raises(InputError, match="no device 'gpu'"):
        choose_device("gpu")
    with pytest.raises(InputError, match="no precision 'int4'"):
        choose_precision("int4", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="finds no NVIDIA GPU"):
            choose_device("cuda:0")
