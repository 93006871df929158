# SPDX-License-Identifier: GPL-2.0-or-later
"""From a feature set and samples to a class map on disk that any GIS reads, or to nothing at all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.windows
import shapely
from label_files import UTM, cover, pixel_box, pixel_point, write_features, write_samples
from rasterio.warp import transform
from scene_files import ORIGIN
from ssl4eo.errors import Cancelled, InputError, OutputError
from ssl4eo.features import FeatureSet
from ssl4eo.features.sampling import interpolate_grid
from ssl4eo.grid import Window
from ssl4eo.labels import classify
from ssl4eo.labels.heads.linear import LinearHead
from ssl4eo.labels.mapping.predict import predict_window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEIGHT, WIDTH, SIDE = 150, 600, 50
NAMES = ["farm", "forest", "water"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.intp]]:
    """A feature set of three covers that level 0 tells apart, wider than a block, with a hole of nodata."""
    rng = np.random.default_rng(0)
    truth = cover(HEIGHT, WIDTH, SIDE, 3)
    means = np.array([[0, 4, 8], [5, 0, 5], [1, 1, 3]], float)
    pixels = (means[:, truth] + rng.normal(0, 0.2, (3, HEIGHT, WIDTH))).astype(np.float32)
    pixels[:, 100:120, 510:530] = np.nan
    return write_features(tmp_path_factory.mktemp("map") / "set", pixels, {4: 6, 32: 8}), truth


def _samples(path: Path, crs: str = UTM) -> Path:
    """Four points and a polygon per class, far from each other."""
    geometries, labels = [], []
    for code, name in enumerate(NAMES):
        squares = [(row, col) for row in range(3) for col in range(12) if (row + col) % 3 == code]
        for row, col in squares[:9:2]:
            geometries.append(pixel_point(col * SIDE + 20, row * SIDE + 30))
            labels.append(name)
        geometries.append(pixel_box(squares[10][1] * SIDE + 5, squares[10][0] * SIDE + 5, 30, 30))
        labels.append(name)
    if crs != UTM:
        geometries = [
            shapely.transform(g, lambda p: np.stack(transform(UTM, crs, p[:, 0], p[:, 1]), axis=1)) for g in geometries
        ]
    return write_samples(path, geometries, labels, crs=crs)


def _read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize("head", ["auto", "lda", "logistic"])
def test_pixels_get_their_class(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]], head: str) -> None:
    folder, truth = scene
    result = classify(folder, _samples(tmp_path / "s.gpkg"), tmp_path / "map.tif", head=head)
    codes = _read(tmp_path / "map.tif")
    hole = np.zeros(truth.shape, bool)
    hole[100:120, 510:530] = True
    assert (codes[hole] == 0).all()
    # Surroundings blur the seams of the squares, which lie within blocks of 4 x 4 pixels.
    assert (codes[~hole] == truth[~hole] + 1).mean() > 0.99
    rows, cols = (np.abs(np.arange(size) % SIDE - (SIDE - 1) / 2) < SIDE / 2 - 6 for size in truth.shape)
    inner = ~hole & np.outer(rows, cols)
    assert (codes[inner] == truth[inner] + 1).mean() > 0.999
    assert result["classes"] == {"1": "farm", "2": "forest", "3": "water"}
    assert result["map"] == str(tmp_path / "map.tif")
    assert result["head"] == ("logistic" if head == "logistic" else "lda")
    assert result["samples"] == 18
    assert result["seconds"] > 0
    assert result["indication"] > 0.9
    assert result["warnings"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.qml", "map.tif", "map.tif.aux.xml", "s.gpkg"]


def test_the_map_is_a_cog_with_colours_and_names(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    samples = _samples(tmp_path / "s.gpkg")
    classify(scene[0], samples, tmp_path / "map.tif", colors={"water": "#0000FE", "other": "#ffffff"})
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert (dataset.dtypes, dataset.nodata, dataset.transform) == (("uint8",), 0, ORIGIN)
        assert dataset.crs.to_epsg() == 32633
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1)
        assert json.loads(dataset.tags()["CLASS_NAMES"]) == {"1": "farm", "2": "forest", "3": "water"}
        palette = dataset.colormap(1)
        assert palette[3] == (0, 0, 254, 255)
        assert palette[0][3] == 0
        # GDAL itself hands the names and the attribute table on when it describes the map.
        rasterio.shutil.copy(dataset, tmp_path / "map.vrt", driver="VRT")
    described = (tmp_path / "map.vrt").read_text()
    assert re.findall("<Category>(.*)</Category>", described) == ["", *NAMES]
    assert "GDALRasterAttributeTable" in described


def test_the_companions_say_the_same(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    classify(scene[0], _samples(tmp_path / "s.gpkg"), tmp_path / "map.tif")
    codes = _read(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        palette = dataset.colormap(1)
    rows = ET.parse(tmp_path / "map.tif.aux.xml").getroot().findall(".//Row")
    table = [[field.text for field in row] for row in rows]
    entries = ET.parse(tmp_path / "map.qml").getroot().findall(".//paletteEntry")
    for code, (row, entry) in enumerate(zip(table, entries, strict=True), start=1):
        red, green, blue = palette[code][:3]
        assert row == [str(code), NAMES[code - 1], str((codes == code).sum()), str(red), str(green), str(blue)]
        assert entry.attrib == {
            "value": str(code), "label": NAMES[code - 1], "color": f"#{red:02x}{green:02x}{blue:02x}", "alpha": "255",
        }  # fmt: skip


def test_names_from_all_over_the_world(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    names = ['Wald & "Wiese" <1>', "Łąka", "水域"]
    places = [pixel_point(20, 30), pixel_point(70, 30), pixel_point(120, 30)]
    result = classify(scene[0], write_samples(tmp_path / "s.gpkg", places, names), tmp_path / "m.tif")
    assert set(result["classes"].values()) == set(names)
    with rasterio.open(tmp_path / "m.tif") as dataset:
        assert json.loads(dataset.tags()["CLASS_NAMES"]) == result["classes"]
    categories = ET.parse(tmp_path / "m.tif.aux.xml").getroot().findall(".//Category")
    assert [category.text for category in categories[1:]] == list(result["classes"].values())


def test_samples_in_another_crs_give_the_same_map(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    classify(scene[0], _samples(tmp_path / "a.gpkg"), tmp_path / "a.tif")
    classify(scene[0], _samples(tmp_path / "b.geojson", "EPSG:4326"), tmp_path / "b.tif")
    assert (_read(tmp_path / "a.tif") == _read(tmp_path / "b.tif")).mean() > 0.9999


def test_the_same_input_gives_the_same_map(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    samples = _samples(tmp_path / "s.gpkg")
    classify(scene[0], samples, tmp_path / "a.tif")
    classify(scene[0], samples, tmp_path / "b.tif")
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), _read(tmp_path / "b.tif"))


def test_the_report_says_what_was_learnt_from_what(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    result = classify(scene[0], _samples(tmp_path / "s.gpkg"), tmp_path / "map.tif", report=tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert {key: report[key] for key in ("map", "classes", "head", "samples")} == {
        key: result[key] for key in ("map", "classes", "head", "samples")
    }
    codes = _read(tmp_path / "map.tif")
    forest = report["per_class"]["forest"]
    assert (forest["code"], forest["samples"], forest["map_pixels"]) == (2, 6, int((codes == 2).sum()))
    assert forest["training_pixels"] == 5 + 200
    assert report["nodata_pixels"] == 400
    assert set(report["scales"]) == {"level_0", "level_1", "level_2", "level_3"}
    assert (report["scales"]["level_0"], report["scales"]["level_1"]) == (1, 1)
    assert "An indication" in report["indication"]["note"]
    assert "not a calibrated probability" in report["probabilities"]


def _head(features: FeatureSet) -> LinearHead:
    rng = np.random.default_rng(1)
    weights = tuple(rng.normal(size=(4, level.components)).astype(np.float32) for level in features.levels)
    shifts = tuple(rng.normal(size=4).astype(np.float32) for _ in weights)
    return LinearHead(tuple("abcd"), weights, shifts, rng.normal(size=4).astype(np.float32))


def test_logits_travel_as_features_would(scene: tuple[Path, NDArray[np.intp]]) -> None:
    features = FeatureSet.open(scene[0])
    head, window = _head(features), Window(37, 11, 90, 70)
    logits = np.zeros((4, window.height, window.width))
    cols, rows = np.arange(37, 127) + 0.5, np.arange(11, 81) + 0.5
    for level, weights, shift in zip(features.levels, head.weights, head.shifts, strict=True):
        xs, _ = features.grid.xy(cols, np.zeros(90))
        _, ys = features.grid.xy(np.zeros(70), rows)
        level_cols, _ = level.grid.colrow(xs, np.full(90, ys[0]))
        _, level_rows = level.grid.colrow(np.full(70, xs[0]), ys)
        at_pixels = interpolate_grid(level.read(level.grid.window), level_cols, level_rows)
        logits += np.einsum("kc,chw->khw", weights, at_pixels) + shift[:, None, None]
    logits += head.bias[:, None, None]
    codes = predict_window(features, head, window)
    ordered = np.sort(logits, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-3
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(codes[clear], logits.argmax(axis=0)[clear] + 1)


def test_blocks_meet_without_a_seam(scene: tuple[Path, NDArray[np.intp]]) -> None:
    features = FeatureSet.open(scene[0])
    head = _head(features)
    whole = predict_window(features, head, features.grid.window)
    left = predict_window(features, head, Window(0, 0, 301, HEIGHT))
    right = predict_window(features, head, Window(301, 0, WIDTH - 301, HEIGHT))
    np.testing.assert_array_equal(whole, np.concatenate([left, right], axis=1))


def test_cancelling_leaves_nothing(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    samples = _samples(tmp_path / "s.gpkg")
    stages: list[str] = []
    classify(scene[0], samples, tmp_path / "m.tif", progress=lambda _, message="": stages.append(message))
    for path in tmp_path.glob("m.*"):
        path.unlink()

    def stop_at(number: int) -> None:
        count = iter(range(number + 1))

        def progress(fraction: float, message: str = "") -> None:
            if next(count) == number:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            classify(scene[0], samples, tmp_path / "m.tif", report=tmp_path / "r.json", progress=progress)
        assert [path.name for path in tmp_path.iterdir()] == ["s.gpkg"], stages[number]

    chosen = {stages.index(stage) for stage in stages if stage != "Done"}
    assert len(chosen) > 4
    for number in chosen:
        stop_at(number)


def test_a_map_that_is_there_survives_a_failure(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    samples = _samples(tmp_path / "s.gpkg")
    classify(scene[0], samples, tmp_path / "m.tif")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def progress(fraction: float, message: str = "") -> None:
        if fraction > 0.5:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        classify(scene[0], samples, tmp_path / "m.tif", progress=progress)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


_FULL_DISK = """
import resource, sys
from ssl4eo.errors import OutputError
from ssl4eo.labels import classify
# Far less than the map's 90 kB of pixels: the system refuses to write on, as it does on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    classify(*sys.argv[1:4], report=sys.argv[3] + ".json")
except OutputError as error:
    print(error)
    sys.exit(17)
"""


@pytest.mark.parametrize("limit", [0, 3000, 40_000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]], limit: int) -> None:
    samples, out = _samples(tmp_path / "s.gpkg"), tmp_path / "m.tif"
    command = [sys.executable, "-c", _FULL_DISK, str(scene[0]), str(samples), str(out), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 17, done.stderr
    assert done.stdout.startswith(f"Cannot write {out}")
    assert len(done.stdout.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s.gpkg"]


def test_a_map_that_reads_back_differently_is_not_handed_out(
    tmp_path: Path, scene: tuple[Path, NDArray[np.intp]], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = rasterio.shutil.copy

    def lossy(source: Path, target: Path, **options: object) -> None:
        with rasterio.open(source, "r+") as dataset:
            dataset.write(np.zeros((20, 20), np.uint8), 1, window=rasterio.windows.Window(0, 0, 20, 20))
        copy(source, target, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", lossy)
    with pytest.raises(OutputError, match=r"Cannot write .*m.tif: what was written reads back differently; check"):
        classify(scene[0], _samples(tmp_path / "s.gpkg"), tmp_path / "m.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["s.gpkg"]


def test_a_disk_without_room_is_found_out_before_the_work(
    tmp_path: Path, scene: tuple[Path, NDArray[np.intp]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"The result needs about .* free some space"):
        classify(scene[0], _samples(tmp_path / "s.gpkg"), tmp_path / "m.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["s.gpkg"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"features": "nowhere"}, "nowhere does not exist; encode a scene first."),
        ({"out": "m.png"}, "The class map .*m.png is written as a GeoTIFF; give it a name that ends in .tif."),
        ({"out": "no/such/m.tif"}, "The folder .* does not exist; create it or choose another."),
        ({"report": "no/such/r.json"}, "The folder .* does not exist; create it or choose another."),
        ({"head": "tree"}, "There is no head 'tree'; choose one of: auto, lda, logistic, knn, forest."),
        ({"colors": {"forest": "green"}}, "The colour 'green' of the class 'forest' is not #rrggbb; give .*"),
        ({"class_field": "fclass"}, ".* has no field 'fclass' .*"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path,
    scene: tuple[Path, NDArray[np.intp]],
    options: dict[str, object],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"features": scene[0], "samples": _samples(tmp_path / "s.gpkg"), "out": tmp_path / "m.tif", **options}
    with pytest.raises(InputError) as caught:
        classify(**arguments)
    assert re.fullmatch(sentence, str(caught.value)), str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["s.gpkg"]


def test_a_level_of_the_feature_set_is_never_overwritten(tmp_path: Path, scene: tuple[Path, NDArray[np.intp]]) -> None:
    level = scene[0] / "level_0.tif"
    before = level.read_bytes()
    with pytest.raises(InputError, match="is a part of the feature set"):
        classify(scene[0], _samples(tmp_path / "s.gpkg"), level)
    assert level.read_bytes() == before
