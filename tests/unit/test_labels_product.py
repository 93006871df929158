# SPDX-License-Identifier: GPL-2.0-or-later
"""From samples to what leaves the house: map, confidence, polygons, classifier, suggestions and an assessment."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from pydantic import TypeAdapter
from ssl4eo.cli import main
from ssl4eo.jobs import no_progress
from ssl4eo.labels.assessment.accuracy import estimate
from ssl4eo.scenes.simulation import simulate
from ssl4eo.service.kinds import JobRequest

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def answer(*arguments: object) -> dict[str, Any]:
    made = run(*arguments, "--json")
    assert made.exit_code == 0, made.stderr
    return json.loads(made.stdout)


def job(kind: str, **params: object) -> dict[str, Any]:
    return TypeAdapter(JobRequest).validate_python({"kind": kind, "params": params}).run(no_progress)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scene, its features, points in its true classes, and all that `classify` writes."""
    folder = tmp_path_factory.mktemp("product")
    simulate(folder / "scene.tif", size=256, seed=5)
    answer("encode", folder / "scene.tif", folder / "set", "--device", "cpu")
    with rasterio.open(folder / "scene_classes.tif") as dataset:
        codes, names = dataset.read(1), json.loads(dataset.tags()["CLASS_NAMES"])
        rng, features = np.random.default_rng(0), []
        for code, name in names.items():
            for at in rng.choice(np.flatnonzero(codes == int(code)), 10, replace=False):
                row, col = divmod(int(at), codes.shape[1])
                point = {"type": "Point", "coordinates": dataset.xy(row, col)}
                features.append({"type": "Feature", "properties": {"class": name}, "geometry": point})
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (folder / "points.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    result = answer(
        "classify", folder / "set", folder / "points.geojson", folder / "map.tif", "--confidence", folder / "sure.tif",
        "--polygons", folder / "map.gpkg", "--min-area", 0.1, "--save-classifier", folder / "learnt.npz",
    )  # fmt: skip
    (folder / "classify.json").write_text(json.dumps(result))
    return folder


def test_areas_and_polygons_are_those_of_the_map(folder: Path) -> None:
    result = json.loads((folder / "classify.json").read_text())
    with rasterio.open(folder / "map.tif") as dataset:
        codes = dataset.read(1)
    hectares = {name: float((codes == int(code)).sum()) / 100 for code, name in result["classes"].items()}
    # On the ellipsoid, which UTM shows up to 0.04 % smaller or larger.
    assert result["areas_ha"] == pytest.approx(hectares, rel=2e-3)
    _, _, shapes, columns = pyogrio.raw.read(folder / "map.gpkg", layer="classes")
    assert shapely.is_valid(shapely.from_wkb(shapes)).all()
    assert shapely.area(shapely.from_wkb(shapes)).sum() == pytest.approx(codes.size * 100, rel=0.01)
    assert columns is not None


def test_confidence_is_a_percentage_that_is_higher_where_the_map_is_right(folder: Path) -> None:
    with (
        rasterio.open(folder / "map.tif") as made,
        rasterio.open(folder / "sure.tif") as sure,
        rasterio.open(folder / "scene_classes.tif") as truth,
    ):
        names, true = (json.loads(dataset.tags()["CLASS_NAMES"]) for dataset in (made, truth))
        named = np.array(["", *names.values()])[made.read(1)]
        right = named == np.array(["", *true.values()])[truth.read(1)]
        percent = sure.read(1)
    assert percent.max() <= 100
    assert percent[right].mean() > percent[~right].mean() + 5


def test_a_saved_classifier_makes_the_same_map_again(folder: Path) -> None:
    answer("classify", folder / "set", folder / "again.tif", "--classifier", folder / "learnt.npz")
    job("classify", features=str(folder / "set"), out=str(folder / "job.tif"), classifier=str(folder / "learnt.npz"))
    maps = [rasterio.open(folder / name).read(1) for name in ("map.tif", "again.tif", "job.tif")]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["points.geojson", "x.tif", "--head", "tree"], "no head 'tree'"),
        (["points.geojson", "x.tif", "--balance", "even"], "no balance 'even'"),
        (["points.geojson", "x.tif", "--none-beyond", "1.5"], "give none_beyond from 0 to 1"),
        (["points.geojson", "x.tif", "--classifier", "learnt.npz"], "both samples and a classifier"),
        (["x.tif"], "Name both SAMPLES and OUT"),
    ],
)
def test_what_classify_refuses_leaves_nothing(folder: Path, options: list[str], words: str) -> None:
    files = ("points.geojson", "x.tif", "learnt.npz")
    made = run("classify", folder / "set", *(folder / text if text in files else text for text in options))
    assert made.exit_code == 2
    assert words in made.stderr
    assert not (folder / "x.tif").exists()


@pytest.mark.parametrize("option", [None, "--confidence"])
def test_the_image_is_not_overwritten(folder: Path, option: str | None) -> None:
    before = (folder / "scene.tif").read_bytes()
    out = [folder / "x.tif", option, folder / "scene.tif"] if option else [folder / "scene.tif"]
    made = run("classify", folder / "set", folder / "points.geojson", *out)
    assert made.exit_code == 2
    assert "the image that it was made of; give the result another name" in made.stderr
    assert (folder / "scene.tif").read_bytes() == before
    assert not (folder / "x.tif").exists()


def test_suggestions_are_typical_at_first_and_then_uncertain(folder: Path) -> None:
    first = answer("suggest", folder / "set", "--count", 4)
    assert first["strategy"] == "typical"
    later = answer("suggest", folder / "set", folder / "points.geojson", "--out", folder / "next.gpkg")
    assert later["strategy"] == "uncertain"
    assert [place["rank"] for place in later["suggestions"]] == [1, 2, 3, 4, 5]
    with rasterio.open(folder / "map.tif") as dataset:
        for place in [*first["suggestions"], *later["suggestions"]]:
            row, col = dataset.index(place["x"], place["y"])
            assert 0 <= row < dataset.height
            assert 0 <= col < dataset.width
    _, _, shapes, _ = pyogrio.raw.read(folder / "next.gpkg")
    there = shapely.get_coordinates(shapely.from_wkb(shapes))
    np.testing.assert_allclose(there, [[place["x"], place["y"]] for place in later["suggestions"]])
    assert job("suggest", features=str(folder / "set"), count=4)["suggestions"] == first["suggestions"]


def test_the_estimates_are_those_of_a_published_example() -> None:
    """Two strata of 828,837 and 33,067,283 units (mapac, `aa_card`; Card 1982, Olofsson et al. 2014)."""
    areas = np.array([828_837.0, 33_067_283.0])
    found = estimate(np.array([[410, 26], [67, 369]]), areas / areas.sum())
    assert found.overall[0] == pytest.approx(0.8486, abs=5e-5)
    assert found.overall[1] == pytest.approx(0.0169, abs=5e-5)
    np.testing.assert_allclose(found.users[0], [0.940, 0.846], atol=5e-4)
    np.testing.assert_allclose(found.producers[0], [0.133, 0.998], atol=5e-4)
    assert found.shares[0][0] == pytest.approx(0.1729, abs=5e-5)
    assert 1.96 * found.shares[1][0] == pytest.approx(0.0331, abs=1e-4)


def test_an_assessment_finds_the_accuracy_of_the_map(folder: Path) -> None:
    points = folder / "points.gpkg"
    drawn = answer("assess-sample", folder / "map.tif", points, "--target-se", 0.02, "--per-class", 20)
    assert drawn["points"] == sum(drawn["per_class"].values())
    with rasterio.open(folder / "scene_classes.tif") as truth, rasterio.open(folder / "map.tif") as made:
        names, classes = json.loads(truth.tags()["CLASS_NAMES"]), truth.read(1)
        true = np.array(["", *names.values()])[classes]
        of_map = np.array(["", *json.loads(made.tags()["CLASS_NAMES"]).values()])[made.read(1)]
        _, ids, shapes, fields = pyogrio.raw.read(points, layer="samples", return_fids=True)
        assert fields is not None
        places = shapely.get_coordinates(shapely.from_wkb(shapes))
        answers = [true[truth.index(x, y)] for x, y in places]
    with sqlite3.connect(points) as file:
        # Triggers of the GeoPackage's index need functions that only GDAL has; the class is in no index.
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f'DROP TRIGGER "{name}"')
        for fid, name in zip(ids, answers, strict=True):
            file.execute('UPDATE samples SET "class" = ? WHERE fid = ?', (str(name), int(fid)))
    file.close()
    result = answer(
        "assess", folder / "map.tif", points, "--report", folder / "report.html", "--csv", folder / "report.csv"
    )
    assert result["points"] == drawn["points"]
    overall = result["overall"]
    assert abs(overall["value"] - float((of_map == true).mean())) < 1.5 * overall["interval"]
    for name, row in result["classes"].items():
        area = float((true == name).sum()) / 100
        assert abs(row["area_ha"]["value"] - area) < 2 * row["area_ha"]["interval"] + 1, name
    page = (folder / "report.html").read_text("utf-8")
    assert "settlement" in page
    assert "http://" not in page
    assert (folder / "report.csv").stat().st_size > 100
    assert job("assess", map=str(folder / "map.tif"), samples=str(points))["overall"] == overall


def test_an_assessment_without_answers_is_refused(folder: Path) -> None:
    job("assess_sample", map=str(folder / "map.tif"), out=str(folder / "blank.gpkg"), target_se=0.05, per_class=5)
    made = run("assess", folder / "map.tif", folder / "blank.gpkg")
    assert made.exit_code == 2
    assert "answer them first" in made.stderr
