# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on a real scene in the real QGIS: encode, click samples with the mouse, classify, close.

Screenshots and logs stay in build/e2e.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyogrio.raw
import pytest
import qgis_window
import rasterio
import shapely
from PIL import Image
from ssl4eo.encoders.cards import DEFAULT_ENCODER

from tests.e2e import havel

PER_CLASS = 6
# Seconds for the whole run; it takes about one minute on two idle cores.
LIMIT = 420
# Share of the held-out pixels of a class that the map must call by its name: three classes, so chance is 0.33. Fields
# in winter are the hardest: some are bare, some green, and OSM tells neither.
MEAN_RECALL, LEAST_RECALL = 0.7, 0.5


@pytest.fixture(scope="module")
def places(shared_data: Path) -> havel.Places:
    return havel.places(shared_data / "havel_l1c" / "osm_landuse.gpkg", PER_CLASS)


@pytest.fixture(scope="module")
def run(
    repository: Path, shared_data: Path, places: havel.Places, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What came of one run of QGIS, from start to close."""
    # A copy, because QGIS writes statistics beside an image.
    source = shared_data / "havel_l1c" / "s2l1c_13band_10m.tif"
    scene = shutil.copyfile(source, tmp_path_factory.mktemp("scene") / source.name)
    out = repository / "build" / "e2e"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    plan = {
        "scene": str(scene),
        "layer_name": "Havel 2017-02-16",
        "title": "SSL4EO end-to-end test",
        "notice": None,
        "extent": havel.EXTENT,
        "features": str(out / "features"),
        "map": str(out / "map.tif"),
        "classes": havel.CLASSES,
        "samples": places.samples,
        "encoder": DEFAULT_ENCODER,
        "mouse": "x11",
        "screenshots": str(out),
        "stay_open": False,
        "limit": LIMIT,
        "result": str(out / "result.json"),
    }
    return qgis_window.run(plan, out, [str(repository / ".venv" / "bin" / "ssl4eo")], LIMIT + 60)


def test_nothing_was_refused_and_nothing_broke(run: dict[str, Any]) -> None:
    assert run["failed"] == []
    assert run["exceptions"] == []


def test_the_scene_was_recognised(run: dict[str, Any]) -> None:
    assert (run["info"]["sensor"], run["info"]["level"]) == ("S2", "L1C")
    assert run["info"]["needs"] == []


def test_the_extent_was_encoded(run: dict[str, Any]) -> None:
    assert run["encoded"]["encoder"] == DEFAULT_ENCODER
    folder = Path(run["encoded"]["features"])
    with rasterio.open(folder / "level_0.tif") as level:
        assert (level.width, level.height) == (havel.SIDE, havel.SIDE)
        np.testing.assert_allclose(tuple(level.bounds), havel.EXTENT, atol=1e-6)
    assert json.loads((folder / "item.json").read_text("utf-8"))["type"] == "Feature"


def test_each_click_of_the_mouse_became_a_sample_where_it_fell(run: dict[str, Any], places: havel.Places) -> None:
    assert len(run["clicks"]) == len(places.samples) >= 8
    meta, _, shapes, columns = pyogrio.raw.read(run["samples_file"], layer="samples")
    names = columns[list(meta["fields"]).index("class")]
    assert len(names) == len(places.samples)
    assert run["counts"] == Counter(sample["class"] for sample in places.samples)
    for sample in places.samples:
        stored = shapely.from_wkb(shapes[names == sample["class"]])
        # One pixel of the canvas is about 7 m here.
        assert shapely.distance(stored, shapely.Point(sample["x"], sample["y"])).min() < 15


def test_the_map_is_right_at_places_that_nobody_clicked(
    run: dict[str, Any], places: havel.Places, repository: Path
) -> None:
    truth = havel.held_out_classes(places)
    with rasterio.open(run["classified"]["map"]) as dataset:
        codes = dataset.read(1)
        assert dataset.crs.to_epsg() == 32633
        np.testing.assert_allclose(tuple(dataset.bounds), havel.EXTENT, atol=1e-6)
        names = {name: int(code) for code, name in json.loads(dataset.tags()["CLASS_NAMES"]).items()}
    assert set(names) == set(havel.CLASSES)
    # Four pixels of the scene hold no data in one band.
    assert (codes == 0).mean() < 0.001
    recall = {name: float((codes[truth == i + 1] == names[name]).mean()) for i, name in enumerate(havel.CLASSES)}
    (repository / "build" / "e2e" / "recall.json").write_text(json.dumps(recall), "utf-8")
    assert np.mean(list(recall.values())) > MEAN_RECALL, recall
    assert min(recall.values()) > LEAST_RECALL, recall


def test_the_saved_map_is_the_map(run: dict[str, Any], repository: Path) -> None:
    with rasterio.open(run["classified"]["map"]) as shown, rasterio.open(repository / "build/e2e/map.tif") as saved:
        np.testing.assert_array_equal(shown.read(1), saved.read(1))
        assert saved.colormap(1)


def test_the_backend_ended_with_qgis(run: dict[str, Any]) -> None:
    assert run["backend_pid"]
    give_up = time.monotonic() + 10
    while psutil.pid_exists(run["backend_pid"]) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not psutil.pid_exists(run["backend_pid"])


@pytest.mark.parametrize("name", ["1-imagery", "2-features", "3-labels", "4-map"])
def test_screenshots_are_kept(run: dict[str, Any], repository: Path, name: str) -> None:
    with Image.open(repository / "build" / "e2e" / f"{name}.png") as picture:
        assert picture.size == qgis_window.SCREEN
        # A window that was not drawn is one flat colour.
        assert np.asarray(picture.convert("L")).std() > 20
