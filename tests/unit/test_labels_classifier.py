# SPDX-License-Identifier: GPL-2.0-or-later
"""A saved classifier: the same map from its file, and refused where the features mean something else."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_files import cover, pixel_point, write_features, write_samples
from ssl4eo.errors import InputError
from ssl4eo.features import FeatureSet
from ssl4eo.features.item import PROJECTION_FILE
from ssl4eo.features.store import ITEM
from ssl4eo.grid import Window
from ssl4eo.labels.heads.classifier import Classifier, load_classifier, save_classifier
from ssl4eo.labels.heads.nonlinear import fit_nonlinear, window_probabilities
from ssl4eo.labels.heads.selection import Fitted, fit_head
from ssl4eo.labels.mapping.predict import predict_window
from ssl4eo.labels.samples import read_samples
from ssl4eo.labels.training import LevelScaling, Training, level_scalings, training_pixels

SIDE = 96
WHOLE = Window(0, 0, SIDE, SIDE)


def _scene(
    folder: Path, seed: int = 0, *, nodata: bool = False, bands: int = 3, strides: tuple[int, ...] = (8,)
) -> Path:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(bands, SIDE, SIDE)).astype(np.float32)
    pixels[0] = cover(SIDE, SIDE, 16) + 0.1 * pixels[0]
    if nodata:
        pixels[:, :10] = np.nan
    write_features(folder, pixels, dict.fromkeys(strides, 4))
    level = len(strides) + 1
    projections = {f"{name}_{level}": np.arange(4.0, dtype=np.float32) for name in ("mean", "components", "variance")}
    np.savez(folder / PROJECTION_FILE, allow_pickle=False, **projections)
    _edit(folder, lambda properties: None)
    return folder


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Give the set what `encode` writes of encoders and scenes, and then what a test changes."""
    item = json.loads((folder / ITEM).read_text())
    properties = item["properties"]
    properties.setdefault("ssl4eo:encoders", [{"id": "test", "weights_sha256": "a" * 64, "mode": "standard"}])
    properties.setdefault("ssl4eo:scenes", [{"sensor": "S2", "level": "L1C"}])
    change(properties)
    (folder / ITEM).write_text(json.dumps(item))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    return FeatureSet.open(_scene(tmp_path_factory.mktemp("scene") / "set", nodata=True))


@pytest.fixture(scope="module")
def learnt(scene: FeatureSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Training, list[LevelScaling]]:
    places = [(col, row) for row in range(24, SIDE, 16) for col in range(8, SIDE, 16)]
    names = [["field", "wood"][cover(SIDE, SIDE, 16)[row, col]] for col, row in places]
    path = write_samples(
        tmp_path_factory.mktemp("samples") / "s.gpkg", [pixel_point(*place) for place in places], names
    )
    scalings = level_scalings(scene)
    training = training_pixels(scene, read_samples(path, scene.crs), scalings)
    return fit_head(training, scalings, [level.stride for level in scene.levels]), training, scalings


@pytest.fixture(scope="module")
def saved(scene: FeatureSet, learnt: tuple[Fitted, Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    fitted = learnt[0]
    colors = {"field": "#ffcc00", "wood": "#006400"}
    classifier = Classifier(fitted.head, fitted.head.names, colors, fitted.temperature, {"samples": 25})
    return save_classifier(tmp_path_factory.mktemp("saved") / "crops.ssl4eo", classifier, scene)


def test_what_comes_back_makes_the_same_map(scene: FeatureSet, learnt: tuple[Fitted, Any, Any], saved: Path) -> None:
    assert saved.name == "crops.ssl4eo"
    found = load_classifier(saved, scene)
    assert found.names == ("field", "wood")
    assert found.colors == {"field": "#ffcc00", "wood": "#006400"}
    assert found.temperature == learnt[0].temperature
    assert found.settings == {"samples": 25}
    np.testing.assert_array_equal(
        predict_window(scene, found.head, WHOLE), predict_window(scene, learnt[0].head, WHOLE)
    )


def test_another_scene_with_the_same_meaning_is_mapped(saved: Path, tmp_path: Path) -> None:
    """Its bytes are rounded in another way, as its values are others."""
    other = FeatureSet.open(_scene(tmp_path / "set", seed=7))
    codes = predict_window(other, load_classifier(saved, other).head, WHOLE)
    assert (codes == cover(SIDE, SIDE, 16) + 1).mean() > 0.95


def _other_projection(folder: Path) -> None:
    stored = dict(np.load(folder / PROJECTION_FILE))
    stored["components_2"] = stored["components_2"] + 1
    np.savez(folder / PROJECTION_FILE, allow_pickle=False, **stored)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["ssl4eo:encoders"][0].update(id="dino"), "the encoder is test there and dino here"),
        (
            lambda p: p["ssl4eo:encoders"][0].update(weights_sha256="b" * 64),
            "weights of test .* aaaaaaaaaaaa there and bbb",
        ),
        (lambda p: p["ssl4eo:encoders"][0].update(mode="fast"), "the mode of test is standard there and fast here"),
        (lambda p: p["ssl4eo:scenes"][0].update(level="L2A"), "processing level is L1C there and L2A here"),
        (lambda p: p["ssl4eo:scenes"][0].update(sensor="S1"), "the sensor is S2 there and S1 here"),
        (lambda p: p["ssl4eo:scenes"].append({"sensor": "S1", "level": "GRD"}), "number of scenes is 1 there and 2"),
        (lambda p: p["ssl4eo:levels"][2].update(stride=16), "the stride of level 2 is 8 there and 16 here"),
    ],
)
def test_features_of_another_kind_are_refused(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    folder = _scene(tmp_path / "set")
    _edit(folder, change)
    with pytest.raises(InputError, match=words):
        load_classifier(saved, FeatureSet.open(folder))


def test_another_projection_bands_or_levels_are_refused(saved: Path, tmp_path: Path) -> None:
    other = _scene(tmp_path / "projection")
    _other_projection(other)
    with pytest.raises(InputError, match=r"the projection of level 2 .*encode --projection FEATURES"):
        load_classifier(saved, FeatureSet.open(other))
    more = _scene(tmp_path / "bands", bands=4)
    with pytest.raises(InputError, match="the components of level 0 are no such ones there and c3 here; take scenes"):
        load_classifier(saved, FeatureSet.open(more))
    deeper = _scene(tmp_path / "levels", strides=(8, 16))
    with pytest.raises(InputError, match="the number of levels is 3 there and 4 here"):
        load_classifier(saved, FeatureSet.open(deeper))


def _rewrite(saved: Path, path: Path, **changes: Any) -> Path:
    """Copy the file with other arrays; a changed `about` is given as a dictionary of changes."""
    with np.load(saved) as stored:
        arrays = dict(stored)
    about = {**json.loads(arrays["about"].tobytes()), **changes.pop("about", {})}
    arrays.update(changes, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"about": {"format": 2}}, "of format 2, and this version reads 1"),
        ({"about": {"temperature": 0}}, "temperature is 0"),
        ({"about": {"used": "yes"}}, "is not a classifier that can be read"),
        ({"bias": np.zeros(3, np.float32)}, "bias or a shift"),
        ({"bias": np.full(2, np.nan, np.float32)}, "bias or a shift"),
        ({"weights_0": np.zeros((2, 2), np.float32)}, "level 0 has weights of another shape"),
        ({"weights_0": np.full((2, 3), np.inf, np.float32)}, "weights of level 0"),
    ],
)
def test_a_damaged_classifier_is_one_sentence(
    scene: FeatureSet, saved: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load_classifier(_rewrite(saved, tmp_path / "c.npz", **changes), scene)


def test_what_is_no_classifier_is_one_sentence(scene: FeatureSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_classifier(tmp_path / "none.npz", scene)
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match="is not a classifier that can be read"):
        load_classifier(tmp_path / "a.npz", scene)


def test_nothing_in_the_file_is_run(scene: FeatureSet, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "a.npz", allow_pickle=True, about=np.array([Trap()], object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(InputError, match="is not a classifier that can be read"):
            load_classifier(tmp_path / name, scene)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("method", ["knn", "forest"])
def test_heads_that_are_not_linear_map_too(
    scene: FeatureSet, learnt: tuple[Fitted, Training, list[LevelScaling]], method: str
) -> None:
    fitted, training, scalings = learnt
    head = fit_nonlinear(training, scalings, fitted.scales, method)
    found = window_probabilities(scene, head, WHOLE)
    assert found.shape == (2, SIDE, SIDE)
    assert np.isnan(found[:, :10]).all()
    np.testing.assert_allclose(found[:, 10:].sum(axis=0), 1, atol=1e-5)
    assert (found[:, 10:].argmax(axis=0) == cover(SIDE, SIDE, 16)[10:]).mean() > 0.85
    # A part of the scene is answered as the whole is.
    part = window_probabilities(scene, head, Window(33, 17, 20, 30))
    np.testing.assert_allclose(part, found[:, 17:47, 33:53], atol=1e-5)


def test_all_levels_take_part_where_their_scale_says_so(
    scene: FeatureSet, learnt: tuple[Fitted, Training, list[LevelScaling]]
) -> None:
    _, training, scalings = learnt
    counts = [
        fit_nonlinear(training, scalings, scales, "knn").model.n_features_in_ for scales in ((1, 1, 0), (1, 1, 1))
    ]
    assert counts[1] - counts[0] == 4
    head = fit_nonlinear(training, scalings, (1, 1, 0.5), "knn")
    assert np.isfinite(window_probabilities(scene, head, Window(0, 20, 30, 30))).all()
    with pytest.raises(InputError, match="no head 'tree' of this kind; choose one of: knn, forest"):
        fit_nonlinear(training, scalings, (1, 1, 0), "tree")
