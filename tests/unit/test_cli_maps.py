# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo encode` and `ssl4eo classify` through the command line and through the service: the same map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from ssl4eo.cli import main
from ssl4eo.jobs import JobQueue
from ssl4eo.scenes.simulation import simulate
from ssl4eo.service.kinds import ClassifyJob

WINDOW = (64, 32, 192, 192)
PER_CLASS = 12


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scene, its features, and points in its true classes."""
    folder = tmp_path_factory.mktemp("maps")
    simulate(folder / "scene.tif", size=256, seed=5)
    window = ",".join(map(str, WINDOW))
    made = run("encode", folder / "scene.tif", folder / "features", "--window", window, "--device", "cpu", "--json")
    assert made.exit_code == 0, made.stderr
    (folder / "encode.json").write_text(made.stdout)
    points = places(folder / "scene_classes.tif")
    (folder / "points.geojson").write_text(json.dumps(points))
    one = [feature for feature in points["features"] if feature["properties"]["class"] == "forest"]
    (folder / "one_class.geojson").write_text(json.dumps({**points, "features": one}))
    far = [{**feature, "geometry": {"type": "Point", "coordinates": [0.0, 0.0]}} for feature in points["features"]]
    (folder / "outside.geojson").write_text(json.dumps({**points, "features": far}))
    return folder


def places(truth: Path) -> dict[str, Any]:
    """Return points in the window, some of each class, at pixel centres; GeoJSON with the scene's CRS."""
    rng = np.random.default_rng(0)
    with rasterio.open(truth) as dataset:
        classes, transform = dataset.read(1), dataset.transform
        names = json.loads(dataset.tags()["CLASS_NAMES"])
    col, row, width, height = WINDOW
    inside = np.zeros(classes.shape, bool)
    inside[row : row + height, col : col + width] = True
    features = []
    for code, name in names.items():
        for at in rng.choice(np.flatnonzero((classes == int(code)) & inside), PER_CLASS, replace=False):
            y, x = divmod(int(at), classes.shape[1])
            point = {"type": "Point", "coordinates": list(transform @ (x + 0.5, y + 0.5))}
            features.append({"type": "Feature", "properties": {"class": name}, "geometry": point})
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    return {"type": "FeatureCollection", "crs": crs, "features": features}


def agreement(map_path: Path, truth: Path) -> float:
    """Return the share of pixels whose class name is the true one."""
    with rasterio.open(map_path) as made, rasterio.open(truth) as dataset:
        col, row, width, height = WINDOW
        codes, true = made.read(1), dataset.read(1)[row : row + height, col : col + width]
        of_map, of_truth = (json.loads(source.tags()["CLASS_NAMES"]) for source in (made, dataset))
    assert codes.shape == true.shape
    names = np.array(["", *of_map.values()])[codes]
    return float((names == np.array(["", *of_truth.values()])[true]).mean())


def test_encode_answers_what_the_design_says(folder: Path) -> None:
    result = json.loads((folder / "encode.json").read_text())
    assert {"features", "encoder", "device", "precision", "windows", "seconds", "peak_memory_mb", "levels"} <= set(
        result
    )
    assert result["features"] == str(folder / "features")
    assert result["device"] == "cpu"


def test_classify_makes_a_named_map_and_the_service_makes_the_same(folder: Path) -> None:
    arguments = (folder / "features", folder / "points.geojson", folder / "map.tif")
    made = run("classify", *arguments, "--color", "forest=#123456", "--json")
    assert made.exit_code == 0, made.stderr
    result = json.loads(made.stdout)
    assert {"map", "classes", "head", "samples", "seconds"} <= set(result)
    assert result["samples"] == PER_CLASS * len(result["classes"])
    code = next(int(key) for key, name in result["classes"].items() if name == "forest")
    with rasterio.open(folder / "map.tif") as dataset:
        assert dataset.colormap(1)[code][:3] == (0x12, 0x34, 0x56)
    # Seven classes from a dozen clicks each; guessing gives a seventh.
    assert agreement(folder / "map.tif", folder / "scene_classes.tif") > 0.6

    features, samples, _ = map(str, arguments)
    params = {"features": features, "samples": samples, "out": str(folder / "served.tif")}
    queue = JobQueue()
    try:
        job = queue.submit("classify", ClassifyJob.model_validate({"kind": "classify", "params": params}).run)
        finished = queue.wait(job.id, timeout=120)
        assert finished is not None
        assert finished.state == "done", finished.error
    finally:
        queue.shutdown()
    with rasterio.open(folder / "map.tif") as one, rasterio.open(folder / "served.tif") as other:
        assert np.array_equal(one.read(1), other.read(1))


def test_classify_prints_the_classes_for_people(folder: Path) -> None:
    made = run("classify", folder / "features", folder / "points.geojson", folder / "shown.tif")
    assert made.exit_code == 0, made.stderr
    assert "settlement" in made.stdout
    assert f"Class map: {folder / 'shown.tif'}" in made.stdout


@pytest.mark.parametrize(
    ("features", "samples", "options", "word"),
    [
        ("none", "points.geojson", [], "none"),
        ("features", "none.gpkg", [], "none.gpkg"),
        ("features", "one_class.geojson", [], "class"),
        ("features", "outside.geojson", [], "outside"),
        ("features", "points.geojson", ["--class-field", "kind"], "kind"),
        ("features", "points.geojson", ["--head", "oracle"], "oracle"),
        ("features", "points.geojson", ["--color", "forest=green"], "forest=green"),
    ],
)
def test_what_cannot_be_classified_is_said(
    folder: Path, tmp_path: Path, features: str, samples: str, options: list[str], word: str
) -> None:
    result = run("classify", folder / features, folder / samples, tmp_path / "map.tif", *options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert word in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_map_in_no_folder_is_refused(folder: Path) -> None:
    result = run("classify", folder / "features", folder / "points.geojson", folder / "none" / "map.tif")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
