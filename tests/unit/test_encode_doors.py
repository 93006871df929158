# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line and the service hand to `encode`, and what the command line says of its answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ssl4eo.features
from click.testing import CliRunner, Result
from ssl4eo.cli import main
from ssl4eo.errors import InputError
from ssl4eo.jobs import no_progress
from ssl4eo.scenes.simulation import simulate
from ssl4eo.service.kinds import EncodeJob

ANSWER: dict[str, Any] = {
    "features": "out",
    "encoder": "moco-vits16-s2",
    "encoders": ["moco-vits16-s2", "mae-vits16-s1"],
    "mode": "fast",
    "components": 32,
    "device": "cpu",
    "device_reason": "no GPU was found",
    "precision": "bf16",
    "precision_reason": "this processor multiplies bf16",
    "batch": 8,
    "windows": 484,
    "seconds": 12.34,
    "peak_memory_mb": 512.4,
    "levels": [{"components": 15, "stride": 1}, {"components": 32, "stride": 16}],
    "warnings": [],
    "cached": False,
    "resumed": 0,
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Let `encode` give an answer at once; returns what it is asked with."""

    def answer(**changes: Any) -> dict[str, Any]:
        asked: dict[str, Any] = {}

        def encode(scene: str, out_dir: str, **options: Any) -> dict[str, Any]:
            asked.update(options, scene=scene, out_dir=out_dir)
            return {**ANSWER, **changes}

        monkeypatch.setattr(ssl4eo.features, "encode", encode)
        return asked

    return answer


def over_http(**params: Any) -> None:
    body = {"kind": "encode", "params": {"scene": "scene.tif", "out": "out", **params}}
    EncodeJob.model_validate(body).run(no_progress)


def test_both_doors_hand_on_the_same(answer: Callable[..., dict[str, Any]]) -> None:
    asked = answer()
    chosen = ("--mode", "fast", "--components", "full", "--projection", "other", "--reuse", "--json")
    made = run("encode", "scene.tif", "out", *chosen)
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout) == ANSWER
    by_command_line = dict(asked)
    over_http(mode="fast", components="full", projection="other", reuse=True)
    for name, value in {"mode": "fast", "components": "full", "projection": "other", "reuse": True}.items():
        assert by_command_line[name] == asked[name] == value


def test_what_is_not_said_is_what_encode_takes_by_itself(answer: Callable[..., dict[str, Any]]) -> None:
    defaults = inspect.signature(ssl4eo.features.encode).parameters
    asked = answer()
    for ask in (lambda: run("encode", "scene.tif", "out", "--json"), over_http):
        asked.clear()
        ask()
        for name in ("encoder", "mode", "components", "projection", "reuse", "device", "precision", "window", "bbox"):
            assert asked[name] == defaults[name].default, name


def test_a_number_of_components_arrives_as_a_number(answer: Callable[..., dict[str, Any]]) -> None:
    asked = answer()
    run("encode", "scene.tif", "out", "--components", "32")
    assert asked["components"] == 32
    over_http(components=7)
    assert asked["components"] == 7


@pytest.mark.parametrize("wrong", ["0", "-1", "1.5", "all", "", "64,32", "99999999999"])
def test_components_that_are_no_number_are_refused(answer: Callable[..., dict[str, Any]], wrong: str) -> None:
    asked = answer()
    result = run("encode", "scene.tif", "out", f"--components={wrong}")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for '--components'")
    assert f"{wrong!r} is not a whole number from 1 on" in result.stderr
    assert not asked


def test_device_precision_mode_and_batch_are_said_with_their_reasons(answer: Callable[..., dict[str, Any]]) -> None:
    answer()
    lines = run("encode", "scene.tif", "out").stdout.splitlines()
    assert lines == [
        "Feature set: out",
        "Encoder:     moco-vits16-s2, mae-vits16-s1 in fast mode",
        "Device:      cpu (no GPU was found), 8 tiles at once",
        "Precision:   bf16 (this processor multiplies bf16)",
        "Components:  15 at stride 1, 32 at stride 16",
        "Took 12.3 s for 484 tiles, at most 512 MB.",
    ]


def test_what_an_interrupted_run_left_is_said(answer: Callable[..., dict[str, Any]]) -> None:
    answer(resumed=1, windows=2, batch=1)
    lines = run("encode", "scene.tif", "out").stdout.splitlines()
    assert "Resumed:     1 of 2 tiles were left by an interrupted run" in lines
    assert "Device:      cpu (no GPU was found), 1 tile at once" in lines


def test_a_set_that_was_there_is_said_with_its_warnings(answer: Callable[..., dict[str, Any]]) -> None:
    answer(cached=True, features="beside", warnings=["The offset was assumed."])
    result = run("encode", "scene.tif", "out", "--reuse")
    assert result.stdout == "Nothing to do: beside was made from the same scene, encoder and settings.\n"
    assert result.stderr.splitlines()[-1] == "Warning: The offset was assumed."


def test_the_same_is_not_made_twice_and_another_mode_is_refused(tmp_path: Path) -> None:
    """The whole way, with the real encoder."""
    scene = tmp_path / "scene.tif"
    simulate(scene, size=128, seed=3)
    settings = ("--components", "8", "--device", "cpu")
    made = run("encode", scene, tmp_path / "one", *settings, "--json")
    assert made.exit_code == 0, made.output
    first = json.loads(made.stdout)
    assert (first["cached"], first["components"], first["mode"]) == (False, 8, "standard")
    assert {level["components"] for level in first["levels"][2:]} == {8}
    again = run("encode", scene, tmp_path / "one", *settings)
    said = "Nothing to do: {} was made from the same scene, encoder and settings."
    assert again.stdout.splitlines() == [said.format(tmp_path / "one")]
    assert run("encode", scene, tmp_path / "two", *settings, "--reuse").stdout == again.stdout
    refused = run("encode", scene, tmp_path / "one", "--components", "4", "--device", "cpu")
    assert refused.exit_code == InputError.exit_code
    assert "exists already" in refused.stderr
    taken = run("encode", scene, tmp_path / "three", *settings, "--projection", tmp_path / "one", "--json")
    assert json.loads(taken.stdout)["levels"] == first["levels"]
    wrong = run("encode", scene, tmp_path / "four", "--mode", "turbo", "--device", "cpu")
    assert wrong.exit_code == InputError.exit_code
    assert "has no mode 'turbo'; choose one of: " in wrong.stderr
    assert sorted(path.name for path in tmp_path.glob("*") if path.is_dir()) == ["one", "three"]
