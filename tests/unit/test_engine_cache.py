# SPDX-License-Identifier: GPL-2.0-or-later
"""The same is not made twice, and nothing else is taken for the same."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ssl4eo.encoders.encoder
from encoder_files import random_encoders
from engine_files import BUNDLED, PATCHES, RELATIVE, texture
from scene_files import write_raster
from ssl4eo.errors import InputError
from ssl4eo.features import Addition, FeatureSet, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS: dict[str, Any] = {"encoder": PATCHES, "mode": "fast", "device": "cpu", "precision": "fp32", "components": 5}


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES, RELATIVE)):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene and a feature set of it."""
    folder = tmp_path_factory.mktemp("cache")
    write_raster(folder / "s.tif", texture(90, 110), scale="0.0001", level="L1C")
    encode(folder / "s.tif", folder / "set", **SETTINGS)
    return folder


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that no encoder is loaded: whoever tries fails."""

    def load(*arguments: object) -> None:
        raise InputError("an encoder is loaded")

    monkeypatch.setattr(ssl4eo.encoders.encoder, "load_encoder", load)


def test_the_same_again_is_no_work(folder: Path, idle: None) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "set").iterdir()}
    result = encode(folder / "s.tif", folder / "set", **SETTINGS)
    assert (result["cached"], result["resumed"], result["features"]) == (True, 0, str(folder / "set"))
    assert (result["mode"], result["components"], result["windows"]) == ("fast", 5, 1)
    assert [level["components"] for level in result["levels"][2:]] == [5] * 4
    assert {path: path.stat().st_mtime_ns for path in (folder / "set").iterdir()} == before
    # What decides nothing may differ.
    assert encode(folder / "s.tif", folder / "set", **{**SETTINGS, "device": "auto"})["cached"]
    assert encode(folder / "s.tif", folder / "set", **SETTINGS, window=(0, 0, 110, 90))["cached"]


def test_a_set_beside_is_taken_when_asked(folder: Path, idle: None) -> None:
    result = encode(folder / "s.tif", folder / "other", **SETTINGS, reuse=True)
    assert (result["cached"], result["features"]) == (True, str(folder / "set"))
    with pytest.raises(InputError, match="an encoder is loaded"):
        encode(folder / "s.tif", folder / "other", **SETTINGS)
    assert sorted(path.name for path in folder.iterdir()) == ["s.tif", "set"]


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "standard"}, {"components": 4}, {"components": "full"}, {"encoder": RELATIVE}, {"encoder": BUNDLED},
        {"precision": "bf16"}, {"window": (0, 0, 110, 89)}, {"window": (1, 0, 109, 90)}, {"level": "L2A"},
        {"offset": -1000.0}, {"scale": 0.0002}, {"nodata": 1500.0}, {"add": [Addition(RELATIVE)]},
        {"projection": "set"},
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_is_not_the_same(folder: Path, idle: None, changed: dict[str, Any]) -> None:
    settings = {**SETTINGS, "mode": "fast", **changed}
    if settings["encoder"] == BUNDLED:
        settings["mode"] = "standard"
    if "projection" in settings:
        settings["projection"] = folder / "set"
    with pytest.raises(InputError, match="an encoder is loaded"):
        encode(folder / "s.tif", folder / "other", **settings, reuse=True)
    with pytest.raises(InputError, match="set exists already; choose a new folder or remove it first"):
        encode(folder / "s.tif", folder / "set", **settings)
    assert sorted(path.name for path in folder.iterdir()) == ["s.tif", "set"]


def test_a_scene_that_was_written_anew_is_another(folder: Path, idle: None, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, tmp_path / path.name)
    assert encode(tmp_path / "s.tif", tmp_path / "other", **SETTINGS, reuse=True)["cached"]
    status = (tmp_path / "s.tif").stat()
    os.utime(tmp_path / "s.tif", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(InputError, match="an encoder is loaded"):
        encode(tmp_path / "s.tif", tmp_path / "other", **SETTINGS, reuse=True)


def test_other_weights_of_an_encoder_are_others(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with random_encoders(tmp_path, (RELATIVE, PATCHES)):

        def load(*arguments: object) -> None:
            raise InputError("an encoder is loaded")

        monkeypatch.setattr(ssl4eo.encoders.encoder, "load_encoder", load)
        with pytest.raises(InputError, match="an encoder is loaded"):
            encode(folder / "s.tif", folder / "other", **SETTINGS, reuse=True)
        with pytest.raises(
            InputError, match=r"set was made with other weights of dino-vits16-s2 \(sha256 [0-9a-f]{12}"
        ):
            encode(folder / "s.tif", folder / "other", **SETTINGS, projection=folder / "set")


@pytest.mark.parametrize("harm", ["a level", "item.json", "the key", "unfinished"])
def test_a_set_that_is_not_whole_is_not_taken(folder: Path, idle: None, tmp_path: Path, harm: str) -> None:
    target = tmp_path / (".set.part" if harm == "unfinished" else "set")
    shutil.copytree(folder / "set", target)
    if harm == "a level":
        (target / "level_3.tif").unlink()
    elif harm == "item.json":
        (target / "item.json").write_text("{")
    elif harm == "the key":
        item = json.loads((target / "item.json").read_text())
        item["properties"]["ssl4eo:key"] = None
        (target / "item.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match="an encoder is loaded"):
        encode(folder / "s.tif", tmp_path / "other", **SETTINGS, reuse=True)


def test_a_projection_makes_scenes_comparable(folder: Path, tmp_path: Path) -> None:
    """The same place in another scene gets the same values, though the scene as a whole is another."""
    values = texture(90, 224, seed=5)
    values[:, :, :110] = texture(90, 110)
    path = write_raster(tmp_path / "wide.tif", values, scale="0.0001", level="L1C")
    result = encode(path, tmp_path / "wide", **{**SETTINGS, "components": 64}, projection=folder / "set")
    assert [level["components"] for level in result["levels"][2:]] == [5] * 4
    stored = [np.load(place / "projection.npz") for place in (folder / "set", tmp_path / "wide")]
    for name in stored[0]:
        np.testing.assert_array_equal(stored[0][name], stored[1][name])
    assert result["components"] == 5
    assert FeatureSet.open(tmp_path / "wide").item["properties"]["ssl4eo:projection_of"] == str(folder / "set")


def test_projections_that_cannot_be_taken(folder: Path, tmp_path: Path, idle: None) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"encoder": RELATIVE}, "set was made by dino-vits16-s2 and has no projection for data2vec-vits16-s2; take a"),
        ({"mode": "standard"}, "set was made in the mode fast, whose projection is not for standard"),
        ({"projection": tmp_path / "gone"}, "gone does not exist; encode a scene first"),
    ]
    for changed, words in cases:
        with pytest.raises(InputError, match=words):
            encode(folder / "s.tif", tmp_path / "new", **{**SETTINGS, "projection": folder / "set", **changed})
    shutil.copytree(folder / "set", tmp_path / "torn")
    stored = (tmp_path / "torn/projection.npz").read_bytes()
    for content in (b"", stored[:200], b"PK" + stored[400:]):
        (tmp_path / "torn/projection.npz").write_bytes(content)
        with pytest.raises(
            InputError, match=r"The projection of .*torn cannot be read \(.*\); take another feature set"
        ):
            encode(folder / "s.tif", tmp_path / "new", **SETTINGS, projection=tmp_path / "torn")
    assert [path.name for path in tmp_path.iterdir()] == ["torn"]
