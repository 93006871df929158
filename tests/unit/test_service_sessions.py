# SPDX-License-Identifier: GPL-2.0-or-later
"""The routes of the live map: what they answer, and what they refuse with which status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_files import UTM
from live_files import NAMES, board_samples, write_scene
from ssl4eo.jobs import JobQueue, Progress
from ssl4eo.service import create_app

SIDE = 16
TOKEN = "a-token-of-these-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("live") / "features", 96, 112, SIDE, {4: 3})


@pytest.fixture(scope="module")
def queue() -> Iterator[JobQueue]:
    queue = JobQueue()
    yield queue
    queue.shutdown()


@pytest.fixture(scope="module")
def client(queue: JobQueue) -> TestClient:
    app = create_app(queue, TOKEN, hosts=None)
    return TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def opened(client: TestClient, folder: Path) -> dict[str, Any]:
    answer = client.post("/sessions", json={"features": str(folder)})
    assert answer.status_code == 201
    return dict(answer.json())


def body(**options: object) -> dict[str, Any]:
    samples = [{"id": s.id, "class": s.name, "wkt": s.wkt} for s in board_samples(SIDE)]
    return {"crs": UTM, "samples": samples, "classes": list(NAMES), **options}


def put(client: TestClient, session: str, **options: object) -> dict[str, Any]:
    answer = client.put(f"/sessions/{session}/samples", json=body(**options))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def view(client: TestClient, opened: dict[str, Any], **options: object) -> Any:
    asked = {"layer": "classes", "bbox": opened["bounds"], "width": 112, "height": 96, **options}
    return client.post(f"/sessions/{opened['id']}/view", json=asked)


def sentence(answer: Any) -> str:
    found = answer.json()
    assert list(found) == ["error"]
    assert found["error"].endswith(".")
    return str(found["error"])


def test_opening_says_what_is_there(opened: dict[str, Any], folder: Path) -> None:
    assert opened["features"] == str(folder)
    assert (opened["width"], opened["height"], opened["revision"]) == (112, 96, 0)
    assert opened["bounds"][2] - opened["bounds"][0] == 1120
    assert "33N" in opened["crs"]
    assert opened["encoders"] == ["test"]
    assert opened["levels"][2] == {"index": 2, "kind": "features", "encoder": "test", "stride": 4, "components": 3}


def test_a_view_is_bytes_and_a_header_that_says_what_they_are(client: TestClient, opened: dict[str, Any]) -> None:
    state = put(client, opened["id"])
    assert state["ready"]
    answer = view(client, opened, width=60, height=40, revision=state["revision"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    about = json.loads(answer.headers["X-Ssl4eo-View"])
    assert about == {
        "bbox": opened["bounds"],
        "width": 60,
        "height": 40,
        "revision": state["revision"],
        "planes": [{"name": "class", "dtype": "uint8"}, {"name": "confidence", "dtype": "uint8"}],
    }
    classes, confidence = np.frombuffer(answer.content, np.uint8).reshape(2, 40, 60)
    # The chess board: 16 pixels are 60 * 16 / 112 of the view's across and 40 * 16 / 96 down.
    middles = np.array([[classes[int((r + 0.5) * 6.66), int((c + 0.5) * 8.57)] for c in range(5)] for r in range(5)])
    assert np.array_equal(middles, (np.arange(5)[:, None] + np.arange(5)) % 3 + 1)
    assert confidence.min() > 85
    similar = view(client, opened, layer="similarity", **{"class": "wood"})
    assert len(similar.content) == 112 * 96


def test_the_state_tells_the_last_answer(client: TestClient, opened: dict[str, Any]) -> None:
    state = put(client, opened["id"])
    assert set(state) == {
        *("revision", "ready", "message", "classes", "head", "reason", "samples", "left_out", "levels", "indication"),
        *("disagreeing", "warnings", "milliseconds"),
    }
    again = client.get(f"/sessions/{opened['id']}").json()
    assert again["state"] == state
    assert again["revision"] == state["revision"]
    assert again["levels"] == opened["levels"]


def test_a_place_is_probed_grown_and_suggested(client: TestClient, opened: dict[str, Any]) -> None:
    put(client, opened["id"])
    place = {"x": opened["bounds"][0] + 85.0, "y": opened["bounds"][3] - 85.0}
    probed = client.post(f"/sessions/{opened['id']}/probe", json=place).json()
    assert probed["class"] == "field"
    assert probed["probabilities"].keys() == set(NAMES)
    patch = client.post(f"/sessions/{opened['id']}/grow", json=place).json()
    assert patch["wkt"].startswith("POLYGON")
    assert 1 <= patch["pixels"] <= SIDE**2
    xmin, ymin, xmax, ymax = opened["bounds"]
    box = {"xmin": xmin, "ymin": ymin, "xmax": (xmin + xmax) / 2, "ymax": ymax}
    found = client.get(f"/sessions/{opened['id']}/suggestions", params={"count": 2, **box}).json()
    assert found["strategy"] in ("typical", "uncertain")
    assert all(xmin <= one["x"] <= box["xmax"] and one["reason"] for one in found["suggestions"])
    assert [one["rank"] for one in found["suggestions"]] == list(range(1, len(found["suggestions"]) + 1))
    for params in ({"xmin": 1}, {"count": 0}, {**box, "xmax": xmin}):
        assert client.get(f"/sessions/{opened['id']}/suggestions", params=params).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", "/samples"),
        ("POST", "/view"),
        ("POST", "/probe"),
        ("POST", "/grow"),
        ("GET", "/suggestions"),
    ],
)
def test_an_unknown_session_is_404(client: TestClient, method: str, path: str) -> None:
    bodies: dict[str, Any] = {
        "/samples": body(),
        "/view": {"bbox": [0, 0, 1, 1], "width": 1, "height": 1},
        "/probe": {"x": 0, "y": 0},
        "/grow": {"x": 0, "y": 0},
    }
    answer = client.request(method, f"/sessions/nobody{path}", json=bodies.get(path))
    assert answer.status_code == 404
    assert "no session nobody" in sentence(answer)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"width": 5000}, 422, "5000 x 96"),
        ({"height": -1}, 422, "112 x -1"),
        ({"bbox": [1, 1, 0, 0]}, 422, "empty"),
        ({"bbox": [0, 0, 0, 0]}, 422, "empty"),
        ({"bbox": [0, 0, 1e200, 1]}, 422, "no place"),
        ({"layer": "clusters"}, 422, "'clusters'"),
        ({"layer": "similarity", "class": "road"}, 422, "'road'"),
        ({"none_beyond": 2}, 422, "share"),
        ({"revision": 999}, 409, "revision 999 is out of date"),
        ({"bbox": [0, 0, 1]}, 400, "bbox"),
        ({"width": "10"}, 400, "width"),
        ({"colour": 1}, 400, "colour"),
    ],
)
def test_views_that_cannot_be_have_their_status(
    client: TestClient, opened: dict[str, Any], options: dict[str, object], status: int, words: str
) -> None:
    put(client, opened["id"])
    answer = view(client, opened, **options)
    assert answer.status_code == status
    assert words in sentence(answer)


def test_before_there_is_a_map_views_are_refused_with_the_reason(client: TestClient, folder: Path) -> None:
    opened = client.post("/sessions", json={"features": str(folder)}).json()
    assert view(client, opened).status_code == 409
    one = body()["samples"][:1]
    state = put(client, opened["id"], samples=one)
    answer = view(client, opened)
    assert (answer.status_code, sentence(answer)) == (409, state["message"])
    assert client.delete(f"/sessions/{opened['id']}").status_code == 204
    assert view(client, opened).status_code == 404


def test_two_clients_on_one_session_see_the_last_samples(client: TestClient, opened: dict[str, Any]) -> None:
    first = put(client, opened["id"])
    second = put(client, opened["id"], samples=body()["samples"][:7])
    assert second["revision"] == first["revision"] + 1
    assert view(client, opened, revision=first["revision"]).status_code == 409
    assert view(client, opened).status_code == 200
    answers: list[int] = []

    def work() -> None:
        answers.extend(view(client, opened).status_code for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in (8, 9, 10):
        put(client, opened["id"], samples=body()["samples"][:number])
    for thread in threads:
        thread.join()
    # A view that samples overtake is refused, not drawn half from these and half from those.
    assert set(answers) <= {200, 409}
    assert len(answers) == 15


def test_a_view_does_not_wait_for_a_job(client: TestClient, opened: dict[str, Any], queue: JobQueue) -> None:
    put(client, opened["id"])
    release, began = threading.Event(), threading.Event()

    def busy(progress: Progress) -> dict[str, Any]:
        began.set()
        release.wait(30)
        return {}

    queue.submit("encode", busy, "device")
    assert began.wait(30)
    try:
        assert view(client, opened).status_code == 200
    finally:
        release.set()


def test_what_is_no_feature_set_is_refused(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/sessions", json={"features": str(tmp_path / "nowhere")})
    assert answer.status_code == 400
    assert "does not exist; encode a scene first." in sentence(answer)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
_fields = st.sampled_from(
    [
        *("bbox", "width", "height", "layer", "revision", "none_beyond", "hidden", "class", "crs", "samples"),
        *("classes", "head", "balance", "x", "y", "features"),
    ]
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from([("PUT", "/samples"), ("POST", "/view"), ("POST", "/probe"), ("POST", "/grow")]),
    changes=st.dictionaries(_fields, _json, max_size=4),
)
def test_no_body_makes_the_server_fail(
    client: TestClient, opened: dict[str, Any], route: tuple[str, str], changes: dict[str, Any]
) -> None:
    whole = {
        "/samples": body(),
        "/view": {"bbox": opened["bounds"], "width": 9, "height": 9},
        "/probe": {"x": 0.0, "y": 0.0},
        "/grow": {"x": 0.0, "y": 0.0},
    }[route[1]]
    answer = client.request(route[0], f"/sessions/{opened['id']}{route[1]}", content=json.dumps({**whole, **changes}))
    assert answer.status_code in (200, 400, 409, 422), answer.text
    if answer.status_code != 200:
        sentence(answer)
