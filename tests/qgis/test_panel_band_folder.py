# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening a folder of band files with the real backend: one image at 10 m, cancelled, refused, and beside what."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from qgis.core import QgsProject

from tests.qgis.panel_helpers import serve_until, told


@pytest.fixture
def folder(shared_data, tmp_path) -> Path:
    """A copy of a real BigEarthNet patch: twelve files at 10, 20 and 60 m."""
    (source,) = [path for path in (shared_data / "bigearthnet").iterdir() if path.is_dir()]
    return Path(shutil.copytree(source, tmp_path / "patch"))


def open_folder(dock, folder, done: str = "inspected"):
    return told(dock.imagery, lambda: dock.imagery.open_folder(str(folder)), done)


def test_a_folder_becomes_one_image_that_is_chosen(dock, folder, tmp_path):
    info, failed = open_folder(dock, folder)
    assert failed is None
    made = tmp_path / "ssl4eo" / "patch-10m.tif"
    assert (info["path"], info["width"], info["height"]) == (str(made), 120, 120)
    assert len(info["bands"]) == 12
    assert info["needs"] == []
    page = dock.imagery
    assert page.layer().source() == str(made)
    assert not page.job.isVisibleTo(page)
    assert page.note.sentence() == ""
    assert dock.show_step("features")


def test_the_image_of_a_saved_project_goes_beside_it_and_overwrites_nothing(dock, folder, tmp_path):
    (tmp_path / "work").mkdir()
    QgsProject.instance().write(str(tmp_path / "work" / "job.qgz"))
    made = dock.imagery._folder.target(str(folder))
    assert made == tmp_path / "work" / "ssl4eo" / "patch-10m.tif"
    made.parent.mkdir()
    made.write_bytes(b"mine")
    assert dock.imagery._folder.target(str(folder)).name == "patch-10m-2.tif"
    assert dock.imagery._folder.target("/data/S2A_MSIL1C_2020.SAFE").name == "S2A_MSIL1C_2020-10m.tif"


def test_a_folder_without_rasters_is_one_sentence(dock, tmp_path):
    (tmp_path / "letters").mkdir()
    _none, sentence = open_folder(dock, tmp_path / "letters")
    assert "letters" in sentence
    assert (dock.imagery.note.sentence(), dock.imagery.note.level) == (sentence, "error")
    assert not (tmp_path / "ssl4eo").exists()


def test_cancelling_writes_nothing(panel, stand_in, tmp_path):
    (tmp_path / "bands").mkdir()
    page = panel.imagery
    found = {"sensor": "S2", "level": "L1C", "date": None, "needs": [], "files": ["a", "b"]}
    stand_in.infos[str(tmp_path / "bands")] = found
    page.open_folder(str(tmp_path / "bands"))
    serve_until(stand_in.running)
    out = tmp_path / "ssl4eo" / "bands-10m.tif"
    assert stand_in.submitted == [("harmonise", {"scene": str(tmp_path / "bands"), "out": str(out)})]
    assert page.note.sentence() == "Sentinel-2 Level-1C, 2 files: putting its bands on one grid…"
    stand_in.advance(0.5, "Writing")
    serve_until(lambda: page.job.bar.value() == 500)
    assert page.job.isVisibleTo(page)
    _none, sentence = told(page, lambda: page.open_folder(str(tmp_path / "bands")), "inspected")
    assert sentence.startswith("A folder is being opened already")
    page.job.cancel_button.click()
    serve_until(lambda: not page.job.running())
    assert page.note.sentence() == "Cancelled; nothing was written."
    assert not page.job.isVisibleTo(page)
    assert QgsProject.instance().mapLayers() == {}


def test_what_the_folder_needs_is_said_before_anything_is_written(panel, stand_in, tmp_path):
    (tmp_path / "bands").mkdir()
    stand_in.infos[str(tmp_path / "bands")] = {"needs": ["Say which band a.tif is."]}
    _none, sentence = told(panel.imagery, lambda: panel.imagery.open_folder(str(tmp_path / "bands")), "inspected")
    assert sentence == "“bands” cannot be made into one image yet: Say which band a.tif is."
    assert stand_in.submitted == []
