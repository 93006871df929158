# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo serve` as a real process: hello line, token file, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ssl4eo import __version__

SERVE = [sys.executable, "-m", "ssl4eo", "serve"]


@contextmanager
def serving(
    tmp_path: Path, *options: str, token_file: bool = True
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start the server with its log in tmp_path/log and yield it with its hello line."""
    if token_file:
        options = (*options, "--token-file", str(tmp_path / "token"))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*SERVE, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


def client(tmp_path: Path, hello: dict[str, Any]) -> httpx.Client:
    token = (tmp_path / "token").read_text().strip()
    return httpx.Client(
        base_url=hello["url"], headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end and return the exit code and what else stood on standard output."""
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def test_hello_then_answers_and_stops_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, hello):
        assert set(hello) == {"type", "protocol", "version", "url"}
        assert (hello["type"], hello["protocol"], hello["version"]) == ("hello", 1, __version__)
        assert hello["url"].startswith("http://127.0.0.1:")
        with client(tmp_path, hello) as http:
            assert http.get("/health").json()["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        assert end(process) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_new_token_is_for_its_owner_alone_and_in_no_log(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with serving(tmp_path) as (process, hello):
            path = tmp_path / "token"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            token = path.read_text().strip()
            assert len(token) >= 43
            with client(tmp_path, hello) as http:
                http.get("/health")
                http.get("/no/such/path")
                http.post("/jobs", content=b"{")
            assert httpx.get(hello["url"] + "/health", trust_env=False).status_code == 401
            process.send_signal(signal.SIGTERM)
            end(process)
    finally:
        os.umask(old)
    log = (tmp_path / "log").read_text()
    assert str(path) in log
    assert token not in log
    assert token not in json.dumps(hello)


def test_a_given_token_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    with serving(tmp_path) as (_, hello):
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        assert httpx.get(hello["url"] + "/health", headers=headers, trust_env=False).status_code == 200


def test_without_a_token_file_the_log_names_one_that_goes_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, token_file=False) as (process, hello):
        line = next(line for line in (tmp_path / "log").read_text().splitlines() if "access token" in line)
        path = Path(line.partition(" is in ")[2].rstrip("."))
        headers = {"Authorization": f"Bearer {path.read_text().strip()}"}
        assert httpx.get(hello["url"] + "/health", headers=headers, trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        assert end(process) == (0, "")
    assert not path.exists()


def test_it_ends_when_its_parent_closes_standard_input(tmp_path: Path) -> None:
    with serving(tmp_path, "--watch-stdin") as (process, _):
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert end(process) == (0, "")


def test_what_a_library_prints_does_not_follow_the_hello_line() -> None:
    code = (
        "import sys\n"
        "from ssl4eo.service.server import serve\n"
        "class Watch:\n"
        "    def read(self, size):\n"
        "        data = sys.stdin.buffer.read1(size)\n"
        "        print('noise') if data else None\n"
        "        return data\n"
        "serve('127.0.0.1', 0, 'a-token-of-this-test', watch=Watch())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "hello"
        out, err = process.communicate("x", timeout=60)
    finally:
        process.kill()
    assert out == ""
    assert "noise" in err
    assert process.returncode == 0


def test_it_stays_without_watch_stdin(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, hello):
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        with client(tmp_path, hello) as http:
            assert http.get("/health").status_code == 200


def states(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    return (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)


def test_a_running_encode_stops_on_delete_and_with_the_server_and_leaves_nothing(
    tmp_path: Path, shared_data: Path
) -> None:
    target = tmp_path / "made"
    target.mkdir()
    scene = shared_data / "havel_l1c" / "s2l1c_13band_10m.tif"
    body = {"kind": "encode", "params": {"scene": str(scene), "out": str(target / "features")}}
    with serving(tmp_path, "--watch-stdin") as (process, hello):
        with client(tmp_path, hello) as http:
            for how in ("delete", "stdin"):
                job = http.post("/jobs", json=body).json()
                with http.stream("GET", f"/jobs/{job['id']}/events", timeout=120) as answer:
                    events = states(answer)
                    assert next(event["state"] for event in events if event["progress"] > 0) == "running"
                    if how == "delete":
                        assert http.delete(f"/jobs/{job['id']}").status_code == 202
                    else:
                        assert process.stdin is not None
                        process.stdin.close()
                        process.stdin = None
                    # The stream ends by itself, with the job's last state.
                    assert list(events)[-1]["state"] == "cancelled"
        assert end(process) == (0, "")
    assert list(target.iterdir()) == []


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = run("--port", port, "--token-file", str(tmp_path / "token"))
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[-1].startswith("Error: Cannot listen on 127.0.0.1")
    assert port in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("content", ["", "short", "two words that are long enough", "schlüssel-der-lang-genug-ist"])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    outcome = run("--token-file", str(tmp_path / "token"))
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert str(tmp_path / "token") in outcome.stderr.splitlines()[-1]


def test_a_token_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    outcome = run("--token-file", str(tmp_path / "none" / "token"))
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr.splitlines()[-1].startswith("Error: The folder of the token file")


def test_listening_to_other_computers_is_warned_of(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as (_, hello):
        assert hello["url"].startswith("http://0.0.0.0:")
    assert "other computers can reach this server" in (tmp_path / "log").read_text()


def test_the_service_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys, ssl4eo.service.server, ssl4eo.cli.serve\n"
        "print([m for m in ('torch', 'timm', 'sklearn', 'rasterio', 'scipy') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stdout.strip() == "[]"
