# SPDX-License-Identifier: GPL-2.0-or-later
"""A harmonised scene needs no explanation and holds what the scene held."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pydantic import TypeAdapter
from rasterio.enums import ColorInterp
from scene_files import ORIGIN, landscape, write_raster
from ssl4eo.bands import S1_BANDS, S2_BANDS
from ssl4eo.errors import Cancelled, InputError, OutputError
from ssl4eo.scenes import harmonise, inspect, open_scene

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# What must be the same of a scene and its harmonised file.
SAME = ("sensor", "level", "date", "width", "height", "crs", "bounds", "simulated")


def read_all(path: Path, bands: Sequence[str], **overrules: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    with open_scene(path, **overrules) as scene:
        return scene.read(scene.grid.window, list(bands))


def test_the_offset_and_the_order_are_put_right(tmp_path: Path) -> None:
    # Larger than a window of work, and no multiple of a block.
    values = landscape(13, 1100, 300)
    values[:, :7] = 0
    values[4, 50, 60] = 0
    values[S2_BANDS.index("B10"), 700:] = 0
    stored = np.where(values == 0, 0, values + 1000).astype(np.uint16)
    stored[S2_BANDS.index("B10"), 700:] = 1000
    stored[3, 100, 100] = 900
    order = [12, *range(12)]
    names = [S2_BANDS[i] for i in order]
    source = write_raster(tmp_path / "raw.tif", stored[order], names, level="L1C", date="2022-06-01", simulated="YES")
    out = tmp_path / "out.tif"
    result = harmonise(source, out)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out.tif", "raw.tif"]
    assert (result["scene"], result["source"], result["bands"]) == (str(out), str(source), names)
    assert any("+1000" in warning for warning in result["warnings"])
    before, after = inspect(source), inspect(out)
    assert (after.needs, after.warnings) == ((), ())
    assert (after.bands, after.quantification, after.offset, after.nodata) == (tuple(names), 10000, 0, 0)
    assert {name: getattr(before, name) for name in SAME} == {name: getattr(after, name) for name in SAME}
    with rasterio.open(out) as dataset:
        found = dataset.read()[np.argsort(order)]
        assert (dataset.dtypes[0], dataset.profile["compress"], dataset.block_shapes[0]) == (
            "uint16", "deflate", (256, 256)
        )  # fmt: skip
        colours = dict(zip(names, dataset.colorinterp, strict=True))
        assert (colours["B04"], colours["B03"], colours["B02"]) == (
            ColorInterp.red, ColorInterp.green, ColorInterp.blue
        )  # fmt: skip
    valid = (values[:10] != 0).all(axis=0)
    expected = np.where(valid, np.maximum(values.astype(int), 1), 0)
    expected[3, 100, 100] = 1
    np.testing.assert_array_equal(found, expected)


def test_bands_at_three_resolutions_become_one_file(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "bigearthnet/S2A_MSIL2A_20170617T113321_36_85"
    result = harmonise(folder, tmp_path / "patch.tif")
    assert (result["width"], result["height"], len(result["bands"]), result["level"]) == (120, 120, 12, "L2A")
    info = inspect(tmp_path / "patch.tif")
    assert (info.needs, info.warnings, info.quantification, info.offset) == ((), (), 10000, 0)
    for before, after in zip(
        read_all(folder, S2_BANDS[:10]), read_all(tmp_path / "patch.tif", S2_BANDS[:10]), strict=True
    ):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_radar_becomes_decibels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    decibels = (np.asarray([-12.5, -20.0])[:, None, None] + rng.normal(0, 3, (2, 90, 70))).astype(np.float32)
    power = 10 ** (decibels / 10)
    power[0, 4, 5] = 0
    source = write_raster(tmp_path / "power.tif", power, S1_BANDS, date="2020-01-01")
    result = harmonise(source, tmp_path / "out.tif", unit="linear", level="RTC")
    assert (result["sensor"], result["level"], result["bands"]) == ("S1", "RTC", ["VV", "VH"])
    info = inspect(tmp_path / "out.tif")
    assert (info.unit, info.quantification, info.level, info.date) == ("db", 1, "RTC", "2020-01-01")
    assert (info.needs, info.warnings) == ((), ())
    assert next(finding.how for finding in info.findings if finding.field == "unit") == "read"
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert np.isnan(dataset.nodata)
        found = dataset.read()
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 4, 5], [1, 4, 5]]
    np.testing.assert_allclose(found[:, 10:], decibels[:, 10:], atol=1e-4)


def test_pixels_of_20_m_are_brought_to_10(tmp_path: Path) -> None:
    transform = ORIGIN @ Affine.scale(2)
    source = write_raster(tmp_path / "b.tif", landscape(13, 50, 40), transform=transform, scale="0.0001", offset="0")
    result = harmonise(source, tmp_path / "out.tif")
    assert (result["width"], result["height"], result["resolution"]) == (80, 100, [10, 10])
    assert result["warnings"][-1] == "The pixels were interpolated to 10 m."
    info = inspect(tmp_path / "out.tif")
    assert (info.bounds, info.resolution, info.warnings) == (inspect(source).bounds, (10, 10), ())
    reflectance, valid = read_all(tmp_path / "out.tif", ["B04"])
    assert valid.all()
    assert reflectance.mean() == pytest.approx(landscape(13, 50, 40)[3].mean() / 10000, rel=0.01)


@pytest.mark.parametrize("turn", [0, 30, 90, 180])
def test_pixels_of_20_m_that_lie_turned_are_brought_to_10(tmp_path: Path, turn: float) -> None:
    place = ORIGIN @ Affine.rotation(turn) @ Affine.scale(2)
    values = np.full((2, 30, 40), 1500, np.uint16)
    source = write_raster(tmp_path / "s.tif", values, ["B11", "B12"], transform=place, scale="0.0001", offset="0")
    result = harmonise(source, tmp_path / "out.tif")
    assert (result["width"], result["height"]) == (80, 60)
    np.testing.assert_allclose(result["resolution"], [10, 10])
    np.testing.assert_allclose(inspect(tmp_path / "out.tif").bounds, inspect(source).bounds)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert (dataset.read() == 1500).all()


def test_feet_become_metres_and_degrees_stay(tmp_path: Path) -> None:
    feet = Affine(65.617, 0, 1_000_000, 0, -65.617, 200_000)
    source = write_raster(
        tmp_path / "feet.tif", landscape(2, 30, 40), ["B11", "B12"], crs="EPSG:2263", transform=feet, scale="0.0001"
    )
    result = harmonise(source, tmp_path / "out.tif", offset=0)
    assert (result["width"], result["height"]) == (80, 60)
    np.testing.assert_allclose(result["resolution"], [32.8083, 32.8083], rtol=1e-5)
    degrees = Affine(2e-4, 0, 13, 0, -2e-4, 52)
    source = write_raster(
        tmp_path / "degrees.tif", landscape(2, 30, 40), ["B11", "B12"], crs="EPSG:4326", transform=degrees,
        scale="0.0001",
    )  # fmt: skip
    result = harmonise(source, tmp_path / "out.tif", offset=0)
    assert (result["width"], result["height"], result["resolution"]) == (40, 30, [2e-4, 2e-4])


def test_bands_without_a_name_are_left_out_aloud(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "s.tif", landscape(4), ["B02", None, "B04", None], scale="0.0001", offset="0")
    result = harmonise(source, tmp_path / "out.tif")
    assert result["bands"] == ["B02", "B04"]
    assert "Left out for want of a known name or of content: band 2, 4." in result["warnings"]


def test_what_cannot_be_harmonised_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    good = write_raster(tmp_path / "s.tif", landscape(13, 40, 40), scale="0.0001", offset="0")
    photo = write_raster(tmp_path / "photo.tif", landscape(3, 40, 40).astype(np.uint8), [None] * 3)
    folder = tmp_path / "bands"
    folder.mkdir()
    write_raster(folder / "B02.tif", landscape(1, 40, 40), [None], scale="0.0001", offset="0")
    pointer = tmp_path / "pointer.vrt"
    rasterio.shutil.copy(good, pointer, driver="VRT")
    never_both = landscape(2, 40, 40)
    never_both[0, :20] = never_both[1, 20:] = 0
    half = write_raster(tmp_path / "half.tif", never_both, ["B02", "B03"], scale="0.0001", offset="0")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for scene, out, words in (
        (photo, tmp_path / "o.tif", "like a photo"),
        (good, tmp_path / "o.png", r"o\.png is written as a GeoTIFF; give it a name that ends in \.tif"),
        (good, good, r"s\.tif is the scene itself or a part of it; give"),
        (pointer, good, r"s\.tif is the scene itself or a part of it; give"),
        (folder, folder / "B02.tif", r"B02\.tif is the scene itself or a part of it; give"),
        (half, tmp_path / "o.tif", r"half\.tif holds no pixel that is valid in all of B02, B03; say which value"),
        (good, tmp_path / "no" / "o.tif", "no does not exist; create"),
        (folder, folder / "o.tif", r"o\.tif would lie among the bands of .*bands; write it to another folder"),
        (tmp_path / "gone.tif", tmp_path / "o.tif", r"gone\.tif does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            harmonise(scene, out)
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(InputError, match=r"d\.tif is a folder; name a file in it"):
        harmonise(good, tmp_path / "d.tif")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("stop_at", ["Writing", "Checking", "Done"])
def test_cancelling_leaves_what_was_there(tmp_path: Path, stop_at: str) -> None:
    source = write_raster(tmp_path / "s.tif", landscape(), scale="0.0001", offset="0")
    out = tmp_path / "out.tif"
    out.write_text("an older file")
    fractions = []

    def stop(fraction: float, message: str = "") -> None:
        fractions.append(fraction)
        if message.startswith(stop_at):
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        harmonise(source, out, progress=stop)
    assert fractions == sorted(fractions)
    assert out.read_text() == "an older file"
    assert len(list(tmp_path.iterdir())) == 2


FILL_UP = """
import resource, signal, sys
from ssl4eo.errors import OutputError
from ssl4eo.scenes import harmonise
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    harmonise(sys.argv[1], sys.argv[2])
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="the system has no limit on file sizes")
@pytest.mark.parametrize("short", [1, 40_000, 300_000])
def test_a_disk_that_fills_up_is_noticed_even_at_the_last_byte(tmp_path: Path, short: int) -> None:
    source = write_raster(tmp_path / "s.tif", landscape(), scale="0.0001", offset="0")
    harmonise(source, tmp_path / "whole.tif")
    limit = (tmp_path / "whole.tif").stat().st_size - short
    out = tmp_path / "out.tif"
    command = [sys.executable, "-c", FILL_UP, str(source), str(out), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Cannot write {out}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.tif", "whole.tif"]


def test_what_reads_back_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_raster(tmp_path / "s.tif", landscape(), scale="0.0001", offset="0")
    sums = iter(range(1000))
    monkeypatch.setattr(zlib, "crc32", lambda _: next(sums))
    with pytest.raises(OutputError, match=r"out\.tif: what was written reads back differently; check the disk"):
        harmonise(source, tmp_path / "out.tif")


def test_the_doors_call_the_one_function(tmp_path: Path) -> None:
    from click.testing import CliRunner
    from ssl4eo.cli import main
    from ssl4eo.service.kinds import JobRequest

    source = write_raster(tmp_path / "s.tif", landscape(), scale="0.0001", offset="0")
    harmonise(source, tmp_path / "direct.tif", nodata=777, level="L1C")
    options = ["--nodata", "777", "--level", "L1C", "--json"]
    done = CliRunner().invoke(main, ["harmonise", str(source), str(tmp_path / "cli.tif"), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["scene"] == str(tmp_path / "cli.tif")
    params = {"scene": str(source), "out": str(tmp_path / "http.tif"), "nodata": 777.0, "level": "L1C"}
    job: Any = TypeAdapter(JobRequest).validate_python({"kind": "harmonise", "params": params})
    reports: list[float] = []
    assert job.run(lambda fraction, message="": reports.append(fraction))["level"] == "L1C"
    assert reports[-1] == 1
    expected = (tmp_path / "direct.tif").read_bytes()
    assert (tmp_path / "cli.tif").read_bytes() == expected
    assert (tmp_path / "http.tif").read_bytes() == expected
    shown = CliRunner().invoke(main, ["harmonise", str(source), str(tmp_path / "cli.tif")])
    assert f"Bands:            {', '.join(S2_BANDS)}\n" in shown.stdout
    refused = CliRunner().invoke(main, ["harmonise", str(tmp_path / "gone.tif"), str(tmp_path / "o.tif")])
    assert (refused.exit_code, "gone.tif does not exist" in refused.stderr) == (2, True)


def test_a_raster_that_qgis_points_at(tmp_path: Path) -> None:
    """A VRT and a file inside a zip are what GDAL opens by name."""
    source = write_raster(tmp_path / "s.tif", landscape(13, 40, 40), scale="0.0001", offset="0")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, source.name)
    for number, name in enumerate((f"/vsizip/{archive}/s.tif", archive)):
        result = harmonise(name, tmp_path / f"{number}.tif")
        assert result["bands"] == list(S2_BANDS)
