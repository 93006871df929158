# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line and the service hand to `bench`, and what the command line says of its answer."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import ssl4eo.bench
from click.testing import CliRunner, Result
from ssl4eo.bench import bench
from ssl4eo.cli import main
from ssl4eo.jobs import no_progress
from ssl4eo.service.kinds import BenchJob

ONE = {"median": 2.0, "least": 1.5, "most": 3.25, "seconds": [2.0, 1.5, 3.25]}
SPEEDS = {"images_per_second": 50.04, "tiles_per_second": 2.0, "mpx_per_second": 2.0971}
ROW = {"mpx": 16.777, "side": 4096, "tiles": 16, "seconds": 8.39, "seconds_per_mpx": 0.5, "tiles_per_second": 1.9,
       "peak_memory_mb": 1234.5}  # fmt: skip
ANSWER: dict[str, Any] = {
    "machine": {
        "cpu": "A Processor", "cores": 2, "threads": 2, "memory_gb": 25.3, "load": [0.1, 0.2, 0.3], "gpus": [],
        "system": "Linux", "python": "3.11", "torch": "2.15", "gdal": "3.10", "ssl4eo": "0",
    },
    "scene": "simulated",
    "what": list(ssl4eo.bench.WHAT),
    "pairs": 3,
    "seconds": 60.0,
    "runs": [
        {
            "weights": "random", "encoder": "moco-vits16-s2", "mode": "fast", "device": "cpu",
            "device_reason": "no GPU was found", "precision": "bf16", "precision_reason": "asked for",
            "width": 2048, "height": 1024, "tiles": 50,
            "forward": {"fastest": 0, "arrangements": [
                {**ONE, **SPEEDS, "streams": 2, "threads": 1, "batch": 4},
                {**ONE, **SPEEDS, "streams": 1, "threads": 2, "batch": 16},
            ]},
            "ratio": {"median": 0.9123, "least": 0.88, "most": 0.95, "forward": ONE, "end_to_end": ONE,
                      "before_first_tile": 0.25, "tiles": 50, "tiles_per_second": 25.0, "mpx_per_second": 1.05},
            "parts": {"seconds": 5.0, "cpu": 8.0, "parts": [{"part": "network", "wall": 7.0, "cpu": 6.0, "calls": 9}]},
            "memory": {"rows": [ROW], "most_mb": 1234.5},
            "scaling": {"rows": [ROW], "flatness": 1.049},
            "baseline": {"factor": {"median": 2.75, "least": 2.5, "most": 3.0}, "loop": ONE, "encode": ONE,
                         "side": 2048, "tiles": 100, "network_ms": 40.25, "rest_ms": 33.5},
        }
    ],
}  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let `bench` answer at once; what it is asked with."""
    asked: dict[str, Any] = {}

    def answer(encoder: Any, **options: Any) -> dict[str, Any]:
        asked.update(options, encoder=list(encoder))
        return ANSWER

    monkeypatch.setattr(ssl4eo.bench, "bench", answer)
    return asked


def test_without_options_all_doors_ask_for_the_same(asked: dict[str, Any]) -> None:
    parameters = inspect.signature(bench).parameters
    wanted = {name: value.default for name, value in parameters.items() if name != "progress"}
    wanted = {**wanted, "encoder": [wanted["encoder"]]}

    def comparable(options: dict[str, Any]) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in options.items()
            if name != "progress"
        }

    assert run().exit_code == 0
    assert comparable(asked) == comparable(wanted)
    asked.clear()
    assert BenchJob.model_validate({"kind": "bench", "params": {}}).run(no_progress) is ANSWER
    assert comparable(asked) == comparable(wanted)


def test_options_arrive(asked: dict[str, Any]) -> None:
    run(
        "--encoder", "a", "--encoder", "b", "--what", "forward, parts,forward", "--scene", "s.tif", "--device", "cuda",
        "--precision", "fp32", "--precision", "bf16", "--mode", "fast", "--pairs", 2, "--sizes", "0.25,4",
        "--random-weights", "--features", "f", "--clicks", 7,
    )  # fmt: skip
    asked.pop("progress")
    assert asked == {
        "encoder": ["a", "b"], "what": ("forward", "parts"), "scene": "s.tif", "device": "cuda",
        "precisions": ("fp32", "bf16"), "mode": "fast", "pairs": 2, "sizes": (0.25, 4.0), "random_weights": True,
        "features": "f", "clicks": 7,
    }  # fmt: skip


def test_json_is_the_answer(asked: dict[str, Any]) -> None:
    assert json.loads(run("--json").stdout) == ANSWER


@pytest.mark.parametrize(
    "said",
    [
        "A Processor, 2 cores, 25 GB, no GPU",
        "moco-vits16-s2 in fast mode, random weights",
        "cpu (no GPU was found), bf16 (asked for)",
        "Pure forward pass, 2048 x 1024 pixels in 50 tiles",
        "1        2             16     2.00 (1.50..3.25)                   50.0      2.097",
        "0.25 s of it",
        "0.912 (0.880..0.950)",
        "network     7.00    6.00   75.0%      9",
        "all else            2.00   25.0%",
        "16.8  4096  1234",
        "16.8  4096  16     8.4      0.50   1.90     1234",
        "most by least seconds per Mpx: 1.049",
        "40.2 ms network, 33.5 ms all else",
        "2.75 (2.50..3.00)",
        "Took 60 s.",
    ],
)
def test_tables_hold_the_figures(said: str, asked: dict[str, Any]) -> None:
    assert said in run().stdout


def test_an_encoder_without_fast_mode_has_no_plain_loop(asked: dict[str, Any]) -> None:
    first = ANSWER["runs"][0]
    answer = {**ANSWER, "runs": [{**first, "baseline": None}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl4eo.bench, "bench", lambda *_, **__: answer)
        assert "No plain loop: the encoder has no fast mode" in run().stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sizes", "1;4"], "'1;4' is not a list of sizes in megapixels, such as 1,4,16,121."),
        (["--what", ""], "There is nothing to measure; choose of: forward, ratio, parts"),
        (["--what", "all"], "There is 'all' to measure"),
        (["--pairs", "many"], "'many' is not a valid integer"),
    ],
)
def test_wrong_options_are_answered_with_a_sentence(arguments: list[str], sentence: str) -> None:
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert sentence in outcome.stderr
