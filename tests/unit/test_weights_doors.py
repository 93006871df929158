# SPDX-License-Identifier: GPL-2.0-or-later
"""The weights of encoders through the command line and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from click.testing import CliRunner, Result
from ssl4eo.cli import main
from ssl4eo.cli.output import terminal_progress
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.cards import DEFAULT_ENCODER, get_card, load_cards
from ssl4eo.encoders.modes import MODES, get_mode
from ssl4eo.errors import InputError
from ssl4eo.jobs import JobQueue, Progress
from ssl4eo.service import create_app
from weight_server import Behaviour, File, WeightServer, wait_until

ENCODER = "softcon-vits14-s1"
TOKEN = "token-of-these-tests"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tensors of SoftCon's ViT-S/14 for Sentinel-1, each of one value, which keeps the file small."""
    with torch.device("meta"):
        network = build_network("vits14", 2)
    path = tmp_path_factory.mktemp("file") / "B2_vits14_softcon_enc.pth"
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in network.state_dict().items()}, path)
    return path


@pytest.fixture
def mirror(weights_file: Path) -> Iterator[WeightServer]:
    with WeightServer() as server:
        server.files[f"/{weights_file.name}"] = File(weights_file.read_bytes())
        yield server


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    queue = JobQueue()
    yield queue
    queue.shutdown()


@pytest.fixture
def client(queue: JobQueue) -> Iterator[httpx.Client]:
    config = uvicorn.Config(create_app(queue, TOKEN), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60
    ) as client:
        yield client
    server.should_exit = True
    thread.join()


def run(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result


def in_json(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(run(*arguments, "--json", exit_code=exit_code).stdout)
    return parsed


def finished(client: httpx.Client, kind: str, **params: Any) -> dict[str, Any]:
    answer = client.post("/jobs", json={"kind": kind, "params": params})
    assert answer.status_code == 202, answer.text
    with client.stream("GET", f"/jobs/{answer.json()['id']}/events") as events:
        last: dict[str, Any] = json.loads([line for line in events.iter_lines() if line][-1].removeprefix("data: "))
    return last


def state_over_http(client: httpx.Client) -> str:
    (model,) = [model for model in client.get("/models").json()["models"] if model["id"] == ENCODER]
    return str(model["state"])


def test_models_lists_all_and_shows_one() -> None:
    models = in_json("models")["models"]
    assert [model["id"] for model in models] == list(load_cards())
    lines = run("models").stdout.splitlines()
    assert lines[0].split() == ["ENCODER", "SENSOR", "METHOD", "BACKBONE", "BANDS", "MODES", "MB", "LICENCE", "WEIGHTS"]
    words = lines[1].split()
    assert words[:6] == [DEFAULT_ENCODER, "S2", "L1C", "moco", "resnet18w32", "13"]
    assert words[-3:] == ["11", "GPL-2.0-or-later", "bundled"]
    assert " ".join(words[6:-3]) == ", ".join(models[0]["modes"])
    shown = run("models", "moco-vits16-s2").stdout
    assert "fast (0.25 x the time), standard" in shown
    shown = run("models", "moco-resnet50-s1").stdout
    assert "S1 GRD at 10 m: VV, VH" in shown
    assert "arXiv:2003.04297" in shown
    assert [model["id"] for model in in_json("models", "moco-resnet50-s1")["models"]] == ["moco-resnet50-s1"]
    assert "There is no encoder 'x'" in run("models", "x", exit_code=2).stderr


def test_the_modes_are_those_that_encode_takes(client: httpx.Client) -> None:
    for model in client.get("/models").json()["models"]:
        shape = get_card(model["id"]).shape
        assert list(model["mode_costs"]) == model["modes"]
        for mode in MODES:
            if mode in model["modes"]:
                assert get_mode(model["id"], shape, mode).cost == model["mode_costs"][mode]
            else:
                with pytest.raises(InputError, match=", ".join(model["modes"])):
                    get_mode(model["id"], shape, mode)
        assert model["mode_costs"]["standard"] == 1


def test_the_command_line_from_download_to_removal(mirror: WeightServer, folder: Path) -> None:
    downloaded = in_json("weights", "download", ENCODER, "--mirror", mirror.url)["downloads"]
    assert [(entry["encoder"], entry["verified"]) for entry in downloaded] == [(ENCODER, "tensors")]
    path = Path(downloaded[0]["path"])
    assert f"({'tensors'})" in run("weights", "download", ENCODER).stdout
    assert in_json("models", ENCODER)["models"][0]["state"] == "present"
    assert {row["encoder"]: row["state"] for row in in_json("weights", "verify")["rows"]} == {
        DEFAULT_ENCODER: "ok", ENCODER: "ok",
    }  # fmt: skip
    path.write_bytes(b"rotten")
    result = run("weights", "verify", ENCODER, exit_code=1)
    assert result.stdout.startswith(f"{ENCODER}: damaged. {path} has the sha256 ")
    assert "are free again" in run("weights", "remove", ENCODER).stdout
    assert not path.exists()
    assert "there is nothing to remove" in run("weights", "remove", ENCODER, exit_code=2).stderr
    assert run("weights", "where").stdout.strip() == str(folder)
    assert in_json("weights", "where") == {"folder": str(folder)}


def test_the_command_line_imports_and_recognises(weights_file: Path, tmp_path: Path) -> None:
    (match,) = in_json("weights", "recognise", weights_file)["matches"]
    assert (match["encoder"], match["confidence"]) == (ENCODER, "likely")
    assert f"{ENCODER}  likely" in run("weights", "recognise", weights_file).stdout
    assert f"Encoder: {ENCODER} (likely: it holds vits14 for 2 bands" in run("weights", "import", weights_file).stdout
    again = in_json("weights", "import", weights_file, "--as", ENCODER)
    assert again["replaces"] is None
    other = tmp_path / "other.pth"
    torch.save({name: value + 1 for name, value in torch.load(weights_file).items()}, other)
    assert f"Replaces: {weights_file.name} (sha256 " in run("weights", "import", other, "--as", ENCODER).stdout
    assert again["because"].endswith("it was here already")
    sentence = run("weights", "import", weights_file, "--as", "moco-vits16-s2", exit_code=2).stderr
    assert "holds vits14 for 2 bands, but moco-vits16-s2 is vits16 for 13 bands" in sentence


def test_a_failed_download_is_a_failure_and_a_wrong_name_wrong_usage(mirror: WeightServer) -> None:
    sentence = run("weights", "download", "moco-vits16-s1", exit_code=2).stderr
    assert "There is no encoder 'moco-vits16-s1'" in sentence
    mirror.files.clear()
    sentence = run("weights", "download", ENCODER, "--mirror", mirror.url, exit_code=1).stderr
    assert sentence.startswith("Error: ") or "\nError: " in sentence
    assert "is not there (404)" in sentence


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_download_that_is_stopped_says_that_what_arrived_is_kept(
    mirror: WeightServer, weights_file: Path, folder: Path, number: signal.Signals
) -> None:
    mirror.behave(f"/{weights_file.name}", Behaviour(stall=1000))
    command = [sys.executable, "-m", "ssl4eo", "weights", "download", ENCODER, "--mirror", mirror.url]
    part = folder / ENCODER / f"{weights_file.name}.part"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: mirror.stalled.is_set() and part.exists())
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == "Error: Cancelled; what has arrived is kept."
    assert "Traceback" not in err


def test_a_log_tells_of_each_wait_once(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress(as_json=False) as progress:
        for message in ("Asking x", "", "Waiting 2 s: x", "Waiting 1 s: x", "", "Asking x", "Waiting 4 s: x"):
            progress(0.0, message)
    assert [line.partition("%  ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "Asking x", "Waiting 2 s: x", "Waiting 4 s: x",
    ]  # fmt: skip


def test_http_downloads_checks_and_removes(client: httpx.Client, mirror: WeightServer) -> None:
    assert state_over_http(client) == "absent"
    done = finished(client, "weights_download", encoder=ENCODER, mirror=mirror.url)
    assert done["state"] == "done", done
    assert done["result"]["encoder"] == ENCODER
    assert state_over_http(client) == "present"
    rows = finished(client, "weights_verify", encoder=ENCODER)["result"]["rows"]
    assert [row["state"] for row in rows] == ["ok"]
    assert client.delete(f"/weights/{ENCODER}").json()["encoder"] == ENCODER
    assert state_over_http(client) == "absent"
    answer = client.delete(f"/weights/{ENCODER}")
    assert (answer.status_code, "nothing to remove" in answer.json()["error"]) == (400, True)


def test_http_recognises_and_imports(client: httpx.Client, weights_file: Path) -> None:
    done = finished(client, "weights_recognise", file=str(weights_file))
    assert [match["encoder"] for match in done["result"]["matches"]] == [ENCODER]
    done = finished(client, "weights_import", file=str(weights_file), encoder=ENCODER)
    assert (done["state"], done["result"]["encoder"]) == ("done", ENCODER)
    failed = finished(client, "weights_recognise", file="/no/such/file.pth")
    assert (failed["state"], failed["error"]["exit_code"]) == ("failed", 2)
    assert "/no/such/file.pth is no file" in failed["error"]["message"]


def test_recognition_waits_for_no_encode_and_no_download(
    client: httpx.Client, queue: JobQueue, weights_file: Path
) -> None:
    gate = threading.Event()

    def busy(_: Progress) -> dict[str, Any]:
        assert gate.wait(30)
        return {}

    encode, download = queue.submit("encode", busy, "device"), queue.submit("weights_download", busy, "network")
    try:
        assert finished(client, "weights_recognise", file=str(weights_file))["state"] == "done"
        assert (encode.state, download.state) == ("running", "running")
    finally:
        gate.set()


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("weights_download", {}, "encoder is missing"),
        ("weights_download", {"encoder": 5}, "encoder cannot be 5"),
        ("weights_import", {"file": ""}, "file"),
        ("weights_recognise", {}, "file is missing"),
        ("weights_verify", {"all": True}, "all is not a known parameter"),
    ],
)
def test_a_wrong_body_is_one_sentence(client: httpx.Client, kind: str, params: dict[str, Any], words: str) -> None:
    answer = client.post("/jobs", json={"kind": kind, "params": params})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_the_route_wants_the_token(client: httpx.Client) -> None:
    assert httpx.delete(f"{client.base_url}/weights/{ENCODER}", trust_env=False).status_code == 401


def test_a_download_over_http_fails_with_its_sentence(client: httpx.Client, mirror: WeightServer) -> None:
    mirror.files.clear()
    failed = finished(client, "weights_download", encoder=ENCODER, mirror=mirror.url)
    assert (failed["state"], failed["error"]["exit_code"]) == ("failed", 1)
    assert failed["error"]["message"].endswith(f"by hand and run `ssl4eo weights import FILE --as {ENCODER}`.")
