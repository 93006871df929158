# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that was killed goes on where it stopped, and what comes out is the same to the last byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from encoder_files import random_encoders
from engine_files import BUNDLED, PATCHES, decoded, stored_bytes, texture
from scene_files import write_raster
from ssl4eo.errors import InputError
from ssl4eo.features import Addition, encode, tiling
from ssl4eo.features.engine import sample
from ssl4eo.features.engine.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Name of the run: encoder, what is added, when the process is killed: after so many units or messages.
KILLED = {
    "windows": (PATCHES, [], "half a unit", 2),
    "windows_at_the_end": (PATCHES, [], "Making overviews", 1),
    "sample": (PATCHES, [], "Looking at the scene", 2),
    "tiles": (BUNDLED, [], "unit", 3),
    "two": (BUNDLED, [PATCHES], "unit", 7),
}

# Torch is loaded once; each run is a fork that kills itself.
_KILLED = """
import json, os, signal, sys
import pytest, torch
from types import SimpleNamespace
from encoder_files import narrow_backbones
from ssl4eo.features import Addition, encode, tiling
from ssl4eo.features.engine import records, sample
import ssl4eo.features.engine.work, ssl4eo.encoders.encoder, zlib

def run(folder, name, encoder, add, when, count):
    left = [count]
    def passed():
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    write = records.Records.write
    def wrote(self, unit, levels):
        write(self, unit, levels)
        passed()
    def half(*arguments):
        passed()
        return zlib.crc32(*arguments)
    def heard(fraction, message):
        if message.startswith(when):
            passed()
    if when == "unit":
        records.Records.write = wrote
    elif when == "half a unit":
        # Four of six levels of the unit are written.
        left[0] = 6 * count + 4
        records.zlib = SimpleNamespace(crc32=half)
    encode(f"{folder}/scene.tif", f"{folder}/{name}", encoder=encoder, add=[Addition(name) for name in add],
           device="cpu", precision="fp32", progress=heard)

tiling.TILE, sample._TILES = 128, 3
narrow_backbones(pytest.MonkeyPatch())
for name, rest in json.loads(sys.argv[2]).items():
    child = os.fork()
    if not child:
        try:
            run(sys.argv[1], name, *rest)
        finally:
            os._exit(1)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES,)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "TILE", 128)
        # The others go through the network in batches.
        patch.setattr(sample, "_TILES", 3)
        yield


def pixels() -> NDArray[np.uint16]:
    """Return five rows of windows; the second tile is empty."""
    values = texture(600, 300)
    values[:, :180, 120:] = 0
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, and what killed runs left of it."""
    folder = tmp_path_factory.mktemp("killed")
    write_raster(folder / "scene.tif", pixels(), scale="0.0001", level="L1C")
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), json.dumps(KILLED)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == [f"{name} -9" for name in KILLED], done.stderr
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What runs that nothing interrupted write, by encoder and what is added."""
    made = {}
    for name in ("windows", "tiles", "two"):
        target = tmp_path_factory.mktemp("whole") / "set"
        encode(folder / "scene.tif", target, **given(name))
        made[name] = stored_bytes(target)
    return made


def given(name: str) -> dict[str, Any]:
    encoder, add, *_ = KILLED[name]
    return {"encoder": encoder, "add": [Addition(other) for other in add], "device": "cpu", "precision": "fp32"}


@pytest.mark.parametrize(
    ("name", "resumed"),
    # There are 5 rows of 2 windows each, and 5 rows of 3 tiles of 128 pixels.
    [("windows", 4), ("windows_at_the_end", 10), ("sample", 0), ("tiles", 3), ("two", None)],
)
def test_a_killed_run_goes_on_and_writes_the_same_bytes(
    folder: Path, whole: dict[str, dict[str, bytes]], name: str, resumed: int | None
) -> None:
    left = folder / f".{name}.part"
    assert left.is_dir()
    assert not (folder / name).exists()
    result = encode(folder / "scene.tif", folder / name, **given(name))
    if resumed is None:
        assert result["resumed"] == 7
    else:
        assert result["resumed"] == resumed
    like = {"two": "two", "tiles": "tiles"}.get(name, "windows")
    assert stored_bytes(folder / name) == whole[like]
    assert not left.exists()
    assert not (folder / f".{name}.part.lock").exists()


class Stop(Exception):
    """What a test stops a run with."""


def interrupted(scene: Path, target: Path, units: int, **settings: Any) -> None:
    """Run until so many units are done, then fail."""
    write = Records.write

    def wrote(self: Records, unit: int, levels: Any) -> None:
        write(self, unit, levels)
        if unit + 1 == units:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "write", wrote)
        with pytest.raises(Stop):
            encode(scene, target, **settings)


def test_a_damaged_record_is_done_again(folder: Path, whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    interrupted(folder / "scene.tif", tmp_path / "set", 3, **given("windows"))
    records = tmp_path / ".set.part/run_0.bin"
    stored = bytearray(records.read_bytes())
    stored[-5] ^= 64
    records.write_bytes(stored)
    assert encode(folder / "scene.tif", tmp_path / "set", **given("windows"))["resumed"] == 4
    assert stored_bytes(tmp_path / "set") == whole["windows"]


@pytest.mark.parametrize(
    "changed", [{"components": 8}, {"window": (0, 0, 300, 590)}, {"mode": "fast"}, {"precision": "bf16"}]
)
def test_what_other_settings_left_is_not_used(folder: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    interrupted(folder / "scene.tif", tmp_path / "set", 2, **given("windows"))
    settings = {**given("windows"), **changed}
    assert encode(folder / "scene.tif", tmp_path / "set", **settings)["resumed"] == 0
    encode(folder / "scene.tif", tmp_path / "clean", **settings)
    assert stored_bytes(tmp_path / "set") == stored_bytes(tmp_path / "clean")


def test_a_scene_that_changed_is_begun_anew(tmp_path: Path) -> None:
    values = pixels()
    scene = write_raster(tmp_path / "scene.tif", values, scale="0.0001", level="L1C")
    interrupted(scene, tmp_path / "set", 2, **given("windows"))
    values[:, 300:, :] //= 2
    write_raster(scene, values, scale="0.0001", level="L1C")
    assert encode(scene, tmp_path / "set", **given("windows"))["resumed"] == 0
    assert np.nanmean(decoded(tmp_path / "set")[0][0, 300:]) == pytest.approx(values[1, 300:].mean() / 1e4, rel=0.05)


def test_two_runs_into_one_folder_at_once(folder: Path, whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    """The second comes when the first has done some, and is refused; the first is not disturbed."""
    refused: list[str] = []

    def second(fraction: float, message: str) -> None:
        if fraction > 0.5 and not refused:
            for settings in (given("windows"), {**given("windows"), "components": 3}):
                with pytest.raises(InputError) as caught:
                    encode(folder / "scene.tif", tmp_path / "set", **settings)
                refused.append(str(caught.value))

    encode(folder / "scene.tif", tmp_path / "set", **given("windows"), progress=second)
    sentence = f"Another run is writing {tmp_path / 'set'} now; wait for it or choose another folder."
    assert refused == [sentence] * 2
    assert stored_bytes(tmp_path / "set") == whole["windows"]
