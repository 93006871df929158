# SPDX-License-Identifier: GPL-2.0-or-later
"""Feature sets of Sentinel-1, of three bands, and of several encoders and scenes on one grid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from encoder_files import random_encoders
from label_files import write_samples
from rasterio.warp import transform
from scene_files import ORIGIN, landscape, write_raster
from shapely import Point
from ssl4eo.bands import S2_BANDS
from ssl4eo.cli import main
from ssl4eo.errors import InputError
from ssl4eo.features import Addition, FeatureSet, encode
from ssl4eo.labels import classify
from ssl4eo.service.kinds import EncodeJob

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BUNDLED, RADAR, PATCHES, COLOURS = "moco-resnet18w32-s2", "mae-vits16-s1", "dino-vits16-s2", "moco-resnet18-rgb"


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("encoders"), (RADAR, PATCHES, COLOURS)):
        yield


def backscatter(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return smooth VV and VH in decibels (2, ...) that tell the place on the ground, in metres of UTM zone 33."""
    vv = -12 + 4 * np.sin((xs - 330000) / 300) * np.cos((ys - 5820000) / 400)
    return np.stack([vv, vv - 7 + np.sin((ys - 5820000) / 250)]).astype(np.float32)


def write_radar(path: Path, size: tuple[int, int], place: Affine, crs: str, **tags: str) -> Path:
    height, width = size
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    xs, ys = place.a * cols + place.c, place.e * rows + place.f
    east, north = transform(crs, "EPSG:32633", xs.ravel(), ys.ravel())
    values = backscatter(np.array(east), np.array(north)).reshape(2, height, width)
    return write_raster(path, values, ("VV", "VH"), crs=crs, transform=place, nodata=np.nan, **tags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An optical scene, a radar scene in degrees that covers its left part and more, and a set of both."""
    folder = tmp_path_factory.mktemp("both")
    write_raster(folder / "s2.tif", landscape(), scale="0.0001", level="L1C")
    (west,), (north,) = transform("EPSG:32633", "EPSG:4326", [329000], [5822500])
    step = 1.2e-4
    write_radar(folder / "s1.tif", (420, 270), Affine(step, 0, west, 0, -step * 0.75, north), "EPSG:4326", unit="db")
    made = encode(
        folder / "s2.tif", folder / "set", add=[Addition(RADAR, folder / "s1.tif")], device="cpu", precision="fp32"
    )
    (folder / "made.json").write_text(json.dumps(made))
    return folder


def entries(folder: Path) -> list[tuple[int, int, str | None, int, int | None]]:
    item = json.loads((folder / "item.json").read_text())
    return [
        (e["level"], e["scene"], e["encoder"], e["stride"], e["block"]) for e in item["properties"]["ssl4eo:levels"]
    ]


def test_levels_of_two_sensors_are_numbered_through(folder: Path) -> None:
    made = json.loads((folder / "made.json").read_text())
    assert (made["encoder"], made["encoders"]) == (BUNDLED, [BUNDLED, RADAR])
    assert entries(folder / "set") == [
        (0, 0, None, 1, None),
        (1, 0, None, 4, None),
        *((i + 1, 0, BUNDLED, stride, i) for i, stride in enumerate((4, 8, 16, 32), start=1)),
        (6, 1, None, 1, None),
        (7, 1, None, 4, None),
        *((i, 1, RADAR, 16, block) for i, block in enumerate((3, 6, 9, 12), start=8)),
    ]
    features = FeatureSet.open(folder / "set")
    assert (features.encoder, features.encoders) == (BUNDLED, [BUNDLED, RADAR])
    assert [level.kind for level in features.levels] == ["pixels", "surroundings", *["features"] * 4] * 2
    assert [features.levels[i].grid for i in (6, 7)] == [features.levels[i].grid for i in (0, 1)]
    assert "mae-vits16-s1, block 6, stride 16" in features.levels[9].names[0]
    properties = features.item["properties"]
    assert [scene["sensor"] for scene in properties["ssl4eo:scenes"]] == ["S2", "S1"]
    assert len({scene["fingerprint"] for scene in properties["ssl4eo:scenes"]}) == 2
    assert properties["ssl4eo:scene"] == properties["ssl4eo:scenes"][0]
    assert [len(card["weights_sha256"]) for card in properties["ssl4eo:encoders"]] == [64, 64]
    stored = np.load(folder / "set/projection.npz")
    assert {int(key.rpartition("_")[2]) for key in stored} == {2, 3, 4, 5, 8, 9, 10, 11}


def test_an_image_of_another_level_is_said_once_for_all_encoders(folder: Path, tmp_path: Path) -> None:
    made = encode(
        folder / "s2.tif", tmp_path / "set", add=[Addition(COLOURS)], device="cpu", window=(0, 0, 64, 64), level="L2A"
    )
    assert sum("docs/missing-bands.md" in warning for warning in made["warnings"]) == 1
    first = json.loads((folder / "made.json").read_text())
    assert not any("docs/missing-bands.md" in warning for warning in first["warnings"])


def test_radar_pixels_lie_on_their_ground(folder: Path) -> None:
    """The radar scene comes in degrees; on the optical grid its values are those of the place."""
    features = FeatureSet.open(folder / "set")
    level, around = features.levels[6:8]
    assert level.names == ("VV", "VH", "VV-VH")
    assert around.names == ("VV mean 6x6", "VH mean 6x6", "VV sd 6x6", "VH sd 6x6")
    values = level.read(level.grid.window)
    cols, rows = np.meshgrid(np.arange(240) + 0.5, np.arange(200) + 0.5)
    expected = backscatter(*features.grid.xy(cols, rows))
    there = np.isfinite(values[0])
    assert 0.4 < there.mean() < 0.9
    assert there[:, :100].all()
    assert not there[:, -30:].any()
    error = np.abs(values[:2] - expected)[:, there]
    # A tenth of a decibel per pixel is the steepest slope; half a step of the bytes is 0.02.
    assert np.median(error) < 0.02
    assert error.max() < 0.15
    np.testing.assert_allclose(values[2][there], (values[0] - values[1])[there], atol=0.1)
    assert np.isfinite(features.levels[0].read(level.grid.window)).all()


def test_deep_levels_of_a_scene_are_missing_where_it_is(folder: Path) -> None:
    features = FeatureSet.open(folder / "set")
    for level in features.levels[8:]:
        missing = np.isnan(level.read(level.grid.window)[0])
        assert not missing[:12, :6].any()
        assert missing[:, -2:].all()
    for level in features.levels[:6]:
        assert np.isfinite(level.read(level.grid.window)).all()


def test_radar_alone_and_in_any_unit_is_the_same(tmp_path: Path) -> None:
    place = Affine(10, 0, 330000, 0, -10, 5822040)
    path = write_radar(tmp_path / "db.tif", (200, 220), place, "EPSG:32633", unit="db")
    with rasterio.open(path) as dataset:
        decibels = dataset.read()
    linear = write_raster(
        tmp_path / "linear.tif", (10 ** (decibels / 10)).astype(np.float32), ("VV", "VH"), nodata=np.nan
    )
    sets = []
    for name, scene, unit in (("a", path, None), ("b", linear, "linear")):
        encode(scene, tmp_path / name, encoder=RADAR, device="cpu", precision="fp32", unit=unit)
        sets.append(FeatureSet.open(tmp_path / name))
    for one, other in zip(sets[0].levels, sets[1].levels, strict=True):
        assert one.components in (3, 4, 48)
        a, b = one.read(one.grid.window), other.read(other.grid.window)
        # The last components hardly vary; their basis is that of the rounding.
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        assert np.nanmax(np.abs(a - b)[:7]) <= 2.5 * one.scale[:7].max()
    assert entries(tmp_path / "a")[0] == (0, 0, None, 1, None)


def test_three_bands_have_the_indices_that_they_allow(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "rgb.tif", landscape(3), ("B02", "B03", "B04"), scale="0.0001")
    encode(path, tmp_path / "set", encoder=COLOURS, device="cpu", window=(20, 10, 90, 70))
    features = FeatureSet.open(tmp_path / "set")
    assert features.levels[0].names == ("B02", "B03", "B04")
    assert features.levels[1].names[2:4] == ("B04 mean 6x6", "B02 sd 6x6")
    assert [level.stride for level in features.levels] == [1, 4, 4, 8, 16, 32]
    with pytest.raises(InputError, match="B08"):
        encode(path, tmp_path / "no", encoder=BUNDLED, device="cpu")
    # An encoder of colours sees three of thirteen bands; the pixels keep all.
    full = write_raster(tmp_path / "full.tif", landscape(), scale="0.0001")
    encode(full, tmp_path / "wide", encoder=COLOURS, device="cpu", window=(20, 10, 90, 70))
    fine = tuple(band for band in S2_BANDS if band not in ("B01", "B09", "B10"))
    assert FeatureSet.open(tmp_path / "wide").levels[0].names[:10] == fine


def test_two_encoders_on_one_scene_share_its_pixels(folder: Path, tmp_path: Path) -> None:
    made = encode(
        folder / "s2.tif", tmp_path / "set", add=[Addition(PATCHES, folder / "s2.tif")], device="cpu", precision="fp32"
    )
    assert made["encoders"] == [BUNDLED, PATCHES]
    assert [entry[:4] for entry in entries(tmp_path / "set")][5:7] == [(5, 0, BUNDLED, 32), (6, 0, PATCHES, 16)]
    one, both = FeatureSet.open(folder / "set"), FeatureSet.open(tmp_path / "set")
    assert len(both.levels) == 10
    for level in range(6):
        # What is added changes nothing of what is there.
        a, b = (features.levels[level] for features in (one, both))
        np.testing.assert_array_equal(a.read(a.grid.window), b.read(b.grid.window))


def test_the_doors_take_additions(folder: Path, tmp_path: Path) -> None:
    window = ["--window", "10,20,60,50", "--device", "cpu"]
    added = ["--add", f"{RADAR}={folder / 's1.tif'}", "--add", PATCHES]
    done = CliRunner().invoke(
        main, ["encode", str(folder / "s2.tif"), str(tmp_path / "cli"), *window, *added, "--json"]
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["encoders"] == [BUNDLED, RADAR, PATCHES]
    shown = CliRunner().invoke(main, ["encode", str(folder / "s2.tif"), str(tmp_path / "x"), "--add", f"{RADAR}="])
    assert (shown.exit_code, "is not ENCODER or ENCODER=IMAGE" in shown.stderr) == (2, True)
    add: list[dict[str, Any]] = [
        {"encoder": RADAR, "scene": str(folder / "s1.tif"), "bands": {"1": "VV", "2": "VH"}}, {"encoder": PATCHES},
    ]  # fmt: skip
    params = {"scene": str(folder / "s2.tif"), "out": str(tmp_path / "http"), "device": "cpu", "add": add}
    job = EncodeJob.model_validate({"kind": "encode", "params": {**params, "window": [10, 20, 60, 50]}})
    assert job.run(lambda fraction, message="": None)["encoders"] == [BUNDLED, RADAR, PATCHES]
    assert entries(tmp_path / "http") == entries(tmp_path / "cli")


def test_what_cannot_be_added_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    far = write_raster(
        tmp_path / "far.tif", landscape(2).astype(np.float32) / -100, ("VV", "VH"),
        transform=Affine.translation(90000, 0) @ ORIGIN, unit="db",
    )  # fmt: skip
    unnamed = write_raster(tmp_path / "unnamed.tif", landscape(2), (None, None))
    cases = [
        ([Addition(RADAR)], rf"takes Sentinel-1, .*s2\.tif is not; name its image: --add {RADAR}=RADAR\.tif"),
        ([Addition(RADAR, unnamed)], "--bands .*, or write it with `ssl4eo harmonise` and add the result"),
        ([Addition(RADAR, far)], r"far\.tif does not reach the extent .*; add an image of the same place"),
        ([Addition(BUNDLED)], "named twice"),
        ([Addition("x")], "no encoder 'x'"),
        ([Addition("mae-vitb16-s1", folder / "s1.tif")], "weights of mae-vitb16-s1 are not on this computer"),
        ([Addition(PATCHES, None, {"scale": 0.1})], "nothing can be overruled for it alone"),
        ([Addition(RADAR, folder / "gone.tif")], "does not exist"),
    ]
    for add, words in cases:
        with pytest.raises(InputError, match=words):
            encode(folder / "s2.tif", tmp_path / "set", add=add, device="cpu")
    # The radar scene ends left of this part.
    with pytest.raises(InputError, match="does not reach the extent"):
        encode(folder / "s2.tif", tmp_path / "set", add=[Addition(RADAR, folder / "s1.tif")], window=(225, 0, 15, 90))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.tif", "unnamed.tif"]


def _flood(shared_data: Path, path: Path, per_class: int = 30) -> tuple[Path, NDArray[np.uint8]]:
    """Write points of water and land, drawn from the label by hand; return them and the label."""
    with rasterio.open(shared_data / "sen1floods11/Spain_7370579_LabelHand.tif") as dataset:
        label, place, crs = dataset.read(1), dataset.transform, dataset.crs.to_string()
    rng = np.random.default_rng(0)
    points, classes = [], []
    for code, name in ((0, "land"), (1, "water")):
        rows, cols = np.nonzero(label == code)
        for i in rng.permutation(len(rows))[:per_class]:
            points.append(Point(place @ (cols[i] + 0.5, rows[i] + 0.5)))
            classes.append(name)
    return write_samples(path, points, classes, crs=crs), label


@pytest.mark.parametrize("sensors", ["S1", "S1 and S2"])
def test_a_flood_is_mapped_from_radar_alone_and_from_both(shared_data: Path, tmp_path: Path, sensors: str) -> None:
    optical, radar = (shared_data / f"sen1floods11/Spain_7370579_{kind}Hand.tif" for kind in ("S2", "S1"))
    if sensors == "S1":
        encode(radar, tmp_path / "set", encoder=RADAR, device="cpu")
    else:
        encode(
            optical, tmp_path / "set", add=[Addition(RADAR, radar)], device="cpu",
            bands={i + 1: band for i, band in enumerate(S2_BANDS)},
        )  # fmt: skip
    samples, label = _flood(shared_data, tmp_path / "samples.gpkg")
    result = classify(tmp_path / "set", samples, tmp_path / "map.tif", report=tmp_path / "report.json")
    assert result["classes"] == {"1": "land", "2": "water"}
    with rasterio.open(tmp_path / "map.tif") as dataset:
        codes = dataset.read(1)
    shares = [(codes == code + 1)[label == code].mean() for code in (0, 1)]
    assert np.mean(shares) > 0.8
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["encoders"] == ([RADAR] if sensors == "S1" else [BUNDLED, RADAR])
    assert report["scales"]["level_0"] == 1
