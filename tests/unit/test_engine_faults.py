# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong in the middle of an encode is said in one sentence, and what was done is not lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rasterio
import torch
from encoder_files import random_encoders
from engine_files import PATCHES, stored_bytes, texture
from scene_files import write_raster
from ssl4eo.encoders.encoder import Encoder
from ssl4eo.errors import InputError, OutputError
from ssl4eo.features import encode
from ssl4eo.features.engine import sample
from ssl4eo.features.engine.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS: dict[str, Any] = {"encoder": PATCHES, "device": "cpu", "precision": "fp32"}
KEPT = "; what is done so far is kept, and the same encode goes on from there."


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES,)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "_TILES", 2)
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows of two windows, in compressed tiles, and what is made of it when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("original")
    plain = write_raster(folder / "plain.tif", texture(1000, 300), scale="0.0001", level="L1C")
    with rasterio.open(plain) as dataset:
        profile = {**dataset.profile, "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
        with rasterio.open(folder / "s.tif", "w", **profile) as copy:
            copy.write(dataset.read())
            copy.descriptions = dataset.descriptions
            copy.update_tags(**dataset.tags())
    plain.unlink()
    encode(folder / "s.tif", folder / "set", **SETTINGS)
    return folder


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size * 6 // 10)
        stream.write(b"\xff" * (path.stat().st_size // 10))


@pytest.mark.parametrize("harm", [truncated, overwritten])
def test_a_scene_that_breaks_in_the_middle(original: Path, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    scene, write = tmp_path / "s.tif", Records.write
    shutil.copy2(original / "s.tif", scene)

    def wrote(self: Records, unit: int, levels: Any) -> None:
        write(self, unit, levels)
        if unit == 0:
            harm(scene)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "write", wrote)
        with pytest.raises(InputError) as caught:
            encode(scene, tmp_path / "set", **SETTINGS)
    assert str(scene) in str(caught.value)
    assert str(caught.value).endswith(KEPT)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".set.part", "s.tif"]
    # Repaired, with the time that it had: it is the same scene.
    shutil.copy2(original / "s.tif", scene)
    assert encode(scene, tmp_path / "set", **SETTINGS)["resumed"] >= 2
    assert stored_bytes(tmp_path / "set") == stored_bytes(original / "set")


def test_a_scene_that_vanishes_before_the_network_is_ready(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, make = tmp_path / "s.tif", Encoder.__init__
    shutil.copy2(original / "s.tif", scene)

    def made(self: Encoder, *arguments: Any, **named: Any) -> None:
        scene.unlink()
        make(self, *arguments, **named)

    monkeypatch.setattr(Encoder, "__init__", made)
    with pytest.raises(InputError, match=r"s\.tif"):
        encode(scene, tmp_path / "set", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


_FULL_DISK = """
import resource, signal, sys
import pytest
from encoder_files import narrow_backbones
from ssl4eo.errors import OutputError
from ssl4eo.features import encode
from ssl4eo.features.engine import sample
sample._TILES = 2
narrow_backbones(pytest.MonkeyPatch())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in map(int, sys.argv[4:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        encode(sys.argv[1], sys.argv[2], encoder=sys.argv[3], device="cpu", precision="fp32")
    except OutputError as error:
        print(error)
"""


def test_a_disk_that_fills_up(original: Path, tmp_path: Path) -> None:
    """A limit on the file size makes the kernel refuse the write, as a full disk does: at once, soon, and late."""
    size = max(path.stat().st_size for path in (original / "set").iterdir())
    limits = [100, size // 3, size]
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(original / "s.tif"), str(tmp_path / "set"), PATCHES, *map(str, limits)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    sentences = done.stdout.splitlines()
    assert len(sentences) == len(limits), (done.stdout, done.stderr)
    for sentence in sentences:
        assert sentence.startswith(f"Cannot write {tmp_path / 'set'}: ")
    assert all(sentence.endswith(KEPT) for sentence in sentences[1:])
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".set.part"]
    assert encode(original / "s.tif", tmp_path / "set", **SETTINGS)["resumed"] > 0
    assert stored_bytes(tmp_path / "set") == stored_bytes(original / "set")


def test_a_disk_without_room_is_refused_before_the_work(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(OutputError, match=r"^The result needs about \d+ MB but .* has only 1 MB free; free some space"):
        encode(original / "s.tif", tmp_path / "set", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "fine"}, "dino-vits16-s2 has no mode 'fine'; choose one of: fast, standard"),
        ({"mode": ""}, "has no mode ''"),
        ({"components": 0}, "There cannot be 0 components; give a number from 1 on, or 'full'"),
        ({"components": -3}, "There cannot be -3 components"),
        ({"components": "many"}, "There cannot be 'many' components"),
        ({"components": 2.5}, r"There cannot be 2\.5 components"),
        ({"components": True}, "There cannot be True components"),
        ({"precision": "fp64"}, "There is no precision 'fp64'"),
        ({"device": "gpu"}, "There is no device 'gpu'"),
    ],
)
def test_settings_that_do_not_exist(original: Path, tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        encode(original / "s.tif", tmp_path / "set", **{**SETTINGS, **settings})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    # As torch answers on a computer without one; elsewhere this would test nothing.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=f"The device {device} was asked for, but torch finds no NVIDIA GPU here; choo"
    ):
        encode(original / "s.tif", tmp_path / "set", **{**SETTINGS, "device": device})
    assert list(tmp_path.iterdir()) == []


def test_a_scene_that_goes_before_it_is_read_leaves_the_threads_as_they_were(tmp_path: Path) -> None:
    scene = write_raster(tmp_path / "s.tif", texture(64, 64), scale="0.0001", level="L1C")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)

    def gone(fraction: float, message: str) -> None:
        if message.startswith("Loading"):
            scene.unlink()

    try:
        with pytest.raises(InputError, match=r"s\.tif"):
            encode(scene, tmp_path / "set", device="cpu", progress=gone)
        # The next run divides them among its streams.
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
