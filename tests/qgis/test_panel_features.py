# SPDX-License-Identifier: GPL-2.0-or-later
"""The Features step with the real backend: encoder, extent, folder, encoding, cancelling and a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from qgis.core import QgsProject, QgsRectangle
from qgis.PyQt.QtCore import Qt

from ssl4eo_plugin.engine.environment import clean_environment
from tests.qgis.canvas_helpers import UTM, drag, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.panel_helpers import serve_until, told


@pytest.fixture
def page(dock, image):
    """The Features step with the real scene inspected and the encoders listed."""
    told(dock.imagery, lambda: dock.imagery.open_file(image), "inspected")
    assert dock.show_step("features")
    serve_until(lambda: dock.features.encoderBox.count() > 0)
    show(dock.state.canvas, QgsRectangle(*PATCH_BBOX))
    return dock.features


def box(rect: QgsRectangle) -> tuple[float, float, float, float]:
    return rect.xMinimum(), rect.yMinimum(), rect.xMaximum(), rect.yMaximum()


def encode(page, folder, rect=None):
    page.set_extent("drawn", rect or QgsRectangle(*PATCH_BBOX[:2], PATCH_BBOX[0] + 640, PATCH_BBOX[1] + 640))
    page.set_output(folder)
    return told(page, page.encode, "encoded")


def test_the_bundled_encoder_is_offered_for_what_it_is(page):
    assert page.encoder_id() == "moco-resnet18w32-s2"
    assert page.encoderBox.currentText() == "Small bundled encoder, to try things out"
    assert "MoCo" in page.encoderFacts.text()


def test_an_encoder_without_weights_is_greyed_and_said(page):
    row = page.encoderBox.findData("mae-vith14-s2")
    assert page.encoderBox.itemText(row) == "MAE ViT-H/14 (download first)"
    assert not page.encoderBox.model().item(row).isEnabled()
    assert row > page.encoderBox.findData("moco-resnet18w32-s2")
    page.set_encoder("mae-vith14-s2")
    assert page.encoder_id() == "moco-resnet18w32-s2"


def test_the_whole_layer_is_the_first_choice(page):
    assert box(page.extent()) == (330000, 5814360, 345360, 5822040)
    assert page.extentFacts.text().startswith("1536 × 768 px (15.4 × 7.7 km)")


@pytest.mark.parametrize(
    ("drawn", "snapped"),
    [
        ((333001, 5815001, 333009, 5815009), (333000, 5815000, 333010, 5815010)),
        ((333000, 5815000, 334000, 5816000), (333000, 5815000, 334000, 5816000)),
        ((333004.9, 5815000, 333995, 5816000.1), (333000, 5815000, 334000, 5816010)),
        ((320000, 5800000, 330015, 5814365), (330000, 5814360, 330020, 5814370)),
    ],
)
def test_a_drawn_extent_covers_the_pixels_it_touches_inside_the_image(page, drawn, snapped):
    page.set_extent("drawn", QgsRectangle(*drawn))
    assert box(page.extent()) == snapped


def test_the_view_is_the_extent_of_the_map_in_the_crs_of_the_image(page, dock):
    page.set_extent("view")
    view = dock.state.canvas.extent()
    west, south, east, north = box(page.extent())
    assert west <= max(view.xMinimum(), 330000) < west + 10
    assert south <= max(view.yMinimum(), 5814360) < south + 10
    assert east - 10 < view.xMaximum() <= east
    assert north - 10 < view.yMaximum() <= north


@pytest.mark.parametrize("mode", ["view", "drawn"])
def test_an_extent_off_the_image_is_one_sentence(page, dock, mode):
    off = QgsRectangle(400000, 5814360, 401000, 5815360)
    show(dock.state.canvas, off)
    page.set_extent(mode, off if mode == "drawn" else None)
    assert page.extent() is None
    _none, sentence = told(page, page.encode, "encoded")
    assert sentence == page.note.sentence() == page.extentFacts.text()
    assert "image" in sentence


def test_an_extent_is_drawn_with_the_mouse_and_the_tool_before_comes_back(page, dock):
    before = dock.state.canvas.mapTool()
    page.drawnExtent.click()
    assert page.extentFacts.text() == "Drag a rectangle over the image."
    west, south, east, north = PATCH_BBOX
    drag(dock.state.canvas, (west + 400, north - 400), (east - 400, south + 400))
    drawn = page.extent()
    assert box(drawn) == pytest.approx((west + 400, south + 400, east - 400, north - 400), abs=15)
    assert dock.state.canvas.mapTool() is before


def test_encoding_makes_a_feature_set_and_shows_it(page, dock, tmp_path):
    folder = tmp_path / "sets" / "patch"
    result, failed = encode(page, folder)
    assert failed is None
    assert result["features"] == str(folder)
    features = dock.state.features
    assert features.path == folder
    assert box(features.extent) == box(page.extent())
    # What the encoder makes of it, after the pixels and their surroundings.
    (layer,) = QgsProject.instance().mapLayersByName("Features: patch")
    assert layer.source() == str(folder / "level_2.tif")
    assert page.note.sentence().startswith("Encoded 64 × 64 px in")
    assert "about" in page.extentFacts.text()
    assert page.setsList.topLevelItem(0).text(0).startswith("patch\n64 × 64 px")
    assert not page.running()
    assert dock.show_step("labels")
    # The next one does not go into the folder that exists now.
    assert page.folderBox.filePath() == ""


def test_the_same_again_is_taken_from_where_it_is(page, dock, tmp_path):
    folder = tmp_path / "sets" / "patch"
    encode(page, folder)
    estimate = page.extentFacts.text()
    dock.state.features = None
    result, failed = encode(page, tmp_path / "sets" / "again")
    assert failed is None
    assert page.note.sentence() == "Already encoded: taken from “patch”."
    assert (result["features"], dock.state.features.path) == (str(folder), folder)
    assert [entry.name for entry in (tmp_path / "sets").iterdir()] == ["patch"]
    # The time of a run that had nothing to do says nothing.
    assert page.extentFacts.text() == estimate
    # So it is when the folder itself is named.
    encode(page, folder)
    assert page.note.sentence() == "Already encoded: taken from “patch”."
    page.set_components(16)
    _none, sentence = encode(page, folder)
    assert "exists already" in sentence


# Runs a job of the backend, and ends as if it was killed when the first tile is on disk.
_KILLED_AFTER_A_TILE = """
import os, sys
from ssl4eo.features.engine.records import Records
from ssl4eo.jobs import no_progress
from ssl4eo.service.kinds import EncodeJob
write = Records.write
def write_and_end(*arguments):
    write(*arguments)
    os._exit(9)
Records.write = write_and_end
EncodeJob.model_validate_json(sys.argv[1]).run(no_progress)
"""


def test_an_interrupted_run_is_gone_on_with_in_the_same_folder(page, backend_command, tmp_path):
    QgsProject.instance().write(str(tmp_path / "job.qgz"))
    page.set_extent("layer")
    params = page._params()
    folder = Path(params["out"])
    folder.parent.mkdir()
    job = json.dumps({"kind": "encode", "params": params})
    command = [Path(backend_command[0]).with_name("python"), "-c", _KILLED_AFTER_A_TILE, job]
    assert subprocess.run(command, env=clean_environment(), check=False).returncode == 9
    assert not folder.exists()
    # What is left is no feature set, and the folder is still the next one.
    page.set_shown(True)
    assert page.setsList.topLevelItemCount() == 0
    assert page._params() == params
    result, failed = told(page, page.encode, "encoded")
    assert failed is None
    assert (result["features"], result["resumed"]) == (str(folder), 1)
    assert "It went on where an interrupted run had stopped, after 1 of 2 tiles." in page.note.sentence()
    assert "about" not in page.extentFacts.text()
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_the_default_folder_is_beside_the_image_and_new_each_time(page, image):
    first = Path(page._params()["out"])
    assert first == Path(image).parent / "ssl4eo" / "havel-moco-resnet18w32-s2-1"
    first.mkdir(parents=True)
    try:
        assert page._params()["out"].endswith("havel-moco-resnet18w32-s2-2")
    finally:
        first.rmdir()
        first.parent.rmdir()


def test_the_default_folder_of_a_saved_project_is_beside_it(page, tmp_path):
    QgsProject.instance().write(str(tmp_path / "job.qgz"))
    assert Path(page._params()["out"]).parent == tmp_path / "ssl4eo"


def test_a_write_protected_folder_is_left_alone(page, image):
    folder = Path(image).parent
    folder.chmod(0o555)
    try:
        assert folder not in Path(page._params()["out"]).parents
    finally:
        folder.chmod(0o755)


def test_a_folder_that_exists_is_not_written_over(page, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    _none, sentence = encode(page, tmp_path / "mine")
    assert sentence == f"“{tmp_path / 'mine'}” exists already and is not written over; choose a folder that is new."
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_made_is_one_sentence(page, tmp_path):
    (tmp_path / "file").write_text("")
    _none, sentence = encode(page, tmp_path / "file" / "patch")
    assert "cannot be made" in sentence
    assert not page.running()


def test_without_an_image_there_is_nothing_to_encode(dock):
    _none, sentence = told(dock.features, dock.features.encode, "encoded")
    assert "choose one under Imagery" in sentence


def test_a_folder_without_features_cannot_be_used(dock, tmp_path):
    assert not dock.features.use(tmp_path)
    assert "is not a feature set" in dock.features.note.sentence()
    assert dock.state.features is None


def test_cancelling_leaves_nothing_behind(page, tmp_path):
    page.set_extent("layer")
    page.set_output(tmp_path / "sets" / "never")
    page.encode()
    assert page.running()
    assert page.job.button.isHidden()
    serve_until(lambda: page.job.bar.value() > 0)
    page.job.cancel_button.click()
    assert page.job.message.text().startswith("Cancelling")
    serve_until(lambda: not page.running())
    assert page.note.sentence() == "Cancelled; nothing was written."
    assert list((tmp_path / "sets").iterdir()) == []
    assert not page.job.button.isHidden()


def test_a_backend_that_dies_is_one_sentence_and_the_next_encode_works(page, dock, panel_backend, tmp_path):
    page.set_extent("layer")
    page.set_output(tmp_path / "never")
    page.encode()
    serve_until(lambda: page.job.bar.value() > 0)
    _none, sentence = told(page, lambda: os.kill(panel_backend.pid, signal.SIGKILL), "encoded")
    assert "stopped" in sentence
    assert (page.note.sentence(), page.note.level) == (sentence, "error")
    assert not page.running()
    assert dock.state.features is None
    assert dock.state.scene is not None
    assert page.folderBox.filePath() == str(tmp_path / "never")
    result, failed = encode(page, tmp_path / "patch")
    assert failed is None
    assert Path(result["features"]).is_dir()


def test_a_feature_set_of_the_list_is_used_by_double_click(page, dock, encoded, features):
    page.use(features)
    page.use(encoded)
    assert dock.state.features.path == encoded
    assert page.useButton.isEnabled() is False
    other = page.setsList.topLevelItem(1)
    assert other.data(0, Qt.ItemDataRole.UserRole) == str(features)
    page.setsList.setCurrentItem(other)
    assert page.useButton.isEnabled()
    page.useButton.click()
    assert dock.state.features.path == features
    assert dock.state.features.crs == UTM
