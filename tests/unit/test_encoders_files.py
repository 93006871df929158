# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are not loaded, each with its sentence, and formats that are: nothing in a file is ever run."""

from __future__ import annotations

import os
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import checkpoint_files as files
import numpy as np
import pytest
import torch
from ssl4eo.encoders import load_checkpoint
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.checkpoint import read_document
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_CUT = "is not a whole checkpoint file; copy or download it again"


def _tensors(name: str = "resnet18w32", bands: int = 13) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(build_network(name, bands).state_dict())


def _hollow(name: str, bands: int = 13) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = build_network(name, bands)
    return files.hollow(network)


def _refused(path: Path, words: str, **hints: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_checkpoint(path, **hints)
    sentence = str(caught.value)
    assert path.name in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


class _Malicious:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


class _Disguised:
    """Calls through a name that is allowed: the stand-in for it must do nothing."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, (_Malicious(self.path),)


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("kind", [_Malicious, _Disguised])
def test_a_malicious_pickle_never_runs(tmp_path: Path, kind: Any, archive: bool) -> None:
    trap = tmp_path / "ran"
    document = {"state_dict": _tensors(), "args": kind(str(trap))}
    torch.save(document, tmp_path / "evil.pth", _use_new_zipfile_serialization=archive)
    _refused(tmp_path / "evil.pth", r"was not opened: it asks for \w+\.mkdir, which could run code")
    assert not trap.exists()
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert trap.is_dir(), "the file does no harm, so the test proves nothing"


@pytest.mark.parametrize("archive", [True, False])
def test_files_that_are_cut_off(tmp_path: Path, archive: bool) -> None:
    torch.save(_tensors(), tmp_path / "whole.pth", _use_new_zipfile_serialization=archive)
    whole = (tmp_path / "whole.pth").read_bytes()
    for size in (40, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pth").write_bytes(whole[:size])
        _refused(tmp_path / "cut.pth", _CUT)


@pytest.mark.parametrize("archive", [True, False])
def test_whatever_byte_of_the_tables_is_damaged_the_answer_is_a_sentence(tmp_path: Path, archive: bool) -> None:
    document = files.dino_resnet_full({"conv1.weight": torch.rand(4, 3), "bn1.num_batches_tracked": torch.tensor(3)})
    torch.save(document, tmp_path / "w.pth", _use_new_zipfile_serialization=archive)
    whole, refused = (tmp_path / "w.pth").read_bytes(), 0
    for at in range(40, len(whole), 5):
        (tmp_path / "damaged.pth").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read_document(tmp_path / "damaged.pth")
        except InputError as error:
            refused += "damaged.pth" in str(error)
    assert refused > 50


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    (tmp_path / "page.pth").write_text("\n <!DOCTYPE html><html>Google Drive can't scan this file</html>")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    (tmp_path / "text.pth").write_text("404: Not Found, and some more words")
    (tmp_path / "header.safetensors").write_bytes(struct.pack("<Q", 5000) + b'{"a": ')
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("w.pth", "packed")
    for name, words in (
        ("gone.pth", "does not exist; check the path"),
        ("empty.pth", "is empty, not a whole checkpoint"),
        ("page.pth", "is a web page and no weights.* open the address in a browser"),
        ("pointer.pth", "is a Git LFS pointer and no weights"),
        ("text.pth", r"holds no weights \(it begins with b'404: Not'\)"),
        ("header.safetensors", "not a whole safetensors file"),
        ("other.zip", "is a zip archive without a checkpoint's tables; unpack it"),
    ):
        _refused(tmp_path / name, words)
    with pytest.raises(InputError, match="is a folder; name the file"):
        load_checkpoint(tmp_path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, which is not the point here
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), str(tmp_path / "script.pt"))
    _refused(tmp_path / "script.pt", "is a TorchScript program, which would run code of its own")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: Any, **__: Any) -> None:
        raise AssertionError("it was read")

    torch.save(_tensors(), tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as source, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry), zipfile.ZIP_STORED)
        bomb.writestr("w/data/9999", bytes(50_000_000), zipfile.ZIP_DEFLATED)
    # Entries that overlap: each says it is as long as the file.
    with zipfile.ZipFile(tmp_path / "overlap.pth", "w") as overlap:
        for number in range(4):
            overlap.writestr(f"w/data/{number}", b"0" * 1000)
        overlap.writestr("w/data.pkl", b"0")
        for entry in overlap.filelist:
            entry.file_size = entry.compress_size = 4000
    monkeypatch.setattr(torch, "load", unpack)
    _refused(tmp_path / "bomb.pth", r"compressed archive that unpacks from \d+ to \d+ bytes")
    _refused(tmp_path / "overlap.pth", r"unpacks from \d+ to 20000 bytes")


def test_values_repeated_in_a_file_do_not_fill_the_memory(tmp_path: Path) -> None:
    tensors = _tensors()
    tensors["layer1.0.conv1.weight"] = torch.zeros(1).expand(32, 1_000_000, 1_000_000, 3)
    for name, archive in (("a.pth", True), ("b.pth", False)):
        torch.save(tensors, tmp_path / name, _use_new_zipfile_serialization=archive)
        _refused(tmp_path / name, r"layer1.0.conv1.weight \(32, 1000000, 1000000, 3\) instead of \(32, 64, 3, 3\)")


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    whole = _tensors()
    short = {key: value for key, value in whole.items() if not key.startswith("layer4.1.conv")}
    for name, tensors, words in (
        (
            "short.pth",
            short,
            r"does not fit the network resnet18w32 \(missing tensors: layer4.1.conv1.weight, layer4.1.conv2.weight\)",
        ),
        ("bare.pth", {k: v for k, v in whole.items() if "bn" not in k}, r"bn1.weight, bn1.bias, .* and \d+ more\)"),
        ("wrong.pth", {**whole, "bn1.weight": torch.zeros(7)}, r"wrong shape: bn1.weight \(7,\) instead of \(64,\)"),
        (
            "deep.pth",
            {**whole, "layer1.2.conv1.weight": torch.zeros(1)},
            "a ResNet of 3, 2, 2, 2 basic blocks, 32 wide, which is none of those known here: resnet18w32",
        ),
        ("other.pth", {"a": torch.zeros(1)}, r"no encoder that is known here \(its tensors begin with: a\)"),
        ("none.pth", {"epoch": 3}, r"its tensors begin with: no tensor at all"),
        ("list.pth", [torch.zeros(1)], r"its tensors begin with: no tensor at all"),
        ("bands.pth", _hollow("resnet18", 12), "takes 12 bands; use an encoder of 13"),
        ("blocks.pth", _trimmed(_hollow("vits16"), "blocks.11."), "missing tensors: blocks.11.norm1.weight"),
        ("beit.pth", _trimmed(_hollow("beits16"), "rel_pos"), "missing tensors: rel_pos_bias.relative_position_bias_"),
        ("size.pth", {**_hollow("vits16"), "pos_embed": torch.zeros(1, 50, 384)}, r"\(1, 50, 384\) instead of"),
        (
            "registers.pth",
            {**_hollow("vits14"), "register_tokens": torch.zeros(1, 4, 384)},
            "without a place in it: reg",
        ),
        ("tiny.pth", _hollow("vits16", 13) | {"patch_embed.proj.weight": torch.zeros(192, 13, 8, 8)}, "192 wide, with"),
        ("rda.pth", {"module.backbone_1.conv1.weight": torch.zeros(1), "da1_l3.rpe": torch.zeros(1)}, "DeCUR's plain"),
    ):
        torch.save(tensors, tmp_path / name)
        _refused(tmp_path / name, words)


def _trimmed(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in tensors.items() if not key.startswith(prefix)}


def test_hints_that_contradict_the_tensors(tmp_path: Path) -> None:
    torch.save({"teacher": files.prefixed("backbone.", _hollow("vits16"))}, tmp_path / "dino.pth")
    torch.save(_hollow("resnet50", 2), tmp_path / "rn50.pth")
    for name, hints, words in (
        ("dino.pth", {"arch": "vit_base"}, "holds a vits16, not a vit_base; leave the architecture out"),
        ("dino.pth", {"method": "mae"}, "is no file of mae: it holds a teacher, as in files of dino"),
        ("rn50.pth", {"method": "moco-v3"}, "is no file of moco-v3: it holds a ResNet"),
        ("rn50.pth", {"method": "data2vec"}, "is no file of data2vec"),
        ("rn50.pth", {"arch": "resnet50-s2"}, "takes 2 bands, not 13"),
    ):
        _refused(tmp_path / name, words, **hints)


def test_safetensors_and_the_format_of_before_2020_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = _tensors()
    save_file(files.prefixed("backbone.", tensors), tmp_path / "w.safetensors")
    document = files.moco_v2_full(tensors)
    torch.save(document, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("w.safetensors", "old.pth"):
        loaded = load_checkpoint(tmp_path / name).network.state_dict()
        assert all(torch.equal(loaded[key], tensors[key]) for key in tensors), name
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-100])
    _refused(tmp_path / "cut.safetensors", "is not a whole safetensors file")


@pytest.mark.parametrize("wrap", [lambda tensors: tensors, files.mae_full])
def test_an_encoder_outlives_its_file(tmp_path: Path, wrap: Any) -> None:
    """Read whole when it is the whole file, copied when it is a part: never left in the file."""
    tensors = _tensors()
    document = wrap(dict(tensors))
    document["ballast"] = torch.zeros(5_000_000) if wrap is files.mae_full else torch.zeros(1)
    torch.save(document, tmp_path / "w.pth")
    encoder = load_checkpoint(tmp_path / "w.pth")
    with (tmp_path / "w.pth").open("r+b") as stream:
        stream.write(b"\0" * (tmp_path / "w.pth").stat().st_size)
    loaded = encoder.network.state_dict()
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


def test_other_values_of_a_checkpoint_are_not_made(tmp_path: Path) -> None:
    torch.save(files.dino_resnet_full(_tensors()), tmp_path / "w.pth")
    document = read_document(tmp_path / "w.pth")
    assert type(document["args"]).__name__ == type(document["epoch"]).__name__ == "_Inert"
    assert vars(document["args"]) == {}
