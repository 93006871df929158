# SPDX-License-Identifier: GPL-2.0-or-later
"""`Scene.read` takes no more memory than it must and gives the same to the last bit, also from several threads."""

from __future__ import annotations

import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ssl4eo.scenes.raster
import ssl4eo.scenes.scene
from affine import Affine
from rasterio.crs import CRS
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import NATIVE_GSD, S1_BANDS, S2_BANDS
from ssl4eo.grid import Grid, Window, tiles
from ssl4eo.scenes import open_scene
from ssl4eo.scenes.measure import mirror
from ssl4eo.scenes.scene import reopen

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.scenes.raster import Raster

OPTICAL: dict[str, Any] = {"scale": 0.0001, "offset": 0.0}
REFLECTANCE: dict[str, Any] = {"scale": 1.0, "offset": 0.0}


@dataclass(frozen=True)
class Case:
    """A file, what is told of it, and what that means."""

    stored: NDArray[Any]
    told: dict[str, Any]
    nodata: float | None = None
    missing: tuple[float, ...] = ()
    offset: float = 0
    quantification: float = 1
    decibels: float = 0


def holed(values: NDArray[Any], *holes: float) -> NDArray[Any]:
    """Put each value into a thousandth of the pixels of each band."""
    rng = np.random.default_rng(7)
    for hole in holes:
        values[rng.random(values.shape) < 1e-3] = hole
    return values


def powers() -> NDArray[np.float32]:
    """Return backscatter (2, H, W) as a power."""
    return (10 ** np.random.default_rng(1).normal(-1.4, 0.4, (2, 70, 90))).astype(np.float32)


def reflectance() -> NDArray[np.float32]:
    """Return reflectance (13, H, W)."""
    return landscape().astype(np.float32) / 10000


CASES = {
    "offset": Case(holed(landscape(), 0), {"scale": 0.0001, "offset": -1000.0}, 0, (0,), -1000, 10000),
    "undeclared": Case(holed(landscape(), 0), OPTICAL, None, (0,), 0, 10000),
    "fraction": Case(holed(landscape(), 0), {**OPTICAL, "nodata": -1.5}, None, (), 0, 10000),
    "int16": Case(holed(landscape().astype(np.int16), -9999), OPTICAL, -9999, (-9999,), 0, 10000),
    "float32": Case(holed(reflectance(), np.nan, np.inf, -9999), REFLECTANCE, -9999, (-9999,)),
    "between float32": Case(holed(reflectance(), 0.1), REFLECTANCE, 0.1, (0.1,)),
    "float64": Case(holed(landscape() / 10000.0, np.nan, 0.7), REFLECTANCE, 0.7, (0.7,)),
    "decibels": Case(10 * np.log10(powers()), {"unit": "db", "level": "GRD"}),
    "power": Case(holed(powers(), 0, -1, np.nan), {"unit": "linear", "level": "GRD"}, decibels=10),
    "amplitude": Case(
        holed((1000 * np.sqrt(powers())).astype(np.uint16), 0), {"unit": "amplitude", "scale": 0.001, "level": "GRD"},
        missing=(0,), quantification=1000, decibels=20,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_value_is_that_of_the_formula_to_the_last_bit(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    bands = S1_BANDS if len(case.stored) == len(S1_BANDS) else S2_BANDS
    path = write_raster(tmp_path / "s.tif", case.stored, bands, nodata=case.nodata)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = (case.stored.astype(np.float32) + np.float32(case.offset)) / np.float32(case.quantification)
        if case.decibels:
            wanted = np.float32(case.decibels) * np.log10(wanted)
    known = np.isfinite(wanted) & ~np.isin(case.stored, np.asarray(case.missing).astype(case.stored.dtype))
    valid = known[[band != "B10" for band in bands]].all(axis=0)
    wanted = np.where(valid & np.isfinite(wanted), wanted, 0).astype(np.float32)
    assert valid.all() == (name in {"fraction", "decibels"})
    with open_scene(path, **case.told) as scene:
        values, found = scene.read(scene.grid.window.grow(5), bands)
    np.testing.assert_array_equal(found, np.pad(valid, 5))
    mirrored = np.pad(wanted, ((0, 0), (5, 5), (5, 5)), mode="symmetric")
    np.testing.assert_array_equal(values.view(np.uint32), mirrored.view(np.uint32))


def test_a_band_that_stands_in_for_others_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    parts = ssl4eo.scenes.raster.Raster.parts

    def spied(raster: Raster, numbers: list[int], *how: Any) -> Any:
        asked.append(list(numbers))
        return parts(raster, numbers, *how)

    stored = landscape(2)
    with open_scene(write_raster(tmp_path / "s.tif", stored, ["B03", "B04"]), **OPTICAL) as scene:
        monkeypatch.setattr(ssl4eo.scenes.raster.Raster, "parts", spied)
        values, valid = scene.read(scene.grid.window, ["B04", None, "B03", "B04"])
        nothing, everywhere = scene.read(scene.grid.window.grow(2), [None, None])
    assert asked == [[2, 1], []]
    assert valid.all()
    np.testing.assert_allclose(values[[0, 2, 3]], stored[[1, 0, 1]] / 1e4, atol=1e-6)
    assert not values[1].any()
    assert not nothing.any()
    np.testing.assert_array_equal(everywhere, np.pad(valid, 2))


@pytest.mark.parametrize("around", [0, 100])
def test_a_read_holds_the_result_and_what_is_stored_and_little_more(tmp_path: Path, around: int) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(13, 600, 800))
    with open_scene(path, **OPTICAL) as scene:
        window = scene.grid.window.grow(around)
        scene.read(window, S2_BANDS)
        tracemalloc.start()
        values, _ = scene.read(window, S2_BANDS)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # 16-bit values beside 32-bit ones, and three masks of one byte beside 13 bands.
    assert peak < 1.6 * values.nbytes


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 3), (7, 20)])
@pytest.mark.parametrize("around", [(0, 0, 0, 0), (1, 0, 0, 2), (3, 50, 41, 7), (101, 37, 64, 90)])
def test_mirroring_repeats_as_often_as_needed(shape: tuple[int, int], around: tuple[int, int, int, int]) -> None:
    above, below, left, right = around
    inside = np.random.default_rng(0).random((2, *shape), np.float32)
    rows, cols = slice(above, above + shape[0]), slice(left, left + shape[1])
    planes = np.full((2, rows.stop + below, cols.stop + right), np.nan, np.float32)
    planes[:, rows, cols] = inside
    mirror(planes, rows, cols)
    np.testing.assert_array_equal(planes, np.pad(inside, ((0, 0), (above, below), (left, right)), mode="symmetric"))


TOLD = {"scale": "0.0001", "offset": "0", "level": "L1C"}
ELSEWHERE = Grid(CRS.from_epsg(32632), Affine(10, 0, 738600, 0, -10, 5824600), 150, 120)


def product(folder: Path) -> Path:
    """Write thirteen bands at their own resolutions."""
    folder.mkdir()
    for seed, band in enumerate(S2_BANDS):
        step = NATIVE_GSD[band] // 10
        values = landscape(1, 240 // step, 360 // step, seed)
        write_raster(folder / f"{band}.tif", values, [None], transform=ORIGIN @ Affine.scale(step), nodata=0, **TOLD)
    return folder


def archived(folder: Path) -> Path:
    """Pack a folder of bands."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"S2A.SAFE/GRANULE/L1C_T33UUU/IMG_DATA/T33UUU_20220601T102031_{file.name}")
    return path


@pytest.mark.parametrize("kind", ["file", "folder", "archive", "elsewhere"])
def test_threads_read_a_reopened_scene_at_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = product(tmp_path / "scene")
    if kind == "file":
        path = write_raster(tmp_path / "s.tif", landscape(13, 240, 360), nodata=0, **TOLD)
    if kind == "archive":
        path = archived(path)
    with open_scene(path, ELSEWHERE if kind == "elsewhere" else None, nodata=2000) as scene, ExitStack() as stack:
        windows = [window.grow(3) for window in tiles(scene.grid.window, 60)]
        wanted = [scene.read(window, S2_BANDS) for window in windows]
        monkeypatch.setattr(ssl4eo.scenes.scene, "inspect_raster", None)
        scenes = [stack.enter_context(reopen(scene)) for _ in range(4)]
        assert all(other.info is scene.info and other.grid == scene.grid for other in scenes)
        assert not {id(dataset) for other in scenes for dataset in other.raster.datasets} & {
            id(dataset) for dataset in scene.raster.datasets
        }
        with ThreadPoolExecutor(len(scenes)) as pool:
            read = list(pool.map(lambda other: [other.read(window, S2_BANDS) for window in windows], scenes))
    # Some pixels happen to be what is told to mean no data, which the files do not say.
    assert 0 < sum(valid.sum() for _, valid in wanted) < 0.99 * sum(valid.size for _, valid in wanted)
    for results in read:
        for (values, valid), (same, as_valid) in zip(wanted, results, strict=True):
            np.testing.assert_array_equal(values, same)
            np.testing.assert_array_equal(valid, as_valid)


def test_closing_a_reopened_scene_leaves_the_first_open(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", landscape(), **TOLD)
    with open_scene(path) as scene:
        with reopen(scene) as other:
            datasets = other.raster.datasets
        assert all(dataset.closed for dataset in datasets)
        assert scene.read(Window(0, 0, 4, 4), ["B04"])[1].all()
