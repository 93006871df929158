# SPDX-License-Identifier: GPL-2.0-or-later
"""The service over a real socket: the gate, the bodies, and jobs with progress and cancel."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ssl4eo import __version__
from ssl4eo.errors import InputError
from ssl4eo.jobs import JobQueue, Progress
from ssl4eo.service import PROTOCOL, create_app

TOKEN = "a token of these tests".replace(" ", "-")
ROUTES = [
    ("GET", "/health"),
    ("GET", "/models"),
    ("POST", "/inspect"),
    ("POST", "/jobs"),
    ("GET", "/jobs/1"),
    ("GET", "/jobs/1/events"),
    ("DELETE", "/jobs/1"),
    ("GET", "/openapi.json"),
    ("GET", "/no/such/path"),
]


@pytest.fixture(scope="module")
def queue() -> Iterator[JobQueue]:
    queue = JobQueue()
    yield queue
    queue.shutdown()


@pytest.fixture(scope="module")
def client(queue: JobQueue) -> Iterator[httpx.Client]:
    config = uvicorn.Config(create_app(queue, TOKEN), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join()


def wait(client: httpx.Client, job_id: str) -> dict[str, Any]:
    with client.stream("GET", f"/jobs/{job_id}/events") as answer:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    return events[-1]


def sentence(answer: httpx.Response) -> str:
    """Return the error, after checking that it is the only thing in the answer and is one sentence."""
    body = answer.json()
    assert list(body) == ["error"], body
    assert body["error"].endswith("."), body
    assert "\n" not in body["error"]
    return str(body["error"])


def test_health_names_version_and_protocol(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok", "version": __version__, "protocol": PROTOCOL}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_every_route_wants_the_token(client: httpx.Client, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.request(method, f"{client.base_url}{path}", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert "token" in sentence(answer)
    assert TOKEN not in answer.text


def test_a_token_that_is_not_ascii_is_refused(client: httpx.Client) -> None:
    headers = {"Authorization": "Bearer ключ".encode()}
    assert httpx.get(f"{client.base_url}/health", headers=headers, trust_env=False).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/health", headers={"Host": host})
    assert answer.status_code == 400
    if host:
        assert "127.0.0.1" in sentence(answer)


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:9"])
def test_names_of_this_computer_are_served(client: httpx.Client, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_openapi_describes_the_jobs(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"EncodeJob", "ClassifyJob", "InspectRequest"} <= set(schemas)


def test_models_lists_the_cards(client: httpx.Client) -> None:
    models = client.get("/models").json()["models"]
    assert "moco-resnet18w32-s2" in [model["id"] for model in models]
    for model in models:
        assert {"title", "method", "backbone", "sensor", "bands", "level", "available", "license"} <= set(model)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/no/such/path", 404), ("GET", "/jobs/1", 404), ("PUT", "/health", 405)]
)
def test_what_is_not_there_is_said(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    sentence(answer)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/jobs/abc"), ("GET", "/jobs/abc/events"), ("DELETE", "/jobs/abc")]
)
def test_an_unknown_job_is_404(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert "abc" in sentence(answer)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["kind"]),
        ({"kind": "destroy", "params": {}}, ["destroy"]),
        ({"kind": "encode"}, ["params", "missing"]),
        ({"kind": "encode", "params": {"out": "o"}}, ["scene", "missing"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "colour": 1}}, ["colour", "not a known parameter"]),
        ({"kind": "encode", "params": {"scene": 5, "out": "o"}}, ["scene", "5", "string"]),
        ({"kind": "encode", "params": {"scene": "", "out": "o"}}, ["scene"]),
        ({"kind": "encode", "params": {"scene": "a\0b", "out": "o"}}, ["scene", "NUL"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "window": [1, 2, 3]}}, ["window", "4"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "window": "0,0,5,5"}}, ["window", "list"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "bbox": [1, 2, 3, "4"]}}, ["bbox.3", "'4'"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "bands": {"0": "B02"}}}, ["bands"]),
        *(
            (
                {"kind": "encode", "params": {"scene": "a", "out": "o", "components": wrong}},
                ["params.components cannot be", repr(wrong), 'whole number from 1 on, or "full"'],
            )
            for wrong in (0, -1, 1.5, "64", "all", True, None, [64])
        ),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "mode": 1}}, ["mode", "1", "string"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "projection": ""}}, ["projection"]),
        ({"kind": "encode", "params": {"scene": "a", "out": "o", "reuse": "yes"}}, ["reuse", "'yes'"]),
        (
            {"kind": "classify", "params": {"features": "f", "samples": "s", "out": "o", "colors": {"a": "red"}}},
            ["red"],
        ),
    ],
)
def test_a_wrong_body_is_one_sentence(client: httpx.Client, body: dict[str, Any], words: list[str]) -> None:
    answer = client.post("/jobs", json=body)
    assert answer.status_code == 400
    for word in words:
        assert word in sentence(answer)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"5", b"\xff\xfe", b'{"kind": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_one_sentence(client: httpx.Client, content: bytes) -> None:
    answer = client.post("/jobs", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    sentence(answer)


@pytest.mark.parametrize(
    "content", [r'{"kind": "\ud800"}', r'{"kind": "encode", "params": {"scene": "a", "out": "o", "\ud800": 1}}']
)
def test_half_a_character_is_refused_with_a_sentence(client: httpx.Client, content: str) -> None:
    answer = client.post("/jobs", content=content)
    assert answer.status_code == 400
    sentence(answer)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_names = st.sampled_from(
    [
        *("scene", "out", "window", "bbox", "bands", "scale", "device", "features", "samples", "colors"),
        *("mode", "components", "projection", "reuse"),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["encode", "classify"]) | _json, params=st.dictionaries(_names, _json, max_size=6) | _json)
def test_no_body_makes_the_server_fail(client: httpx.Client, kind: Any, params: Any) -> None:
    answer = client.post("/jobs", content=json.dumps({"kind": kind, "params": params}))
    assert answer.status_code in (202, 400)
    if answer.status_code == 400:
        sentence(answer)
    else:
        client.delete(f"/jobs/{answer.json()['id']}")
        assert wait(client, answer.json()["id"])["state"] in ("failed", "cancelled")


def test_inspect_answers_wrong_input_with_400(client: httpx.Client) -> None:
    answer = client.post("/inspect", json={"scene": "/no/such/file.tif"})
    assert answer.status_code == 400
    assert "/no/such/file.tif" in sentence(answer)


def test_a_job_with_wrong_input_fails_with_its_sentence(client: httpx.Client, tmp_path: Path) -> None:
    body = {"kind": "encode", "params": {"scene": "/no/such/file.tif", "out": str(tmp_path / "features")}}
    answer = client.post("/jobs", json=body)
    assert answer.status_code == 202
    assert answer.json()["state"] in ("queued", "running", "failed")
    last = wait(client, answer.json()["id"])
    assert last["state"] == "failed"
    assert last["error"]["exit_code"] == InputError.exit_code
    assert "/no/such/file.tif" in last["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_events_tell_the_steps_in_order(client: httpx.Client, queue: JobQueue) -> None:
    step = threading.Semaphore(0)

    def work(progress: Progress) -> dict[str, Any]:
        for done in (0.25, 0.5, 0.75):
            assert step.acquire(timeout=30)
            progress(done, f"at {done}")
        assert step.acquire(timeout=30)
        return {"answer": 42}

    job = queue.submit("encode", work)
    events = []
    with client.stream("GET", f"/jobs/{job.id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line:
                assert line.startswith("data: ")
                events.append(json.loads(line.removeprefix("data: ")))
                if events[-1]["state"] == "running":
                    step.release()
    assert [event["progress"] for event in events if event["state"] == "running"] == [0, 0.25, 0.5, 0.75]
    assert events[-1]["state"] == "done"
    assert events[-1]["result"] == {"answer": 42}
    assert client.get(f"/jobs/{job.id}").json() == events[-1]


def test_delete_cancels_a_running_and_a_queued_job(client: httpx.Client, queue: JobQueue) -> None:
    started = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        started.set()
        while True:
            progress(0.5, "turning")
            time.sleep(0.005)

    running, queued = queue.submit("encode", work), queue.submit("encode", work)
    assert started.wait(30)
    assert client.get(f"/jobs/{queued.id}").json()["state"] == "queued"
    assert client.delete(f"/jobs/{queued.id}").json()["state"] == "cancelled"
    assert client.delete(f"/jobs/{running.id}").status_code == 202
    assert wait(client, running.id)["state"] == "cancelled"


def test_a_fault_in_a_job_is_one_sentence_and_the_next_job_runs(client: httpx.Client, queue: JobQueue) -> None:
    def faulty(_progress: Progress) -> dict[str, Any]:
        raise ZeroDivisionError("division by zero")

    failed = wait(client, queue.submit("encode", faulty).id)
    assert failed["state"] == "failed"
    assert "ZeroDivisionError" in failed["error"]["message"]
    assert wait(client, queue.submit("encode", lambda _: {}).id)["state"] == "done"
