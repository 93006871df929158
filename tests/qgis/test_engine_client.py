# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the backend: the real one, and real servers that are something else."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path

import pytest

from ssl4eo_plugin.engine import client as client_module
from ssl4eo_plugin.engine.client import Client
from ssl4eo_plugin.engine.errors import BackendUnreachable, EngineError
from ssl4eo_plugin.engine.jobs import run_job
from ssl4eo_plugin.settings import BUNDLED_ENCODER


def test_the_real_backend_answers(backend):
    client = backend.ensure_client()
    assert client.health() == {"status": "ok", "version": client.health()["version"], "protocol": 1}
    cards = {card["id"]: card for card in client.models()}
    assert cards[BUNDLED_ENCODER]["available"] is True


def test_what_the_backend_refuses_is_its_own_sentence(backend, tmp_path):
    client = backend.ensure_client()
    missing = str(tmp_path / "gone.tif")
    with pytest.raises(EngineError, match=r"gone.tif") as caught:
        client.inspect(missing)
    assert "Traceback" not in str(caught.value)
    with pytest.raises(EngineError, match="no job nonsense"):
        client.job("nonsense")
    with pytest.raises(EngineError, match=r"Not Found|no job"):
        client.job("../models")
    with pytest.raises(EngineError, match="kind"):
        client.submit("bake", {})


def test_overrules_may_be_left_open_and_are_checked(backend, tmp_path):
    client = backend.ensure_client()
    with pytest.raises(EngineError, match=r"gone.tif"):
        client.inspect(str(tmp_path / "gone.tif"), bands=None, scale=None, offset=None)
    with pytest.raises(EngineError, match="colour"):
        client.inspect(str(tmp_path / "gone.tif"), colour="red")


def test_the_cards_say_where_weights_are_and_what_they_hold(backend):
    card = next(card for card in backend.ensure_client().models() if card["id"] == BUNDLED_ENCODER)
    assert (card["state"], card["downloadable"]) == ("bundled", False)
    assert Path(card["path"]).is_file()
    assert card["strides"] == [4, 8, 16, 32]


def test_a_weight_file_is_recognised(backend):
    client = backend.ensure_client()
    bundled = next(card for card in client.models() if card["id"] == BUNDLED_ENCODER)
    (match,) = run_job(backend, "weights_recognise", {"file": bundled["path"]})["matches"]
    assert (match["encoder"], match["confidence"]) == (BUNDLED_ENCODER, "certain")
    assert match["because"]
    with pytest.raises(EngineError, match=r"gone.pth"):
        run_job(backend, "weights_recognise", {"file": "/no/such/gone.pth"})


def test_weights_that_cannot_be_removed_are_one_sentence(backend):
    client = backend.ensure_client()
    with pytest.raises(EngineError, match="come with the software and cannot be removed"):
        client.remove(BUNDLED_ENCODER)
    with pytest.raises(EngineError, match=r"Not Found|no encoder"):
        client.remove("../models")


def test_everything_known_better_of_an_image_is_taken(backend, scene):
    told = {"nodata": 7, "level": "L2A", "scale": 5000, "offset": -10, "bands": {"1": "B12"}}
    info = backend.ensure_client().inspect(scene, **told)
    assert (info["nodata"], info["level"], info["quantification"], info["offset"]) == (7, "L2A", 5000, -10)
    assert info["bands"][0] == "B12"
    how = {finding["field"]: finding["how"] for finding in info["findings"]}
    assert {how[field] for field in ("nodata", "level", "quantification", "offset", "bands")} == {"told"}


def test_a_wrong_token_is_one_sentence(backend):
    url = backend.ensure_client().url
    with pytest.raises(EngineError, match=f"{url} does not accept the token of this QGIS; restart QGIS"):
        Client(url, "x" * 43).models()


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BackendUnreachable, match=f"127.0.0.1:{port} cannot be reached.*refused"):
        Client(f"http://127.0.0.1:{port}", "x").health()


def test_a_server_that_never_answers(monkeypatch):
    monkeypatch.setattr(client_module, "_QUICK", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(BackendUnreachable, match="did not answer"),
    ):
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}", "x").health()


class _WebSite(http.server.BaseHTTPRequestHandler):
    status, body = 200, b"<html>"

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "HTTP 200.*is not the backend"),
        (404, b"[]", "HTTP 404"),
        (500, b"{}", "HTTP 500 without a reason"),
    ],
)
def test_something_else_listens(status, body, words):
    handler = type("Handler", (_WebSite,), {"status": status, "body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(EngineError, match=words):
            Client(f"http://127.0.0.1:{server.server_port}", "x").health()
        server.shutdown()


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1:1", "127.0.0.1:80", "http://"])
def test_an_address_that_is_none(url):
    with pytest.raises(EngineError, match="not the address of a backend"):
        Client(url, "x")
