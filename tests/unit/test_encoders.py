# SPDX-License-Identifier: GPL-2.0-or-later
"""Cards, checkpoints and the pyramid of features."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import get_card, load_cards, load_checkpoint, load_encoder
from ssl4eo.encoders.backbone import BACKBONES, build_backbone, identify_backbone
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.device import choose_device, choose_precision
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def _tensors(name: str = "resnet18w32") -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(build_backbone(name, 13).state_dict())


def test_the_bundled_encoder_is_there_small_and_as_its_card_says() -> None:
    card = get_card(DEFAULT_ENCODER)
    assert card.bands == S2_BANDS
    assert card.weights_path is not None
    assert card.weights_path.stat().st_size <= 12_000_000
    encoder = load_encoder(DEFAULT_ENCODER, "cpu")
    assert encoder.weights_sha256 == card.sha256
    assert "Copernicus" in card.attribution
    assert {"scenes", "steps", "seed", "device", "seconds"} <= set(card.training)


def test_reading_the_cards_imports_no_torch() -> None:
    code = "import sys; from ssl4eo.encoders import load_cards; load_cards(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("gsd = 10.0", 'gsd = "ten"', "wrong at gsd"),
        ('"B8A"', '"B8C"', "unknown bands B8C"),
        ("0.078678685367, ", "", "scaling.std has 12 values for 13 bands"),
        ("strides = [4, 8", "strides = [8, 4", "must increase"),
        ("pooling = ", "pulling = ", "wrong at pooling"),
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
    with pytest.raises(InputError, match="are not on this computer"):
        load_encoder(DEFAULT_ENCODER)
    (tmp_path / "encoders").mkdir()
    torch.save({"state_dict": _tensors()}, tmp_path / f"encoders/{DEFAULT_ENCODER}.pth")
    with pytest.raises(InputError, match="is not the file that the card"):
        load_encoder(DEFAULT_ENCODER)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_backbones_are_known_by_their_tensors(name: str) -> None:
    assert identify_backbone(_tensors(name)) == name


_QUEUE_AND_HEAD = {"module.queue": torch.zeros(4, 4), "module.encoder_q.fc.0.bias": torch.ones(2)}


@pytest.mark.parametrize(
    ("container", "prefix", "extra"),
    [
        ("state_dict", "module.encoder_q.", _QUEUE_AND_HEAD),
        ("state_dict", "", {}),
        ("teacher", "module.backbone.", {"module.head.mlp.0.weight": torch.zeros(2, 2)}),
        ("model", "backbone.", {}),
        (None, "", {}),
    ],
)  # fmt: skip
def test_every_layout_of_a_resnet_checkpoint(
    tmp_path: Path, container: str | None, prefix: str, extra: dict[str, torch.Tensor]
) -> None:
    tensors = _tensors()
    stored: Any = {**{prefix + key: value for key, value in tensors.items()}, **extra}
    document = {container: stored, "epoch": 99, "args": argparse.Namespace(lr=0.1)} if container else stored
    torch.save(document, tmp_path / "w.pth")
    loaded = load_checkpoint(tmp_path / "w.pth").network.state_dict()
    assert set(loaded) == set(tensors)
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


def test_released_resnet_50_layouts_give_the_authors_numbers(
    shared_parity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.path.insert(0, str(shared_parity))
    try:
        from build_checkpoint import build_file
        from rule_weights import make_input
    finally:
        sys.path.remove(str(shared_parity))
    x = torch.from_numpy(make_input(13))
    for name in ("moco_v2_resnet50_B13_full", "moco_v2_resnet50_B13_backbone"):
        build_file(shared_parity / f"vectors/{name}.json", tmp_path / "w.pth")
        encoder = load_checkpoint(tmp_path / "w.pth")
        with np.load(shared_parity / f"vectors/{name}.npz") as expected:
            np.testing.assert_allclose(encoder.pooled(x).numpy(), expected["pooled"], atol=1e-4)
            if "layer4" in expected:
                deepest = encoder.pyramid(x)[-1][1].numpy()
                np.testing.assert_allclose(deepest[:1, ::16], expected["layer4"], atol=1e-4)


class _Malicious:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_files_that_are_not_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    torch.save({"state_dict": _Malicious(str(trap))}, tmp_path / "evil.pth")
    short = _tensors()
    del short["layer4.1.conv2.weight"]
    torch.save(short, tmp_path / "short.pth")
    wrong = _tensors()
    wrong["layer1.0.bn1.weight"] = torch.zeros(7)
    torch.save(wrong, tmp_path / "wrong.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    (tmp_path / "empty.pth").touch()
    torch.save(_tensors(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:100_000])
    for name, words in (
        ("gone.pth", "does not exist"),
        ("evil.pth", "could run code"),
        ("short.pth", "1 tensors are missing, first layer4.1.conv2.weight"),
        ("wrong.pth", r"layer1.0.bn1.weight \(7,\) instead of \(32,\)"),
        ("other.pth", "holds no encoder that is known here .its tensors begin with: a"),
        ("page.pth", "page.pth"),
        ("empty.pth", "not a whole checkpoint"),
        ("cut.pth", "not a whole checkpoint"),
    ):
        with pytest.raises(InputError, match=words):
            load_checkpoint(tmp_path / name)
    assert not trap.exists()


def test_pyramid_and_pooled_have_the_shapes_of_the_card() -> None:
    encoder = load_encoder(DEFAULT_ENCODER, "cpu")
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


def test_cells_of_a_residual_network_are_centred_where_the_backbone_says() -> None:
    """A spot moved by one stride moves the response by one cell, mirrored around the cell's centre."""
    backbone = build_backbone("resnet18", 1).eval()
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
