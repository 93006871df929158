# SPDX-License-Identifier: GPL-2.0-or-later
"""The network works while the components are found, and it shows neither in the bytes nor when that goes wrong."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from encoder_files import random_encoders
from engine_files import BUNDLED, PATCHES, stored_bytes, texture
from scene_files import write_raster
from ssl4eo.encoders.encoder import Encoder
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.features import encode, tiling
from ssl4eo.features.engine import sample
from ssl4eo.features.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES,)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "TILE", 128)
        # The others go through the network in batches.
        patch.setattr(sample, "_TILES", 3)
        yield


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    return write_raster(folder / "s.tif", texture(420, 500), scale="0.0001", level="L1C")


class Late:
    """Fits the components only after the network has run so often since it could be done."""

    def __init__(self, patch: pytest.MonkeyPatch, runs: int) -> None:
        self._fit: Callable[..., Any] = Run._fit
        self.begun, self._enough, self.runs = threading.Event(), threading.Event(), runs
        self._levels = Encoder.levels
        # Only a function becomes a method.
        patch.setattr(Run, "_fit", lambda run, cells: self._late(run, cells))  # noqa: PLW0108
        patch.setattr(Encoder, "levels", lambda encoder, x: self._counted(encoder, x))  # noqa: PLW0108

    def _late(self, run: Run, cells: Any) -> Any:
        self.begun.set()
        assert self._enough.wait(60)
        return self._fit(run, cells)

    def _counted(self, encoder: Encoder, x: Any) -> Any:
        found = self._levels(encoder, x)
        if self.begun.is_set():
            self.runs -= 1
            if self.runs == 0:
                self._enough.set()
        return found


@pytest.mark.parametrize(
    ("encoder", "mode", "runs"), [(PATCHES, "standard", 2), (PATCHES, "fast", 1), (BUNDLED, "standard", 2)]
)
def test_what_was_encoded_before_the_components_were_known_is_the_same(
    scene: Path, tmp_path: Path, encoder: str, mode: str, runs: int
) -> None:
    settings: dict[str, Any] = {"encoder": encoder, "mode": mode, "device": "cpu", "precision": "fp32"}
    encode(scene, tmp_path / "soon", **settings)
    with pytest.MonkeyPatch.context() as patch:
        late = Late(patch, runs)
        encode(scene, tmp_path / "late", **settings)
    assert late.runs <= 0
    assert stored_bytes(tmp_path / "late") == stored_bytes(tmp_path / "soon")


def test_components_that_cannot_be_found_end_the_run(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputError("no components")

    monkeypatch.setattr(Run, "_fit", fail)
    with pytest.raises(InputError, match="no components"):
        encode(scene, tmp_path / "set", encoder=PATCHES, device="cpu", precision="fp32")
    assert not (tmp_path / "set").exists()
    assert not any(thread.name.startswith(("forward", "write")) and thread.is_alive() for thread in ended())


def test_a_cancel_is_heard_while_the_components_are_found(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, heard = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        begun.set()
        assert heard.wait(20)

    def cancel(fraction: float, message: str = "") -> None:
        if begun.is_set() and message == "Finding the components":
            heard.set()
            raise Cancelled("Cancelled.")

    monkeypatch.setattr(Run, "_fit", wait)
    with pytest.raises(Cancelled):
        encode(scene, tmp_path / "set", encoder=PATCHES, device="cpu", precision="fp32", progress=cancel)
    assert list(tmp_path.iterdir()) == []


def ended() -> list[threading.Thread]:
    """Wait for the threads of the engine, and return all that are left."""
    for thread in threading.enumerate():
        if thread.name.startswith(("forward", "read", "write")):
            thread.join(60)
    return threading.enumerate()
