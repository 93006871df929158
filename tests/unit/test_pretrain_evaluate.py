# SPDX-License-Identifier: GPL-2.0-or-later
"""Few-shot scores: they see what is there, they repeat, and the bundled encoder earns its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scene_files import write_raster
from ssl4eo.bands import S2_BANDS
from ssl4eo.encoders import get_card
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.encoder import Encoder
from ssl4eo.errors import InputError
from ssl4eo.pretrain import evaluate_patches
from ssl4eo.pretrain.evaluate import _standardise

# The bands of EuroSAT's files: B8A is the last.
EUROSAT_BANDS = (*(name for name in S2_BANDS if name != "B8A"), "B8A")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    # Patches are so small that threads would only wait for each other.
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Three classes of five patches that differ in their spectrum, so that band statistics tell them apart."""
    folder, rng = tmp_path_factory.mktemp("patches"), np.random.default_rng(0)
    for name in ("crop", "forest", "water"):
        (folder / name).mkdir()
        spectrum = rng.integers(300, 4000, (13, 1, 1))
        for i in range(5):
            values = np.clip(spectrum + rng.normal(0, 60, (13, 32, 32)), 1, None).astype(np.uint16)
            values[S2_BANDS.index("B10")] = 20
            write_raster(folder / name / f"{name}_{i}.tif", values)
    return folder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(7)
    return Encoder(get_card("moco-resnet18w32-s2"), build_network("resnet18w32", 13), "cpu")


def score(result, features, head, shots, table="scores"):
    (row,) = [row for row in result[table] if (row["features"], row["head"], row["shots"]) == (features, head, shots)]
    return row


def test_classes_that_differ_in_spectrum_are_told_apart_by_band_statistics(patches, encoder):
    result = evaluate_patches(patches, encoder, shots=(1, 3), draws=3)
    assert result["classes"] == ["crop", "forest", "water"]
    assert result["patches"] == 15
    for head in ("knn", "logistic"):
        assert score(result, "bands", head, 3)["mean"] == 1.0
    # 2 heads and 2 shots for bands, and for 4 feature sets of the encoder and of the random networks.
    assert len(result["scores"]) == 2 * 2 * 9
    assert len(result["against_random"]) == 2 * 2 * 4


def test_labels_without_meaning_score_at_chance(tmp_path, encoder):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(12):
            write_raster(tmp_path / name / f"{i}.tif", rng.integers(500, 3000, (13, 32, 32)).astype(np.uint16))
    result = evaluate_patches(tmp_path, encoder, shots=(3,), draws=20)
    assert 0.35 < score(result, "encoder pooled", "knn", 3)["mean"] < 0.65
    assert 0.35 < score(result, "bands", "logistic", 3)["mean"] < 0.65


def test_the_seed_fixes_the_scores_and_the_random_state_is_left_alone(patches, encoder):
    torch.manual_seed(3)
    first = evaluate_patches(patches, encoder, shots=(1,), draws=2, seed=4)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    torch.testing.assert_close(torch.rand(2), drawn)
    assert evaluate_patches(patches, encoder, shots=(1,), draws=2, seed=4) == first


def test_every_block_weighs_the_same_and_a_constant_column_nothing():
    block = np.random.default_rng(0).normal(5, 3, (40, 8))
    block[:, 3] = 7.0
    standardised = _standardise(block)
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-12)
    assert (standardised[:, 3] == 0).all()
    assert (standardised**2).sum(axis=1).mean() == pytest.approx(7 / 8)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shots": (5,)}, "The class crop has 5 patches; 5 shots need at least 6"),
        ({"shots": (0,)}, r"20 draws of \[0\] shots make no score"),
        ({"draws": 1}, "1 draws of"),
        ({"folder": "absent"}, "absent is not a folder"),
        ({"encoder": "dino-absent-s2"}, "dino-absent-s2"),
    ],
)
def test_wrong_input_is_refused(patches, encoder, arguments, sentence):
    call = {"folder": patches, "encoder": encoder, "shots": (1,), **arguments}
    with pytest.raises(InputError, match=sentence):
        evaluate_patches(call.pop("folder"), call.pop("encoder"), **call)


def test_a_folder_with_one_class_is_refused(patches, encoder):
    with pytest.raises(InputError, match="has 0 folders with GeoTIFF patches; at least 2 classes"):
        evaluate_patches(patches / "crop", encoder)


def test_unnamed_bands_are_refused(tmp_path, encoder):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            write_raster(tmp_path / name / f"{i}.tif", np.full((13, 32, 32), 900, np.uint16), [])
    with pytest.raises(InputError, match="have no names"):
        evaluate_patches(tmp_path, encoder, shots=(1,))


def test_the_bundled_encoder_beats_random_weights_on_eurosat(shared_data):
    result = evaluate_patches(shared_data / "eurosat", "moco-resnet18w32-s2", bands=EUROSAT_BANDS)
    for features in ("pooled", "levels"):
        for head in ("knn", "logistic"):
            for shots in (1, 5):
                assert score(result, features, head, shots, "against_random")["mean"] > 0
    # Clearly: by more than the standard deviation of the paired difference.
    clear = score(result, "pooled", "logistic", 5, "against_random")
    assert clear["mean"] > clear["sd"]


def test_random_weights_would_not_pass_for_the_bundled_encoder(shared_data, encoder):
    result = evaluate_patches(shared_data / "eurosat", encoder, bands=EUROSAT_BANDS)
    row = score(result, "pooled", "logistic", 5, "against_random")
    assert row["mean"] < row["sd"]
