# SPDX-License-Identifier: GPL-2.0-or-later
"""The live map in the real QGIS: it follows ten clicks of the mouse, undo and redo, a dead backend and a saved project.

Screenshots and logs stay in build/e2e-live.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio.raw
import pytest
import qgis_window
import rasterio
from PIL import Image

from tests.e2e import havel

if TYPE_CHECKING:
    from pathlib import Path

CLICKS = 10
# Seconds for the whole run; it takes about half a minute on two idle cores.
LIMIT = 300
# Share of the held-out pixels that twelve clicks must get right; three classes, so chance is 0.33.
RECALL = 0.6


@pytest.fixture(scope="module")
def places(shared_data: Path) -> havel.Places:
    """The ten places that are clicked first, each class in turn, one for after the crash and one for after opening."""
    found = havel.places(shared_data / "havel_l1c" / "osm_landuse.gpkg", 6)
    by_class = [[sample for sample in found.samples if sample["class"] == name] for name in havel.CLASSES]
    in_turn = [sample for group in itertools.zip_longest(*by_class) for sample in group if sample is not None]
    return havel.Places(in_turn[: CLICKS + 2], found.held_out)


@pytest.fixture(scope="module")
def run(
    repository: Path, shared_data: Path, places: havel.Places, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What came of one run of QGIS, from start to close."""
    # A copy, because QGIS writes statistics beside an image.
    source = shared_data / "havel_l1c" / "s2l1c_13band_10m.tif"
    scene = shutil.copyfile(source, tmp_path_factory.mktemp("scene") / source.name)
    out = repository / "build" / "e2e-live"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    backend = str(repository / ".venv" / "bin" / "ssl4eo")
    window = ",".join(map(str, (havel.COLUMN, havel.ROW, havel.SIDE, havel.SIDE)))
    encode = [backend, "encode", str(scene), str(out / "features"), "--window", window]
    subprocess.run(encode, check=True, capture_output=True)
    plan = {
        "driver": "qgis_live",
        "scene": str(scene),
        "layer_name": "Havel 2017-02-16",
        "title": "SSL4EO live map test",
        "notice": None,
        "extent": havel.EXTENT,
        "features": str(out / "features"),
        "classes": havel.CLASSES,
        "samples": places.samples,
        "project": str(out / "project.qgz"),
        "grid": 40,
        "mouse": "x11",
        "screenshots": str(out),
        "stay_open": False,
        "limit": LIMIT,
        "result": str(out / "result.json"),
    }
    return qgis_window.run(plan, out, [backend], LIMIT + 60)


def test_nothing_was_refused_and_nothing_broke(run: dict[str, Any]) -> None:
    assert run["failed"] == []
    assert run["exceptions"] == []


def test_the_map_follows_each_click(run: dict[str, Any]) -> None:
    assert len(run["clicks"]) == CLICKS
    assert all(click["added"] == 1 for click in run["clicks"])
    # One class alone makes no map; from the second on each answer comes with one.
    ready = [click["times"]["ready"] for click in run["clicks"]]
    assert ready == [False] + [True] * (CLICKS - 1)
    there = [click["says"] == click["class"] for click in run["clicks"][1:]]
    # A place that was just clicked is what it was called, but for one that looks like another class.
    assert sum(there) >= CLICKS - 2


def test_undo_goes_back_to_none_and_redo_to_the_same_map(run: dict[str, Any]) -> None:
    assert run["undone"] == 0
    assert run["redone"] == CLICKS


def test_a_backend_that_is_killed_comes_back_with_the_next_click(run: dict[str, Any]) -> None:
    after = run["after_kill"]
    assert after["pid"] not in (None, run["killed"])
    assert after["added"] == 1
    assert after["times"]["ready"]


def test_a_saved_project_comes_back_with_its_live_map(run: dict[str, Any]) -> None:
    assert "Live map" not in run["layers_of_no_project"]
    assert "Live map" in run["layers_after_opening"]
    assert all(run["layers_after_opening"].values())
    assert not run["dirty_after_opening"]
    assert run["after_reopening"]["times"]["ready"]


def test_every_label_is_in_the_file_after_all_that(run: dict[str, Any], places: havel.Places) -> None:
    meta, _, _, columns = pyogrio.raw.read(run["samples_file"], layer="samples")
    names = columns[list(meta["fields"]).index("class")]
    assert Counter(names) == Counter(sample["class"] for sample in places.samples) == run["counts"]


def test_the_map_is_right_at_places_that_nobody_clicked(
    run: dict[str, Any], places: havel.Places, repository: Path
) -> None:
    truth = havel.held_out_classes(places)
    rows, columns = np.nonzero(truth)
    xs = havel.EXTENT[0] + (columns + 0.5) * havel.PIXEL
    ys = havel.EXTENT[3] - (rows + 0.5) * havel.PIXEL
    with rasterio.open(repository / "build" / "e2e-live" / "live.tif") as live:
        codes = np.array([int(value[0]) for value in live.sample(zip(xs, ys, strict=True))])
    recall = [float((codes[truth[rows, columns] == code] == code).mean()) for code in (1, 2, 3)]
    assert np.mean(recall) > RECALL, recall


@pytest.mark.parametrize("name", ["1-labelled", "2-after-kill", "3-undone", "4-reopened", "5-likeness"])
def test_screenshots_are_kept(run: dict[str, Any], repository: Path, name: str) -> None:
    with Image.open(repository / "build" / "e2e-live" / f"{name}.png") as picture:
        assert picture.size == qgis_window.SCREEN
        # A window that was not drawn is one flat colour.
        assert np.asarray(picture.convert("L")).std() > 20
