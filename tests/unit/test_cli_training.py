# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo pretrain` and `ssl4eo evaluate` end to end on a small simulated scene, and their wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from ssl4eo.bands import S2_BANDS
from ssl4eo.cli import main, training
from ssl4eo.scenes.simulation import simulate


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    simulate(path, size=320, seed=1)
    return path


@pytest.fixture(scope="module")
def patches(scene: Path) -> Path:
    """Patches of forest and of field, with bands that are not named."""
    folder = scene.parent / "patches"
    with rasterio.open(scene) as dataset, rasterio.open(scene.with_name("scene_classes.tif")) as truth:
        pixels, classes, profile = dataset.read(), truth.read(1), dataset.profile
    profile.update(width=64, height=64, blockxsize=64, blockysize=64)
    corners = [(row, col) for row in range(0, 256, 32) for col in range(0, 256, 32)]
    for name, code in (("forest", 4), ("field", 1)):
        (folder / name).mkdir(parents=True)
        corners.sort(key=lambda at: -(classes[at[0] : at[0] + 64, at[1] : at[1] + 64] == code).mean())
        for number, (row, col) in enumerate(corners[:3]):
            with rasterio.open(folder / name / f"{number}.tif", "w", **profile) as dataset:
                dataset.write(pixels[:, row : row + 64, col : col + 64])
    return folder


def test_pretrain_writes_weights_that_evaluate_reads(
    scene: Path, patches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "w.pth"
    made = run("pretrain", "moco", scene, "--out", weights, "--steps", 2, "--batch", 4, "--device", "cpu", "--json")
    assert made.exit_code == 0, made.stderr
    assert (made.stderr, list(tmp_path.iterdir())) == ("", [weights])
    card = json.loads(made.stdout)
    assert (card["weights"], card["steps"], card["seed"]) == (str(weights), 2, 0)
    arguments = ("evaluate", "patches", patches, "--encoder", weights, "--shots", 1, "--draws", 2)
    names = ("--bands", ",".join(S2_BANDS))
    scored = run(*arguments, *names, "--json")
    assert scored.exit_code == 0, scored.stderr
    assert scored.stderr == ""
    result = json.loads(scored.stdout)
    assert (result["classes"], result["patches"], result["draws"]) == (["field", "forest"], 6, 2)
    capsys.readouterr()
    training._print_scores(result)
    table = capsys.readouterr().out.splitlines()
    for row in result["scores"]:
        cells = [row["features"], row["head"], "1", f"{row['mean']:.1%} +- {row['sd']:.1%}"]
        assert any(line.split() == " ".join(cells).split() for line in table), cells


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["pretrain", "magic", "{scene}", "--out", "{out}"], "magic"),
        (["pretrain", "moco", "{scene}", "--out", "{out}", "--steps", "0"], "0 steps"),
        (["pretrain", "moco", "{scene}", "--out", "{out}", "--device", "abacus"], "abacus"),
        (["pretrain", "moco", "{none}", "--out", "{out}"], "none.tif"),
        (["pretrain", "moco", "{scene}"], "--out"),
        (["pretrain", "moco", "--out", "{out}"], "SCENE"),
        (["pretrain", "moco", "{scene}", "--out", "{out}", "--bands", "B02,B99"], "B99"),
        (["evaluate", "patches", "{none}"], "none.tif"),
        (["evaluate", "patches", "{patches}", "--shots", "9"], "9 shots"),
        (["evaluate", "patches", "{patches}", "--draws", "0"], "0 draws"),
        (["evaluate", "patches", "{patches}", "--encoder", "magic"], "magic"),
    ],
)
def test_wrong_input_is_one_sentence(
    scene: Path, patches: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    known = {"scene": scene, "patches": patches, "none": tmp_path / "none.tif", "out": tmp_path / "w.pth"}
    result = run(*(argument.format(**known) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert word in last
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_subcommand_takes_debug_too(tmp_path: Path) -> None:
    result = run("evaluate", "patches", tmp_path / "none", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_patches_are_what_their_folders_say(patches: Path) -> None:
    infrared = {}
    for name in ("forest", "field"):
        with rasterio.open(patches / name / "0.tif") as dataset:
            infrared[name] = np.median(dataset.read(S2_BANDS.index("B08") + 1))
    assert infrared["forest"] < infrared["field"]
