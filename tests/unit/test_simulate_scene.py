# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulated scene: what is in the files, and that it behaves like a Sentinel-2 image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from ssl4eo.bands import NATIVE_GSD, S2_BANDS
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.scenes import inspect
from ssl4eo.scenes.simulation import generate, simulate
from ssl4eo.scenes.simulation.landscape import CELLS, LABELS
from ssl4eo.scenes.simulation.sensor import noise_at_reference, observe
from ssl4eo.scenes.simulation.spectra import CLASSES, COVERS

SIZE = 320


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "scene.tif"
    simulate(path, size=SIZE, seed=3)
    return path


@pytest.fixture(scope="module")
def values(scene: Path) -> np.ndarray:
    with rasterio.open(scene) as dataset:
        return dataset.read()


@pytest.fixture(scope="module")
def classes(scene: Path) -> np.ndarray:
    with rasterio.open(scene.with_name("scene_classes.tif")) as dataset:
        return dataset.read(1)


def test_inspect_reads_it_without_a_question_or_an_assumption(scene: Path) -> None:
    info = inspect(scene)
    assert info.needs == ()
    assert info.warnings == ()
    assert (info.sensor, info.level, info.bands) == ("S2", "L1C", S2_BANDS)
    assert (info.quantification, info.offset, info.nodata) == (10000, 0, 0)
    assert (info.crs, info.resolution) == ("EPSG:32633", (10, 10))
    assert info.simulated
    assert all(corner % 10 == 0 for corner in info.bounds)


def test_the_files_say_that_they_are_simulated(scene: Path) -> None:
    for path in (scene, scene.with_name("scene_classes.tif")):
        with rasterio.open(path) as dataset:
            assert dataset.tags()["SIMULATED"] == "YES"
            assert "not observed by a satellite" in dataset.tags()["NOTE"]


def test_the_class_map_lies_on_the_scene_and_names_its_classes(scene: Path, classes: np.ndarray) -> None:
    with rasterio.open(scene) as image, rasterio.open(scene.with_name("scene_classes.tif")) as dataset:
        assert (dataset.crs, dataset.transform, dataset.shape) == (image.crs, image.transform, image.shape)
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 0)
        assert json.loads(dataset.tags()["CLASS_NAMES"]) == {str(code): name for code, name in CLASSES.items()}
        colours = dataset.colormap(1)
    assert set(np.unique(classes)) == set(CLASSES)
    assert len({colours[code] for code in CLASSES}) == len(CLASSES)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    digests = {}
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        result = simulate(tmp_path / f"{name}.tif", size=128, seed=seed)
        digests[name] = [hashlib.sha256(Path(result[key]).read_bytes()).digest() for key in ("scene", "classes_map")]
    assert digests["a"] == digests["b"]
    assert digests["a"][0] != digests["c"][0]
    assert digests["a"][1] != digests["c"][1]


def test_no_pixel_is_nodata(values: np.ndarray) -> None:
    assert values.min() >= 1


@pytest.mark.parametrize("label", range(len(LABELS)))
def test_a_land_of_one_cover_has_the_spectrum_of_the_table(label: int) -> None:
    """Over many parcels, the mean is the table's; the spread is at most the table's, and no less than noise."""
    rng = np.random.default_rng(label)
    size = 192
    counts = np.zeros((len(LABELS), size, size), np.uint8)
    counts[label] = CELLS * CELLS
    parcel = np.kron(rng.random((size // 4, size // 4)), np.ones((4, 4))).astype(np.float32)
    variations = generate._variations(parcel, rng)
    cover = COVERS[LABELS[label][0]]
    for i, band in enumerate(S2_BANDS):
        seen = 10000 * generate._reflectance(counts, variations, i)
        assert abs(seen.mean() - cover.mean[i]) <= 0.15 * cover.spread[i] + 1, band
        assert 0.1 * cover.spread[i] <= seen.std() <= 1.05 * cover.spread[i] + 1, band


def test_the_classes_look_as_they_do_to_sentinel_2(values: np.ndarray, classes: np.ndarray) -> None:
    code = {name: key for key, name in CLASSES.items()}
    median = {
        name: dict(zip(S2_BANDS, np.median(values[:, classes == key], axis=1), strict=True))
        for name, key in code.items()
    }
    for name in ("crop field", "meadow", "forest"):
        assert median[name]["B08"] > 3 * median[name]["B04"], name
    assert median["water"]["B11"] < 600 < median["forest"]["B11"] < median["bare field"]["B11"]
    assert median["forest"]["B03"] < median["meadow"]["B03"]
    assert median["settlement"]["B04"] > 1.5 * median["forest"]["B04"]
    # Path radiance: even water is bright in the coastal band.
    assert median["water"]["B01"] > 1000


def test_each_band_has_its_own_resolution(values: np.ndarray) -> None:
    """Bilinear resampling from a coarser pixel leaves no second difference between its centres."""
    for i, band in enumerate(S2_BANDS):
        rows = values[i].astype(int)
        bend = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
        smooth = (bend <= 2).mean()
        # Between two centres of a 60 m pixel lie six 10 m pixels, of which four have both neighbours on the line.
        least = {10: 0.0, 20: 0.0, 60: 0.6}[NATIVE_GSD[band]]
        assert smooth >= least, (band, smooth)
    ten, sixty = values[S2_BANDS.index("B02")].astype(float), values[S2_BANDS.index("B01")].astype(float)
    assert np.abs(np.diff(sixty)).mean() / sixty.std() < 0.5 * np.abs(np.diff(ten)).mean() / ten.std()


def test_noise_is_that_of_the_instrument() -> None:
    rng = np.random.default_rng(0)
    for band in ("B02", "B05", "B12"):
        reference, sigma = noise_at_reference(band)
        factor = NATIVE_GSD[band] // 10
        seen = observe(np.full((240, 240), reference, np.float32), band, rng)[
            factor // 2 :: factor, factor // 2 :: factor
        ]
        # Rounding to whole numbers adds a twelfth of a DN squared; between 20 m centres, averaging takes noise away.
        measured = seen.std() / 10000
        assert 0.5 * sigma < measured < 1.1 * np.hypot(sigma, 1e-4 / np.sqrt(12)), band


def test_cirrus_is_dark(values: np.ndarray) -> None:
    cirrus = values[S2_BANDS.index("B10")]
    assert 5 < np.median(cirrus) < 30


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"size": 127}, "127"),
        ({"size": 5000}, "5000"),
        ({"seed": -1}, "-1"),
        ({"classes_path": "same"}, "another name"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, arguments: dict[str, object], word: str
) -> None:
    target = tmp_path / "scene.tif"
    if "classes_path" in arguments:
        arguments = {"classes_path": target}
    with pytest.raises(InputError, match=word):
        simulate(target, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        simulate(tmp_path / "none" / "scene.tif", size=128)


@pytest.mark.parametrize("when", [0.0, 0.3, 0.7, 1.0])
def test_cancel_leaves_nothing(tmp_path: Path, when: float) -> None:
    def stop(fraction: float, _message: str = "") -> None:
        if fraction >= when:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        simulate(tmp_path / "scene.tif", size=128, progress=stop)
    assert list(tmp_path.iterdir()) == []
