# SPDX-License-Identifier: GPL-2.0-or-later
"""Encoders for two sensors in one feature set: what can be chosen, what is sent, and the job with the real backend."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from qgis.core import QgsProject, QgsRasterLayer, QgsRectangle
from qgis.PyQt.QtCore import QThreadPool
from weight_server import File, WeightServer

from tests.qgis.panel_helpers import serve_until, told

OPTICAL, RADAR = "moco-resnet18w32-s2", "mae-vits16-s1"
# The published file of the radar encoder, which has no published checksum.
FILE = "B2_vits16_mae_ep99_enc.pth"
_NETWORK = (
    "import sys, timm, torch; torch.manual_seed(0);"
    "torch.save(timm.create_model('vit_small_patch16_224', in_chans=2, num_classes=0).state_dict(), sys.argv[1])"
)


@pytest.fixture(scope="module")
def images(shared_data, tmp_path_factory) -> tuple[str, str]:
    """Copies of a Sentinel-2 and a Sentinel-1 image of the same place."""
    folder, source = tmp_path_factory.mktemp("two"), shared_data / "sen1floods11"
    return tuple(
        str(shutil.copyfile(source / f"Spain_7370579_{sensor}Hand.tif", folder / f"{sensor}.tif"))
        for sensor in ("S2", "S1")
    )


@pytest.fixture
def page(panel, stand_in, images, run_backend):
    """The Features step of the stand-in's panel, with both images as layers and the radar encoder here."""
    stand_in.have(RADAR)
    stand_in.infos = {path: run_backend("inspect", path, "--json") for path in images}
    told(panel.imagery, lambda: panel.imagery.open_file(images[0]), "inspected")
    panel.show_step("features")
    serve_until(lambda: panel.features.encoderBox.count() > 0)
    return panel.features


@pytest.fixture
def radar(images):
    layer = QgsRasterLayer(images[1], "radar", "gdal")
    QgsProject.instance().addMapLayer(layer)
    return layer


def enabled(box, encoder: str) -> bool:
    return box.model().item(box.findData(encoder)).isEnabled()


def test_what_does_not_fit_the_image_cannot_be_chosen_and_says_why(page, panel, images):
    box = page.encoderBox
    assert enabled(box, OPTICAL)
    assert not enabled(box, RADAR)
    assert box.itemData(box.findData(RADAR), 3) == "It takes Sentinel-1, and the image is Sentinel-2."
    told(panel.imagery, lambda: panel.imagery.open_file(images[1]), "inspected")
    assert page.encoder_id() == RADAR
    assert not enabled(box, OPTICAL)
    assert "Level" not in page.encoderFacts.text()
    # With the old image the old choice comes back.
    told(panel.imagery, lambda: panel.imagery.open_file(images[0]), "inspected")
    assert page.encoder_id() == OPTICAL


def test_without_an_encoder_for_the_image_encode_says_so(page, panel, stand_in, images):
    stand_in.have(RADAR, "absent")
    panel.state.encoders.refresh()
    told(panel.imagery, lambda: panel.imagery.open_file(images[1]), "inspected")
    serve_until(lambda: page.encoderBox.currentIndex() == -1)
    _none, sentence = told(page, page.encode, "encoded")
    assert sentence == page.encoderFacts.text()
    assert sentence.startswith("No encoder on this computer fits the image; press “Encoders…”")


def test_encoders_that_are_here_come_first_and_each_group_has_its_heading(page):
    box = page.encoderBox
    headings = [box.itemText(row) for row in range(box.count()) if box.itemData(row) is None]
    assert headings == ["Sentinel-2", "Sentinel-1", "Sentinel-2", "Sentinel-2 RGB", "Sentinel-1"]
    here = [box.itemData(row) for row in range(4) if box.itemData(row)]
    assert here == [OPTICAL, RADAR]


def test_the_second_encoder_needs_an_image_that_it_fits(page, radar):
    assert page._second.additions() == []
    page.set_second_encoder(OPTICAL)
    assert page.secondFacts.text().startswith("It is the first encoder already")
    page.set_second_encoder(RADAR)
    assert page.secondFacts.text() == ("It takes Sentinel-1, and the image is Sentinel-2. Choose another image for it.")
    _none, sentence = told(page, page.encode, "encoded")
    assert sentence == f"Second encoder: {page.secondFacts.text()}"
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: "Sentinel-1 GRD, decibels." in page.secondFacts.text())
    assert page._params()["out"].endswith(f"S2-{OPTICAL}+{RADAR}-1")


def test_both_encoders_are_sent_with_what_is_known_of_each_image(page, radar, stand_in):
    radar.setCustomProperty("ssl4eo/overrules", json.dumps({"level": "RTC"}))
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: page._second.problem() == "")
    page.encode()
    serve_until(stand_in.running)
    ((kind, params),) = stand_in.submitted
    assert (kind, params["encoder"]) == ("encode", OPTICAL)
    assert params["add"] == [{"encoder": RADAR, "scene": radar.source(), "level": "RTC"}]
    page.cancel()
    serve_until(lambda: not page.running())
    page.set_second_encoder(None)
    assert "add" not in page._params()


def test_the_second_image_is_looked_at_again_when_its_bands_are_told(page, panel, radar, images, stand_in):
    info = stand_in.infos[images[1]]
    need = 'The bands are not named; tell with --bands "1=VV,2=VH".'
    stand_in.infos[images[1]] = {**info, "bands": [None, None], "needs": [need]}
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: "looked at" not in page._second.problem())
    sentence = (
        "The 2 bands have no names that say which Sentinel band they are; "
        "choose the image under Imagery and say it there."
    )
    assert page.secondFacts.text() == page._second.problem() == sentence
    looked = stand_in.inspected.count((images[1], {}))
    # Another image in use is no reason to look again.
    panel.state.set_scene(panel.state.scene)
    serve_until(lambda: not panel.state.runner.busy())
    assert stand_in.inspected.count((images[1], {})) == looked
    told(panel.imagery, lambda: panel.imagery.set_layer(radar), "inspected")
    bands = {"1": "VV", "2": "VH"}
    told(panel.imagery, lambda: panel.imagery.set_overrules(bands=bands), "inspected")
    first = QgsProject.instance().mapLayersByName("S2")[0]
    told(panel.imagery, lambda: panel.imagery.set_layer(first), "inspected")
    serve_until(lambda: page._second.problem() == "")
    assert page._second.additions() == [{"encoder": RADAR, "scene": images[1], "bands": bands}]
    assert "Sentinel-1" in page.secondFacts.text()


def test_a_second_image_that_was_refused_is_asked_for_again(page, panel, radar, images, stand_in):
    info = stand_in.infos.pop(images[1])
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: "failed inside the plugin" in page.secondFacts.text())
    stand_in.infos[images[1]] = info
    panel.state.set_scene(panel.state.scene)
    serve_until(lambda: page._second.problem() == "")


def test_a_second_encoder_whose_weights_were_removed_is_not_sent(page, panel, radar, stand_in):
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: page._second.problem() == "")
    stand_in.have(RADAR, "absent")
    panel.state.encoders.refresh()
    serve_until(lambda: "not on this computer" in page.secondFacts.text())
    title = stand_in.cards[RADAR]["title"]
    assert page.secondFacts.text() == (f"{title} is not on this computer; press “Encoders…” to download or import it.")
    _none, sentence = told(page, page.encode, "encoded")
    assert sentence == f"Second encoder: {page.secondFacts.text()}"
    assert stand_in.submitted == []


def test_jobs_that_wait_leave_the_threads_to_the_map(panel, stand_in):
    """QGIS draws with as many threads as the computer has processors; as many jobs would hold them all."""
    jobs = QThreadPool.globalInstance().maxThreadCount() + 1
    for number in range(jobs):
        panel.state.runner.job("encode", {"number": number}, f"job {number}", lambda _: None, lambda _: None)
    answers = []
    panel.state.runner.ask(lambda client: client.models(), "a question", answers.append, answers.append)
    serve_until(lambda: answers, limit=20)
    assert len(stand_in.running()) == jobs
    for job in stand_in.running():
        job["state"] = "cancelled"
    serve_until(lambda: not panel.state.runner.busy())
    assert QThreadPool.globalInstance().maxThreadCount() == jobs - 1


@pytest.fixture(scope="module")
def mirror(backend_command, tmp_path_factory):
    """A web server with a random network in the shape of the radar encoder."""
    file = tmp_path_factory.mktemp("mirror") / FILE
    subprocess.run([Path(backend_command[0]).with_name("python"), "-c", _NETWORK, file], check=True)
    with WeightServer() as server:
        server.files[f"/{FILE}"] = File(file.read_bytes())
        yield server.url


def test_an_encoder_is_downloaded_from_a_mirror_and_runs_beside_the_first(dock, images, radar, mirror, tmp_path):
    told(dock.imagery, lambda: dock.imagery.open_file(images[0]), "inspected")
    dock.show_step("features")
    page = dock.features
    table = page.open_encoders()
    serve_until(lambda: table.choose(RADAR))
    table.mirrorBox.setText(mirror)
    table.downloadButton.click()
    serve_until(lambda: dock.state.encoders.cards[RADAR]["available"] or table.note.level == "error", limit=120)
    assert table.note.level == "info", table.note.sentence()
    page.set_second_encoder(RADAR, radar)
    serve_until(lambda: page._second.problem() == "")
    extent = page.extent()
    page.set_extent("drawn", QgsRectangle(extent.xMinimum(), extent.yMinimum(), -0.776, 38.089))
    page.set_output(tmp_path / "both")
    result, failed = told(page, page.encode, "encoded")
    assert failed is None
    properties = json.loads((tmp_path / "both" / "item.json").read_text())["properties"]
    assert [encoder["id"] for encoder in properties["ssl4eo:encoders"]] == [OPTICAL, RADAR]
    assert result["encoder"] == OPTICAL
    assert dock.state.features.path == tmp_path / "both"
