# SPDX-License-Identifier: GPL-2.0-or-later
"""Pre-training end to end on a tiny scene: it learns, it repeats, it stops cleanly, its file loads."""

from __future__ import annotations

import pytest
import torch
from scene_files import landscape, write_raster
from ssl4eo.encoders import load_checkpoint
from ssl4eo.encoders.architecture import build_network
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.pretrain import pretrain
from ssl4eo.pretrain.train import attribution


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    # Batches are so small that threads would only wait for each other.
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_raster(tmp_path_factory.mktemp("scene") / "S2A_20200102T101010.tif", landscape())


@pytest.fixture(scope="module")
def trained(scene):
    out = scene.parent / "trained.pth"
    return pretrain("moco", [scene], out, steps=6, batch=8, device="cpu"), out


def test_progress_runs_to_one_and_tells_the_loss(scene, tmp_path):
    told = []
    pretrain(
        "moco",
        [scene],
        tmp_path / "a.pth",
        steps=3,
        batch=4,
        device="cpu",
        progress=lambda f, m="": told.append((f, m)),
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert told[-1][1].startswith("Step 3 of 3, loss ")


def test_the_file_holds_the_backbone_alone_and_its_card(trained):
    result, out = trained
    document = torch.load(out, weights_only=True)
    assert set(document) == {"state_dict", "card"}
    assert set(document["state_dict"]) == set(build_network("resnet18w32", 13).state_dict())
    assert out.stat().st_size <= 12e6
    card = document["card"]
    assert card["method"] == "moco"
    assert (card["steps"], card["batch"], card["crops"], card["seed"]) == (6, 8, 48, 0)
    assert card["scenes"][0]["date"] == "2020-01-02"
    assert card["attribution"] == "Contains modified Copernicus Sentinel data [2020]"
    assert card["software"]["torch"] == str(torch.__version__)
    assert result["weights"] == str(out)
    assert result["seconds"] == card["seconds"] > 0


def test_the_file_loads_as_an_encoder_that_differs_from_its_start(trained):
    encoder = load_checkpoint(trained[1])
    torch.manual_seed(0)
    start = build_network("resnet18w32", 13)
    assert encoder.card.training["method"] == "moco"
    assert not torch.allclose(encoder.network.conv1.weight, start.conv1.weight, atol=1e-3)
    assert encoder.network.bn1.num_batches_tracked > 0
    assert encoder.pooled(encoder.normalise(torch.rand(1, 13, 64, 64))).shape == (1, 256)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(scene, tmp_path):
    def weights(name, seed):
        pretrain("moco", [scene], tmp_path / name, steps=3, batch=4, seed=seed, device="cpu")
        return torch.load(tmp_path / name, weights_only=True)["state_dict"]

    first, again, other = weights("a.pth", 1), weights("b.pth", 1), weights("c.pth", 2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_pretraining_leaves_the_random_state_of_the_caller_alone(scene, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pretrain("moco", [scene], tmp_path / "a.pth", steps=1, batch=4, device="cpu")
    torch.testing.assert_close(torch.rand(3), expected)


def test_cancel_leaves_no_file(scene, tmp_path):
    def cancel(fraction, message=""):
        if message.startswith("Step 2"):
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        pretrain("moco", [scene], tmp_path / "a.pth", steps=5, batch=4, device="cpu", progress=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "dino"}, "no pre-training method 'dino' here; choose one of: moco"),
        ({"steps": 0}, "0 steps train nothing"),
        ({"batch": 7}, "A batch of 7 does not fit"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"scenes": []}, "No scene was given"),
        ({"scenes": ["absent.tif"]}, r"absent\.tif does not exist"),
        ({"seed": -1}, "The seed -1"),
    ],
)
def test_wrong_input_is_refused_and_leaves_no_file(scene, tmp_path, arguments, sentence):
    call = {"method": "moco", "scenes": [scene], "steps": 1, "batch": 4, "device": "cpu", **arguments}
    with pytest.raises(InputError, match=sentence):
        pretrain(out=tmp_path / "a.pth", **call)
    assert list(tmp_path.iterdir()) == []


def test_the_attribution_names_the_years_and_what_is_unknown():
    records = [{"date": "2017-02-16"}, {"date": "2020-10-02"}, {"date": None}]
    assert attribution(records) == (
        "Contains modified Copernicus Sentinel data [2017-2020] (1 of 3 scenes of unknown date)"
    )
    assert attribution([{"date": None}]) == "Contains modified Copernicus Sentinel data (1 of 1 scenes of unknown date)"
