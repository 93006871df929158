# SPDX-License-Identifier: GPL-2.0-or-later
"""The samples file in the hands of others: edited, locked, deleted and replaced while the panel is open."""

from __future__ import annotations

import sqlite3

import pytest
from osgeo import ogr
from qgis.core import QgsPointXY

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.samples_file import create_samples_file
from tests.qgis.canvas_helpers import UTM, on_disk
from tests.qgis.panel_helpers import serve_until
from tests.qgis.samples_helpers import X, Y, labelled_store, point


@pytest.fixture
def store(tmp_path, qgis_new_project):
    with labelled_store(tmp_path) as store:
        store.heard = []
        store.complained.connect(store.heard.append)
        yield store


def add_elsewhere(path, name: str) -> None:
    dataset = ogr.Open(str(path), 1)
    layer = dataset.GetLayerByName("samples")
    feature = ogr.Feature(layer.GetLayerDefn())
    feature["class"] = name
    feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POINT ({X + 50} {Y})"))
    layer.CreateFeature(feature)


def test_what_another_program_adds_and_changes_is_taken_up(store):
    told = []
    store.changed.connect(lambda: told.append(True))
    add_elsewhere(store.path, "sand")
    serve_until(lambda: told, 10)
    assert store.counts() == {"forest": 1, "water": 1, "sand": 1}
    assert len(store.samples_json()) == 3
    # It is not ours to take back.
    store.undo()
    assert store.counts() == {"forest": 1, "water": 0, "sand": 1}


def test_our_own_writes_are_told_once(store):
    told = []
    store.changed.connect(lambda: told.append(True))
    store.add(point(X, Y + 50), UTM, "water")
    looked = []
    store._watch.touched.connect(lambda: looked.append(True))
    serve_until(lambda: looked, 10)
    assert told == [True]


def test_a_locked_file_is_a_sentence_and_the_next_click_goes_through(store):
    other = sqlite3.connect(store.path)
    other.execute("BEGIN EXCLUSIVE")
    before = store.samples_json()
    for act in (
        lambda: store.add(point(X, Y + 50), UTM, "water"),
        lambda: store.remove_at(QgsPointXY(X, Y), UTM, 5),
        lambda: store.rename_class("water", "lake"),
        store.undo,
    ):
        with pytest.raises(CanvasError, match="cannot be written"):
            act()
    assert store.samples_json() == before
    assert list(store.classes()) == ["forest", "water"]
    other.rollback()
    other.close()
    store.add(point(X, Y + 50), UTM, "water")
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["forest", "water", "water"]
    store.undo()
    store.undo()
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["forest"]


@pytest.mark.parametrize("notice", ["by itself", "at the next click"])
def test_a_deleted_file_is_written_again_and_no_label_is_lost(store, notice):
    store.path.unlink()
    if notice == "by itself":
        serve_until(lambda: store.heard, 10)
        assert len(on_disk(store.path, "samples")) == 2
    store.add(point(X, Y + 50), UTM, "water")
    (sentence,) = store.heard
    assert "was deleted by another program; its 2 samples were written again" in sentence
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["forest", "water", "water"]
    assert [(name, color.name()) for name, color in store.classes().items()] == [
        ("forest", "#1b7837"),
        ("water", "#2166ac"),
    ]
    store.undo()
    store.undo()
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["forest"]
    assert store.points.isValid()
    assert store.points.featureCount() == 1


def test_an_empty_file_in_its_place_counts_as_deleted(store):
    store.path.unlink()
    store.path.touch()
    store.add(point(X, Y + 50), UTM, "water")
    assert "was deleted by another program" in store.heard[0]
    assert len(on_disk(store.path, "samples")) == 3


def test_a_folder_that_is_gone_is_a_sentence(store, tmp_path):
    (tmp_path / "moved").mkdir()
    home = store.path.parent
    hidden = home.with_name(f"{home.name}-moved")
    home.rename(hidden)
    home.write_text("a file where the folder was")
    with pytest.raises(CanvasError, match="cannot be written"):
        store.add(point(X, Y + 50), UTM, "water")
    assert len(store.samples_json()) == 2
    home.unlink()
    hidden.rename(home)
    store.add(point(X, Y + 50), UTM, "water")
    assert len(on_disk(store.path, "samples")) == 3


def test_a_replaced_file_is_opened_anew(store, tmp_path):
    create_samples_file(tmp_path / "other.gpkg", UTM)
    add_elsewhere(tmp_path / "other.gpkg", "sand")
    (tmp_path / "other.gpkg").replace(store.path)
    serve_until(lambda: store.heard, 10)
    assert "replaced by another program; the panel now shows its 1 samples" in store.heard[0]
    store.add(point(X, Y + 50), UTM, "water")
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["sand", "water"]
    assert store.counts() == {"forest": 0, "water": 1, "sand": 1}
    # The steps before were of the other file.
    store.undo()
    assert not store.undo()
    assert [row["class"] for row in on_disk(store.path, "samples")] == ["sand"]


def test_something_else_in_its_place_is_refused_and_left_alone(store, tmp_path):
    (tmp_path / "other").write_bytes(b"not a database")
    (tmp_path / "other").replace(store.path)
    with pytest.raises(CanvasError, match="is not a samples file"):
        store.add(point(X, Y + 50), UTM, "water")
    assert store.path.read_bytes() == b"not a database"
    assert len(store.samples_json()) == 2
