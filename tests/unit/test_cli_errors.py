# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line on wrong input: one sentence on standard error, the exit code of the design, nothing written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from rasterio.errors import NotGeoreferencedWarning
from ssl4eo import __version__
from ssl4eo.cli import main
from ssl4eo.scenes.simulation import simulate


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    simulate(path, size=128)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    profile = {"driver": "PNG", "width": 8, "height": 8, "count": 3, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(np.zeros((3, 8, 8), np.uint8))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def error(result: Result, exit_code: int = 2) -> str:
    """Return the error sentence, after checking that nothing else came out."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert last.endswith(".")
    return last


def test_version() -> None:
    assert run("--version").stdout.strip() == __version__


def test_help_lists_every_command() -> None:
    listed = run("--help").stdout
    for name in ("models", "inspect", "encode", "classify", "serve", "simulate", "pretrain", "evaluate"):
        assert f"\n  {name} " in listed


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--window", "0,0,512", "COL,ROW,W,H"),
        ("--window", "0,0,5.5,5", "COL,ROW,W,H"),
        ("--window", "a,b,c,d", "COL,ROW,W,H"),
        ("--bbox", "1,2,3", "XMIN,YMIN,XMAX,YMAX"),
        ("--bbox", "1,2,3,nan", "XMIN,YMIN,XMAX,YMAX"),
        ("--bands", "B02", "NUMBER=NAME"),
        ("--bands", "0=B02", "NUMBER=NAME"),
        ("--bands", "1=B99", "B99"),
        ("--bands", "1=B02,1=B03", "twice"),
        ("--scale", "ten", "ten"),
    ],
)
def test_an_option_that_cannot_be_read_is_a_usage_error(tmp_path: Path, option: str, value: str, word: str) -> None:
    sentence = error(run("encode", "scene.tif", tmp_path / "out", option, value))
    assert word in sentence
    assert option in sentence


def test_window_and_bbox_together_are_a_usage_error(tmp_path: Path) -> None:
    assert "one of them" in error(run("encode", "s.tif", tmp_path / "o", "--window", "0,0,8,8", "--bbox", "0,0,1,1"))


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("command", [["inspect"], ["encode", "--window", "0,0,64,64"]])
def test_a_missing_file_is_said(tmp_path: Path, command: list[str], as_json: list[str]) -> None:
    target = [tmp_path / "out"] if command[0] == "encode" else []
    sentence = error(run(command[0], tmp_path / "none.tif", *target, *command[1:], *as_json))
    assert str(tmp_path / "none.tif") in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_raster_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("not a raster")
    assert "text.tif" in error(run("inspect", tmp_path / "text.tif"))


def test_a_photo_cannot_be_encoded(tmp_path: Path, photo: Path) -> None:
    error(run("encode", photo, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--window", "1000,1000,64,64"], "outside"),
        (["--window", "0,0,0,64"], "empty"),
        (["--bbox", "0,0,10,10"], "outside"),
        (["--bbox", "399960,5800020,399960,5800020"], "empty"),
        (["--encoder", "no-such-encoder"], "no-such-encoder"),
        (["--device", "abacus"], "abacus"),
        (["--precision", "fp7"], "fp7"),
        (["--bands", "99=B02"], "99"),
    ],
)
def test_what_cannot_be_encoded_is_said(tmp_path: Path, scene: Path, options: list[str], word: str) -> None:
    assert word in error(run("encode", scene, tmp_path / "out", *options))
    assert list(tmp_path.iterdir()) == []


def test_simulate_says_what_it_cannot_do(tmp_path: Path) -> None:
    assert "5" in error(run("simulate", tmp_path / "s.tif", "--size", "5"))
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_fault_is_one_sentence_and_a_traceback_only_with_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("ssl4eo.scenes.simulation.simulate", fault)
    sentence = error(run("simulate", tmp_path / "s.tif"), exit_code=1)
    assert "ZeroDivisionError" in sentence
    assert "--debug" in sentence
    for arguments in (("--debug", "simulate", tmp_path / "s.tif"), ("simulate", tmp_path / "s.tif", "--debug")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "Traceback" in result.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    assert "no-such-command" in error(run("no-such-command"))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full, which is always full, here")
def test_a_full_disk_at_output_time_is_no_traceback() -> None:
    # Buffered as in a user's shell: what is left in the buffer fails once more when Python ends.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "ssl4eo", "models", "--json"],
            env=buffered,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl4eo", "simulate", str(tmp_path / "s.tif"), "--size", "1024"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        # The first line of progress: the temporary files are open.
        assert process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    assert out == ""
    assert err.splitlines()[-1].startswith("Error: Cancelled")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_object_and_progress_stays_silent(tmp_path: Path) -> None:
    result = run("simulate", tmp_path / "s.tif", "--size", "128", "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1
    assert json.loads(result.stdout)["scene"] == str(tmp_path / "s.tif")


def test_without_json_progress_is_lines_and_the_result_is_readable(tmp_path: Path) -> None:
    result = run("simulate", tmp_path / "s.tif", "--size", "128")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1].split()[0] == "100%"
    assert "\r" not in result.stderr
    assert "Simulated scene" in result.stdout


def test_models_and_inspect_print_what_they_say_in_json(scene: Path) -> None:
    models = json.loads(run("models", "--json").stdout)["models"]
    assert "moco-resnet18w32-s2" in [model["id"] for model in models]
    assert "moco-resnet18w32-s2" in run("models").stdout
    info = json.loads(run("inspect", scene, "--json").stdout)
    assert (info["sensor"], info["level"], len(info["bands"])) == ("S2", "L1C", 13)
    assert "S2 L1C" in run("inspect", scene).stdout


def test_the_light_commands_import_no_torch() -> None:
    code = (
        "import sys\nfrom ssl4eo.cli import main\n"
        "main(['models', '--json'], standalone_mode=False)\n"
        "print([m for m in ('torch', 'timm', 'sklearn', 'rasterio', 'fastapi') if m in sys.modules], file=sys.stderr)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stderr.strip() == "[]"
