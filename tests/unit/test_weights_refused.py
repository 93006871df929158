# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are refused before they become an encoder's weights: no numbers, turned bits, code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.cards import get_card
from ssl4eo.encoders.weights.importing import import_file
from ssl4eo.encoders.weights.recognise import recognise, require_fit
from ssl4eo.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def tensors() -> dict[str, torch.Tensor]:
    """The tensors of SoftCon's ViT-S/14 for Sentinel-2, each one value seen through its shape."""
    with torch.device("meta"):
        network = build_network("vits14", 13)
    return {name: torch.full((), 0.01).expand(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, folder: Path, value: float) -> None:
    held = tensors()
    held["blocks.3.attn.qkv.weight"] = torch.full((), value).expand(held["blocks.3.attn.qkv.weight"].shape)
    path = tmp_path / "B13_vits14_softcon_enc.pth"
    torch.save(held, path)
    for action in (recognise, import_file, lambda file: require_fit(get_card("softcon-vits14-s2"), file)):
        with pytest.raises(InputError, match=r"no numbers \(NaN or infinite, in blocks\.3\.attn\.qkv\.weight\)"):
            action(path)
    assert not folder.exists()


def test_a_bit_that_turned_is_refused_by_the_archives_own_checksums(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "B13_vits14_softcon_enc.pth"
    torch.save(tensors(), path)
    assert recognise(path)
    value = torch.tensor(0.01).numpy().tobytes()
    path.write_bytes(path.read_bytes().replace(value, bytes([value[0] ^ 1]) + value[1:], 1))
    for action in (recognise, import_file, lambda file: require_fit(get_card("softcon-vits14-s2"), file)):
        with pytest.raises(InputError, match=r"is damaged: .*/data/0 in it is not what its checksum says"):
            action(path)
    assert not folder.exists()


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = str(made)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.made,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("archive", [False, True])
def test_a_pickle_that_asks_for_code_is_not_opened(tmp_path: Path, protocol: int, archive: bool) -> None:
    path, document = tmp_path / "evil.pkl", {"state_dict": Evil(tmp_path / "made")}
    if archive:
        torch.save(document, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(document, protocol=protocol))
    with pytest.raises(
        InputError, match=r"evil\.pkl was not opened: it asks for (posix\.mkdir|nt\.mkdir|code, in a pickle)"
    ):
        recognise(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError):
        recognise(path)


def test_a_pickle_without_code_is_no_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"state_dict": [1.0]}, protocol=4))
    with pytest.raises(InputError, match="is not a whole checkpoint file"):
        recognise(path)


@pytest.mark.parametrize("action", [recognise, import_file])
def test_an_empty_name_is_said(action: Callable[[str], object]) -> None:
    with pytest.raises(InputError, match="The name of the file is empty; give the path of the weights"):
        action("")
