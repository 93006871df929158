# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:downloadweights` and `ssl4eo:importweights` inside QGIS, against a server on this computer."""

from __future__ import annotations

import http.server
import shutil
import threading
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsProcessingFeedback
from weight_server import Behaviour, File, WeightServer

from ssl4eo_plugin import settings
from ssl4eo_plugin.processing.provider import Ssl4eoProvider
from ssl4eo_plugin.settings import BUNDLED_ENCODER
from tests.qgis.helpers import ROOT

processing = pytest.importorskip("processing")
REAL = ROOT / "resources" / "encoders" / f"{BUNDLED_ENCODER}.pth"
PUBLISHED = "B2_vits14_softcon_enc.pth"


@pytest.fixture
def provider(backend, tmp_path, monkeypatch, qgis_processing):
    """The algorithms over a backend with an empty cache of weights and without its bundled encoder."""
    from qgis.core import QgsApplication

    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path / "no-resources"))
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    provider = Ssl4eoProvider(backend)
    QgsApplication.processingRegistry().addProvider(provider)
    yield provider
    QgsApplication.processingRegistry().removeProvider(provider)


@pytest.fixture
def web_page():
    """A server that answers every request with a web page, and the paths that it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Please sign in</html>")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_a_file_is_recognised_and_imported(provider, tmp_path):
    copy = shutil.copy(REAL, tmp_path / "renamed.pth")
    feedback = QgsProcessingFeedback()
    progress = []
    feedback.progressChanged.connect(progress.append)
    result = processing.run("ssl4eo:importweights", {"FILE": str(copy)}, feedback=feedback)
    assert (result["ENCODER"], result["CONFIDENCE"]) == (BUNDLED_ENCODER, "certain")
    imported = Path(result["WEIGHTS"])
    assert imported == tmp_path / "weights" / BUNDLED_ENCODER / "renamed.pth"
    assert imported.read_bytes() == REAL.read_bytes()
    assert len(result["SHA256"]) == 64
    assert progress == sorted(progress)
    assert f"Imported as {BUNDLED_ENCODER} (certain: its sha256" in feedback.textLog()


def test_an_import_as_another_encoder_is_the_backends_sentence(provider):
    with pytest.raises(QgsProcessingException, match=f"belongs to {BUNDLED_ENCODER}"):
        processing.run("ssl4eo:importweights", {"FILE": str(REAL), "ENCODER": "moco-resnet18-s2"})


@pytest.mark.parametrize("by_setting", [False, True])
def test_a_download_asks_the_mirror_alone(provider, web_page, tmp_path, by_setting):
    address, asked = web_page
    parameters = {"ENCODER": "softcon-vits14-s1"}
    if by_setting:
        settings.set_mirror(address)
    else:
        parameters["MIRROR"] = address
    with pytest.raises(QgsProcessingException, match="answered with a web page instead of the file"):
        processing.run("ssl4eo:downloadweights", parameters)
    assert [path.rpartition("/")[2] for path in asked] == [PUBLISHED, PUBLISHED]
    assert asked[1] == f"/{PUBLISHED}"


def test_a_download_that_is_cancelled_says_that_what_came_is_kept(provider, tmp_path):
    feedback = QgsProcessingFeedback()
    with WeightServer() as server:
        server.files[f"/{PUBLISHED}"] = File(bytes(2_000_000))
        server.behave(f"/{PUBLISHED}", Behaviour(stall=1_000_000))
        feedback.progressChanged.connect(lambda percent: percent > 0 and feedback.cancel())
        with pytest.raises(QgsProcessingException, match=r"^Cancelled; what was fetched is kept for the next time\.$"):
            processing.run(
                "ssl4eo:downloadweights", {"ENCODER": "softcon-vits14-s1", "MIRROR": server.url}, feedback=feedback
            )
    assert sum(path.stat().st_size for path in (tmp_path / "weights").rglob("*.part")) > 0


def test_weights_that_are_here_are_not_asked_for(provider, web_page):
    address, asked = web_page
    imported = processing.run("ssl4eo:importweights", {"FILE": str(REAL)})
    found = processing.run("ssl4eo:downloadweights", {"ENCODER": BUNDLED_ENCODER, "MIRROR": address})
    assert found == {**found, **{key: imported[key] for key in ("ENCODER", "WEIGHTS", "SHA256")}}
    assert found["VERIFIED"] == "published checksum"
    assert asked == []
