# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples from vector files: what is read, in which CRS, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyogrio
import pytest
import shapely
from label_files import UTM, pixel_box, pixel_point, write_samples
from rasterio.warp import transform
from scene_files import write_raster
from ssl4eo.errors import InputError
from ssl4eo.labels import read_samples
from ssl4eo.labels.samples import class_name

if TYPE_CHECKING:
    from pathlib import Path

TWO = [pixel_point(3, 4), pixel_point(30, 40)]


def test_points_and_polygons_of_all_layers_with_the_field(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "s.gpkg", TWO, ["forest", "water"], layer="points", kind="Point")
    boxes = [pixel_box(1, 1, 5, 5), shapely.MultiPolygon([pixel_box(20, 20, 3, 3), pixel_box(40, 20, 3, 3)])]
    write_samples(path, boxes, [" farm ", "forest"], layer="polygons", append=True)
    write_samples(path, TWO, ["a", "b"], layer="other", field="kind", append=True, kind="Point")
    samples = read_samples(path, UTM)
    assert samples.labels == ("forest", "water", "farm", "forest")
    assert samples.names == ["farm", "forest", "water"]
    assert [geometry.geom_type for geometry in samples.geometries] == ["Point", "Point", "Polygon", "MultiPolygon"]
    assert samples.ids == ("points:1", "points:2", "polygons:1", "polygons:2")
    assert read_samples(path, UTM, layer="points").labels == ("forest", "water")
    assert read_samples(path, UTM, class_field="kind").labels == ("a", "b")
    assert samples.warnings == ()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:25833", "EPSG:32632"])
@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_any_crs_comes_to_the_scenes(tmp_path: Path, crs: str, suffix: str) -> None:
    xs, ys = transform(UTM, crs, [point.x for point in TWO], [point.y for point in TWO])
    moved = [shapely.Point(x, y) for x, y in zip(xs, ys, strict=True)]
    samples = read_samples(write_samples(tmp_path / f"s.{suffix}", moved, ["a", "b"], crs=crs), UTM)
    found = np.array([(geometry.x, geometry.y) for geometry in samples.geometries])
    np.testing.assert_allclose(found, [(point.x, point.y) for point in TWO], atol=0.05)


def test_the_real_polygons(shared_data: Path) -> None:
    samples = read_samples(shared_data / "havel_l1c/osm_landuse.gpkg", "EPSG:32633", class_field="fclass")
    assert len(samples) == 544
    assert samples.names == ["farm", "forest", "grass", "meadow", "residential", "scrub", "water", "wetland"]
    assert samples.labels.count("wetland") == 55


def test_numbers_are_names_in_the_order_of_their_values(tmp_path: Path) -> None:
    points = [*TWO, pixel_point(5, 5)]
    samples = read_samples(write_samples(tmp_path / "s.gpkg", points, [10, 9, 2]), UTM)
    assert samples.names == ["2", "9", "10"]
    samples = read_samples(write_samples(tmp_path / "f.gpkg", points, [10.0, 2.5, 2.0]), UTM)
    assert samples.names == ["2", "2.5", "10"]


def test_class_names_are_one_printable_line() -> None:
    assert class_name(" a\n b\x00\t c ") == "a b c"
    assert class_name(None) == class_name(float("nan")) == class_name("  ") == ""


def test_samples_for_the_assessment_do_not_train(tmp_path: Path) -> None:
    points = [*TWO, pixel_point(5, 5)]
    path = write_samples(tmp_path / "s.gpkg", points, ["a", "b", "c"], role=["train", None, "Assess"])
    samples = read_samples(path, UTM)
    assert samples.labels == ("a", "b")
    assert samples.ids == ("s:1", "s:2")
    assert samples.warnings == ("1 sample was set aside for the accuracy assessment.",)


def test_a_sample_without_geometry_is_left_out(tmp_path: Path) -> None:
    samples = read_samples(write_samples(tmp_path / "s.gpkg", [*TWO, None], ["a", "b", ""]), UTM)
    assert samples.labels == ("a", "b")
    assert samples.warnings == ("1 sample was without geometry.",)


def test_an_outline_that_crosses_itself_is_repaired(tmp_path: Path) -> None:
    x, y = TWO[0].x, TWO[0].y
    bow_tie = shapely.Polygon([(x, y), (x + 100, y + 100), (x + 100, y), (x, y + 100)])
    flat = shapely.Polygon([(x, y), (x + 100, y), (x + 50, y)])
    samples = read_samples(write_samples(tmp_path / "s.gpkg", [bow_tie, flat], ["a", "b"]), UTM)
    assert samples.geometries[0].is_valid
    assert samples.geometries[0].area == pytest.approx(5000)
    assert samples.geometries[1].geom_type == "Point"
    assert samples.warnings == ("2 samples were repaired because their outline crossed itself.",)


def test_a_place_beyond_the_projection_is_no_accident(tmp_path: Path) -> None:
    points = [shapely.Point(13, 52), shapely.Point(13, 95)]
    path = write_samples(tmp_path / "s.gpkg", points, ["a", "b"], crs="EPSG:4326")
    samples = read_samples(path, UTM)
    assert np.isfinite(samples.geometries[0].x)
    assert not np.isfinite(samples.geometries[1].x)


LINE = shapely.LineString([(0, 0), (1, 1)])
WRITERS = {
    "missing": lambda path: path,
    "text": lambda path: (path.write_text("hello"), path)[1],
    "raster": lambda path: write_raster(path.with_name("r.tif"), np.zeros((1, 4, 4), np.uint8)),
    "empty": lambda path: write_samples(path, [], [], kind="Point"),
    "no crs": lambda path: write_samples(path, TWO, ["a", "b"], crs=None, kind="Point"),
    "blank": lambda path: write_samples(path, [*TWO, TWO[0]], ["a", "  ", None]),
    "one class": lambda path: write_samples(path, TWO, ["forest", "forest"]),
    "line": lambda path: write_samples(path, [TWO[0], LINE], ["a", "b"]),
    "many": lambda path: write_samples(path, TWO[:1] * 255, [f"c{number}" for number in range(255)]),
    "aside": lambda path: write_samples(path, TWO, ["a", "b"], role=["assess", "assess"]),
    "good": lambda path: write_samples(path, TWO, ["a", "b"], layer="points", note=["", ""]),
}


@pytest.mark.filterwarnings("ignore:.*crs.*:UserWarning")
@pytest.mark.parametrize(
    ("case", "options", "sentence"),
    [
        ("missing", {}, "The samples file .*s.gpkg does not exist; check the path."),
        ("text", {}, ".*s.gpkg is not a vector file that can be read; give a GeoPackage or GeoJSON."),
        ("raster", {}, ".*r.tif is not a vector file that can be read; give a GeoPackage or GeoJSON."),
        ("good", {"class_field": "fclass"}, ".* has no field 'fclass' .*; choose a class field among: class, note."),
        ("good", {"layer": "areas"}, ".* has no layer 'areas'; choose one of: points."),
        ("empty", {}, ".* holds no sample to learn from; add points or polygons with a class name."),
        ("aside", {}, r".* holds no sample to learn from \(2 set aside for the accuracy assessment\); add .*"),
        ("no crs", {}, "The layer 's' of .* has no coordinate reference system; assign one, then try again."),
        ("blank", {}, r"2 of 3 samples in the layer 's' of .* have an empty 'class' \(first: feature 2\); give .*"),
        ("one class", {}, "All 2 samples in .* are of the class 'forest'; add a second class."),
        ("line", {}, "The layer 's' of .* holds a LineString; samples are points or polygons, .*remove it."),
        ("many", {}, ".* has 255 classes, but a class map holds at most 254; merge classes or .*"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, case: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read_samples(WRITERS[case](tmp_path / "s.gpkg"), UTM, **options)
    assert re.fullmatch(sentence, str(caught.value)), str(caught.value)


def test_a_table_without_geometry_is_no_layer_of_samples(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "s.gpkg", TWO, ["a", "b"], layer="points", kind="Point")
    pyogrio.raw.write(
        path, geometry=None, field_data=[np.array(["x"], object)], fields=["class"], layer="table", append=True
    )
    assert read_samples(path, UTM).labels == ("a", "b")
