# SPDX-License-Identifier: GPL-2.0-or-later
"""A cancel is heard at once, whatever is under way, and memory that runs out makes batches smaller."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from encoder_files import random_encoders
from engine_files import PATCHES, decoded, stored_bytes, texture
from scene_files import write_raster
from ssl4eo.encoders.encoder import Encoder
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.features import FeatureSet, encode
from ssl4eo.features.engine import sample
from ssl4eo.features.engine.records import Records
from ssl4eo.features.levelfile import LevelFile
from ssl4eo.scenes.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SETTINGS: dict[str, Any] = {"encoder": PATCHES, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES,)), pytest.MonkeyPatch.context() as patch:
        # The others go through the network in batches.
        patch.setattr(sample, "_TILES", 3)
        yield


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rows of four windows."""
    folder = tmp_path_factory.mktemp("scene")
    return write_raster(folder / "s.tif", texture(600, 500), scale="0.0001", level="L1C")


@pytest.fixture(scope="module")
def whole(scene: Path) -> Path:
    target = scene.parent / "whole"
    encode(scene, target, **SETTINGS)
    return target


class Stuck:
    """Lets a method of the engine hang in its thread once it was called so many times, until it is let go."""

    def __init__(self, method: Callable[..., Any], after: int) -> None:
        self._method, self._left = method, after
        self.hangs, self._go = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            self.hangs.set()
            assert self._go.wait(60)
        return self._method(*arguments, **named)

    def cancel(self, *_: object) -> None:
        if self.hangs.is_set():
            raise Cancelled("Cancelled.")

    def let_go(self) -> None:
        """Let it go on, and wait until the threads of the engine are gone."""
        self._go.set()
        for thread in threading.enumerate():
            if thread.name.startswith(("forward", "read", "write")):
                thread.join(60)
                assert not thread.is_alive()


# Three windows are looked at first, one by one.
@pytest.mark.parametrize(("of", "name", "after"), [(Encoder, "levels", 1), (Encoder, "levels", 5), (Scene, "read", 7)])
def test_a_cancel_does_not_wait_for_what_is_under_way(
    scene: Path, whole: Path, tmp_path: Path, of: type, name: str, after: int
) -> None:
    stuck = Stuck(getattr(of, name), after)
    with pytest.MonkeyPatch.context() as patch:
        # Only a function becomes a method.
        patch.setattr(of, name, lambda *arguments, **named: stuck(*arguments, **named))  # noqa: PLW0108
        with pytest.raises(Cancelled):
            encode(scene, tmp_path / "set", **SETTINGS, progress=stuck.cancel)
        # The network, or the disk, still hangs; nothing is left of the run.
        assert list(tmp_path.iterdir()) == []
        stuck.let_go()
    assert encode(scene, tmp_path / "set", **SETTINGS)["resumed"] == 0
    assert stored_bytes(tmp_path / "set") == stored_bytes(whole)


def test_a_cancel_does_not_wait_for_all_that_is_to_be_written(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on with much begins by writing much; files are closed when nobody writes into them."""
    store = Records.write

    def stored(self: Records, unit: int, levels: Any) -> None:
        store(self, unit, levels)
        if unit == 4:
            raise InputError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "write", stored)
        with pytest.raises(InputError, match="what is done so far is kept"):
            encode(scene, tmp_path / "set", **SETTINGS)
    write, leave = LevelFile.write, LevelFile.__exit__
    writing, begun, asked = threading.Lock(), threading.Event(), threading.Event()
    written: list[bool] = []

    def wrote(self: LevelFile, *arguments: Any) -> None:
        with writing:
            begun.set()
            assert asked.wait(60)
            written.append(asked.is_set())
            write(self, *arguments)

    def left(self: LevelFile, *arguments: Any) -> None:
        assert not writing.locked()
        leave(self, *arguments)

    def cancel(fraction: float, message: str = "") -> None:
        if begun.is_set():
            asked.set()
            raise Cancelled("Cancelled.")

    monkeypatch.setattr(LevelFile, "write", wrote)
    monkeypatch.setattr(LevelFile, "__exit__", left)
    with pytest.raises(Cancelled):
        encode(scene, tmp_path / "set", **SETTINGS, progress=cancel)
    # Of two rows of blocks of six levels the one that was under way, and perhaps one that was begun with it.
    assert 1 <= len(written) <= 2
    assert list(tmp_path.iterdir()) == []


def limited(most: int, error: Exception) -> Callable[..., Any]:
    levels = Encoder.levels

    def run(self: Encoder, x: torch.Tensor) -> list[torch.Tensor]:
        if len(x) > most:
            raise error
        return levels(self, x)

    return run


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory: ...")],
)
def test_a_batch_that_the_memory_does_not_hold_is_halved(
    scene: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Encoder, "levels", limited(1, error))
    encode(scene, tmp_path / "set", **SETTINGS)
    sets = FeatureSet.open(whole).levels, FeatureSet.open(tmp_path / "set").levels
    for one, other, a, b in zip(*sets, decoded(whole), decoded(tmp_path / "set"), strict=True):
        # Another batch may change the last bit of a feature.
        np.testing.assert_array_equal(one.scale, other.scale)
        assert np.nanmax(np.abs(a - b) / one.scale[:, None, None]) < 1.01


def test_what_does_not_fit_one_by_one_is_refused(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoder, "levels", limited(0, torch.OutOfMemoryError("CUDA out of memory.")))
    sentence = (
        r"^The memory of the device cpu is too small for dino-vits16-s2 with one tile of 224 x 224 pixels; "
        r"choose a smaller encoder, or close what else uses that memory\.$"
    )
    with pytest.raises(InputError, match=sentence):
        encode(scene, tmp_path / "set", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_the_network_is_not_taken_for_memory(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "levels", limited(0, RuntimeError("The size of tensor a must match")))
    with pytest.raises(RuntimeError, match="size of tensor a"):
        encode(scene, tmp_path / "set", **SETTINGS)
