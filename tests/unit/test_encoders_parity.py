# SPDX-License-Identifier: GPL-2.0-or-later
"""Released layouts give what the authors' own model classes gave: `load_checkpoint` finds everything by itself."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from ssl4eo.encoders import load_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

_POOLED = {"average": "pooled", "cls": "cls", "cls-last4": "last4_cls", "patch-mean": "mean_pool_fc_norm"}
_CASES = {
    "moco_v2_resnet50_B13_full": ("moco", "average", "resnet50"),
    "moco_v2_resnet50_B13_backbone": ("moco", "average", "resnet50"),
    "moco_v3_vits16_B13_full": ("moco", "cls", "vits16"),
    "dino_vits16_B13_full": ("dino", "cls-last4", "vits16"),
    "mae_vits16_B13_enc": ("mae", "cls", "vits16"),
    "data2vec_vits16_B13_full": ("data2vec", "patch-mean", "beits16"),
}


@pytest.fixture
def rules(shared_parity: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(shared_parity))
    import build_checkpoint
    import rule_weights

    return build_checkpoint.build_file, rule_weights.make_input


def test_there_is_a_case_for_every_vector(shared_parity: Path) -> None:
    assert {path.stem for path in (shared_parity / "vectors").glob("*.json")} == set(_CASES)


@pytest.mark.parametrize("name", _CASES)
def test_released_layouts_give_the_authors_numbers(name: str, shared_parity: Path, tmp_path: Path, rules: Any) -> None:
    build_file, make_input = rules
    build_file(shared_parity / f"vectors/{name}.json", tmp_path / "w.pth")
    encoder = load_checkpoint(tmp_path / "w.pth")
    assert (encoder.card.method, encoder.card.pooling, encoder.card.backbone) == _CASES[name]
    x = torch.from_numpy(make_input(13))
    levels = [level.numpy() for _, level in encoder.pyramid(x)]
    with np.load(shared_parity / f"vectors/{name}.npz") as arrays:
        expected = dict(arrays)
    found = {_POOLED[encoder.card.pooling]: encoder.pooled(x).numpy()}
    if encoder.card.shape.kind == "resnet":
        found |= {f"layer{stage}": level[:1, ::16] for stage, level in enumerate(levels, start=1)}
        found |= {stage: found[stage][..., ::4, ::4] for stage in ("layer1", "layer2")}
    else:
        found["tokens"] = levels[-1].reshape(2, 384, 196).transpose(0, 2, 1)[:1, :, ::4]
    compared = set(found) & set(expected)
    slices = json.loads((shared_parity / f"vectors/{name}.json").read_text())["meta"]["slices"]
    assert compared >= (set(slices) & set(expected)), "a stored output is not compared"
    for key in compared:
        np.testing.assert_allclose(found[key], expected[key], atol=1e-4, err_msg=f"{name}: {key}")


def test_the_index_of_relative_positions_is_the_files_own(shared_parity: Path, tmp_path: Path, rules: Any) -> None:
    """No file is needed for it, because it follows from the window; it is not initialised on the meta device."""
    name = "data2vec_vits16_B13_full"
    rules[0](shared_parity / f"vectors/{name}.json", tmp_path / "w.pth")
    network = load_checkpoint(tmp_path / "w.pth").network
    stored = torch.load(tmp_path / "w.pth", weights_only=False)["model"]
    assert torch.equal(network.rel_pos_bias.relative_position_index, stored["rel_pos_bias.relative_position_index"])
    assert all(not block.attn.k_bias.any() for block in network.blocks)
