# SPDX-License-Identifier: GPL-2.0-or-later
"""What `bench` measures: the right work, the right ratios, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from encoder_files import random_encoders
from engine_files import BUNDLED, PATCHES, texture
from scene_files import write_raster
from ssl4eo.bench import bench, pairs, timers
from ssl4eo.bench.baseline import PlainLoop, deflated
from ssl4eo.bench.child import encode_in_child
from ssl4eo.bench.forward import Forward
from ssl4eo.bench.parts import PARTS
from ssl4eo.bench.repeat import repeat_scene, side_of
from ssl4eo.bench.sizes import flatness
from ssl4eo.bench.subject import Subject
from ssl4eo.bench.timing import Timing, in_turn, shares
from ssl4eo.encoders import get_card
from ssl4eo.encoders.encoder import Encoder, load_encoder
from ssl4eo.encoders.weights import weights_folder
from ssl4eo.errors import Cancelled, InputError
from ssl4eo.jobs import no_progress
from ssl4eo.scenes import inspect

SIDE = 448


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four windows of a transformer; in the lower right one is nothing."""
    values = texture(SIDE, SIDE)
    values[:, 224:, 224:] = 0
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    return write_raster(path, values, nodata=0, level="L1C", scale="0.0001", offset="0")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with random_encoders(tmp_path_factory.mktemp("narrow"), [PATCHES]):
        yield


@pytest.fixture
def subject(scene: Path, tmp_path: Path) -> Subject:
    return Subject(get_card(BUNDLED), scene, "standard", "cpu", "fp32", tmp_path)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go during a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(temporary: Path) -> list[Path]:
    """Return what `bench` has left; PyTorch has a folder of its own there."""
    return [path for path in temporary.iterdir() if not path.name.startswith("torch")]


def test_ways_run_in_turn_and_medians_make_the_ratio() -> None:
    order: list[str] = []
    seconds = {"forward": [8.0, 9.0, 1.0], "whole": [10.0, 30.0, 20.0]}

    def way(name: str) -> float:
        order.append(name)
        return seconds[name][order.count(name) - 1]

    found = in_turn({name: lambda name=name: way(name) for name in seconds}, 3, no_progress)
    assert order == ["forward", "whole"] * 3
    assert shares(found["forward"], found["whole"]) == {"median": 8 / 20, "least": 1 / 20, "most": 8 / 10}
    assert Timing((3.0, 1.0, 9.0)).to_dict() == {"median": 3, "least": 1, "most": 9, "seconds": [3, 1, 9]}


def test_a_clock_takes_off_what_has_a_clock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(timers.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timers.time, "thread_time", lambda: now[0] / 2)
    module = sys.modules[__name__]

    def inner() -> None:
        now[0] += 4

    def outer() -> None:
        now[0] += 1
        module._inner()
        now[0] += 2

    module._inner, module._outer = inner, outer
    taken = timers.Timers(lambda: now.__setitem__(0, now[0] + 8), "a")
    with taken.around({"a": [f"{__name__}:_inner"], "b": [f"{__name__}:_outer"]}):
        module._outer()
        module._inner()
    assert (module._inner, module._outer) == (inner, outer)
    assert taken.spent["a"] == timers.Spent(wall=24, cpu=12, calls=2)
    assert taken.spent["b"] == timers.Spent(wall=3, cpu=1.5, calls=1)


def test_a_repeated_scene_has_its_pixels_and_says_what_it_says(tmp_path: Path) -> None:
    values = texture(60, 100, bands=4)
    tags = {"level": "L2A", "scale": "0.0001", "offset": "-1000"}
    source = write_raster(tmp_path / "a b.tif", values, ["B02", "B03", None, "B08"], nodata=7, **tags)
    with rasterio.open(source, "r+") as dataset:
        dataset.scales, dataset.offsets = (1.0, 0.5, 2.0, 1.0), (0.0, 1.5, 0.0, -3.0)
    for side in (230, 50):
        with (
            rasterio.open(repeat_scene(source, tmp_path / f"{side}.vrt", side)) as made,
            rasterio.open(source) as first,
        ):
            rows, cols = np.arange(side) % 60, np.arange(side) % 100
            np.testing.assert_array_equal(made.read(), values[:, rows][:, :, cols])
            assert (made.transform, made.crs, made.descriptions) == (first.transform, first.crs, first.descriptions)
            assert (made.nodatavals, made.dtypes) == (first.nodatavals, first.dtypes)
            assert (made.scales, made.offsets) == (first.scales, first.offsets)
            assert made.tags().items() >= tags.items()
    with pytest.raises(InputError, match="not one raster that can be repeated"):
        repeat_scene(tmp_path, tmp_path / "c.vrt", 50)


def test_a_repeated_scene_is_understood_as_the_scene_is(scene: Path, tmp_path: Path) -> None:
    names = ("sensor", "level", "bands", "quantification", "offset", "nodata", "crs", "resolution")
    first, again = inspect(scene).to_dict(), inspect(repeat_scene(scene, tmp_path / "big.vrt", 1000)).to_dict()
    assert {name: again[name] for name in names} == {name: first[name] for name in names}
    assert (again["width"], again["height"]) == (1000, 1000)


def test_sides_are_whole_tiles_up_to_a_sentinel_2_tile() -> None:
    assert [side_of(size) for size in (0.25, 1, 4, 16, 121)] == [512, 1024, 2048, 4096, 10980]


def test_flatness_is_of_the_sizes_from_four_on() -> None:
    rows = [{"mpx": mpx, "seconds_per_mpx": each} for mpx, each in ((1.05, 9.0), (4.19, 2.0), (16.8, 2.5), (121, 2.2))]
    assert flatness(rows) == 1.25
    assert flatness(rows[:2]) is None


@pytest.mark.parametrize(("encoder", "mode"), [(BUNDLED, "standard"), (PATCHES, "standard"), (PATCHES, "fast")])
def test_the_forward_pass_is_that_of_the_engine(
    encoder: str, mode: str, scene: Path, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    levels = Encoder.levels

    def heard(self: Encoder, x: torch.Tensor) -> list[torch.Tensor]:
        seen.extend(image.contiguous().numpy().tobytes() for image in x)
        return levels(self, x)

    monkeypatch.setattr(Encoder, "levels", heard)
    subject = Subject(get_card(encoder), scene, mode, "cpu", "fp32", tmp_path)
    subject.encode(tmp_path / "out", no_progress)
    encoded, tiles = sorted(seen), len(seen)
    with subject.planned() as run:
        forward = Forward(run, load_encoder(encoder, "cpu", "fp32"), no_progress)
    assert tiles == forward.tiles == {BUNDLED: 1, PATCHES: 8 if mode == "standard" else 3}[encoder]
    for measure in (lambda: forward.as_engine(lambda: None), lambda: forward.alone(2, lambda: None)):
        seen.clear()
        assert measure() > 0
        assert sorted(seen) == encoded
    assert sum(map(len, encoded)) == forward.images * 224**2 * 13 * 4


# rasterio.merge multiplies affine transformations the old way.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_the_plain_loops_file_holds_the_encoders_own_features(scene: Path, narrow: None, tmp_path: Path) -> None:
    side = 500
    image = deflated(scene, tmp_path / "image.tif", side)
    with rasterio.open(image) as dataset:
        stored = dataset.read()
        assert (dataset.profile["compress"], dataset.profile["tiled"], stored.dtype) == ("deflate", True, "uint16")
    loop = PlainLoop(
        Subject(get_card(PATCHES), image, "fast", "cpu", "auto", tmp_path), tmp_path / "loop", lambda: None, []
    )
    assert loop() > loop.network[0] > 0
    assert loop.tiles == 9
    encoder = load_encoder(PATCHES, "cpu", "fp32")
    with rasterio.open(tmp_path / "loop" / "merged.tif") as merged:
        features = merged.read()
        assert (merged.crs, merged.transform.a, merged.width) == (dataset.crs, 160, 42)
        assert merged.transform.c == dataset.transform.c
    for row in range(3):
        for col in range(3):
            tile = stored[:, row * 224 : row * 224 + 224, col * 224 : col * 224 + 224] / np.float32(10000)
            beyond = ((0, 0), (0, 224 - tile.shape[1]), (0, 224 - tile.shape[2]))
            tile = torch.from_numpy(np.pad(tile, beyond, mode="symmetric"))[None]
            own = encoder.pyramid(encoder.normalise(tile))[-1][1][0].numpy()
            cells = features[:, row * 14 : row * 14 + 14, col * 14 : col * 14 + 14]
            np.testing.assert_allclose(cells, own, rtol=1e-3, atol=1e-4)


def test_all_that_is_measured_of_a_resnet(scene: Path, temporary: Path) -> None:
    said: list[tuple[float, str]] = []
    what = ("forward", "ratio", "parts", "memory", "scaling")
    result = bench(
        BUNDLED, what=what, scene=scene, device="cpu", precisions=("fp32", "bf16"), pairs=2, sizes=(0.0625, 0.25),
        progress=lambda fraction, message="": said.append((fraction, message)),
    )  # fmt: skip
    assert left(temporary) == []
    assert json.loads(json.dumps(result)) == result
    assert (result["scene"], result["what"], result["pairs"]) == (str(scene), list(what), 2)
    assert result["machine"]["cores"] >= 1
    assert [fraction for fraction, _ in said] == sorted(fraction for fraction, _ in said)
    assert [run["precision"] for run in result["runs"]] == ["fp32", "bf16"]
    for run in result["runs"]:
        assert (run["weights"], run["width"], run["height"], run["tiles"]) == ("own", SIDE, SIDE, 1)
        check_pairs(run)
        check_parts(run["parts"])
        rows = run["scaling"]["rows"]
        assert [(row["side"], row["tiles"]) for row in rows] == [(256, 1), (512, 1)]
        assert rows[1]["seconds_per_mpx"] == rows[1]["seconds"] / (512**2 / 1e6)
        assert run["memory"]["most_mb"] == max(row["peak_memory_mb"] for row in rows) > 100


def check_pairs(run: dict[str, Any]) -> None:
    arrangements, ratio = run["forward"]["arrangements"], run["ratio"]
    medians = [one["median"] for one in arrangements]
    assert run["forward"]["fastest"] == medians.index(min(medians))
    assert ratio["median"] == min(medians) / ratio["end_to_end"]["median"]
    assert ratio["forward"]["median"] == min(medians)
    assert [len(one["seconds"]) for one in (*arrangements, ratio["end_to_end"])] == [2, 2, 2]
    assert 0 < ratio["before_first_tile"] < ratio["end_to_end"]["median"]
    side = SIDE + 32 + 2 * 64
    assert arrangements[0]["images_per_second"] == pytest.approx((side / 224) ** 2 / medians[0])
    assert ratio["mpx_per_second"] == pytest.approx(SIDE**2 / 1e6 / ratio["end_to_end"]["median"])


def check_parts(found: dict[str, Any]) -> None:
    assert [part["part"] for part in found["parts"]] == list(PARTS)
    assert all(part["calls"] > 0 and part["wall"] > 0 for part in found["parts"])
    assert sum(part["cpu"] for part in found["parts"]) <= found["cpu"] + 0.05


def test_encode_gets_its_functions_back(subject: Subject) -> None:
    before = Encoder.levels
    with contextlib.suppress(Cancelled), timers.Timers(lambda: None, "").around(PARTS):
        assert Encoder.levels is not before
        raise Cancelled("Cancelled.")
    assert Encoder.levels is before


def test_time_before_the_first_tile_ends_when_one_is_looked_at(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((100.0, 103.0, 110.0))
    monkeypatch.setattr(pairs.time, "perf_counter", lambda: next(clock))

    def encode(self: Subject, out: Path, progress: Any, **_: Any) -> dict[str, Any]:
        out.mkdir()
        for message in ("Opening the scene", "Loading the encoder", "Looking at the scene", "Encoding"):
            progress(0.1, message)
        return {"windows": 3}

    monkeypatch.setattr(Subject, "encode", encode)
    end = pairs.End(subject, no_progress)
    assert end() == 10
    assert end.before_first_tile == [3]


def test_random_weights_leave_the_users_folder_alone(scene: Path) -> None:
    sentence = "not on this computer; .* or measure with random weights"
    with pytest.raises(InputError, match=sentence):
        bench("moco-resnet18-s2", scene=scene)
    before = sorted(weights_folder().rglob("*"))
    result = bench("moco-resnet18-s2", what=("forward",), scene=scene, device="cpu", pairs=1, random_weights=True)
    assert result["runs"][0]["weights"] == "random"
    assert "ratio" not in result["runs"][0]
    assert sorted(weights_folder().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"what": ["speed"]}, r"There is 'speed' to measure; choose of: forward, ratio"),
        ({"what": []}, "There is nothing to measure"),
        ({"pairs": 0}, "cannot be 0 pairs"),
        ({"what": ["scaling"], "sizes": [0.01]}, "0.01 Mpx is too small"),
        ({"what": ["memory"], "sizes": [float("nan")]}, "nan Mpx is too small"),
        ({"what": ["memory"], "sizes": [500]}, "500 Mpx is more than a Sentinel-2 tile has"),
        ({"what": ["memory"], "sizes": []}, "No size"),
        ({"encoder": []}, "No encoder"),
        ({"precisions": []}, "No precision"),
        ({"encoder": "moco-resnet50-s1", "scene": None}, "takes Sentinel-1, and the simulated scene"),
        ({"what": ["baseline"]}, "choose a transformer for the baseline"),
        ({"mode": "fast"}, "has no mode 'fast'; choose one of: standard"),
        ({"device": "gpu"}, "There is no device 'gpu'"),
        ({"precisions": ["fp8"]}, "There is no precision 'fp8'"),
        ({"encoder": "vit"}, "There is no encoder 'vit'"),
        ({"scene": "nowhere.tif"}, "nowhere.tif does not exist"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    options: dict[str, Any], sentence: str, scene: Path, temporary: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        bench(**{"scene": scene, **options})
    assert left(temporary) == []


def test_a_scene_with_a_question_is_sent_to_harmonise(tmp_path: Path) -> None:
    unnamed = write_raster(tmp_path / "unnamed.tif", texture(300, 300, bands=4), [None] * 4)
    with pytest.raises(InputError, match="or write it with `ssl4eo harmonise` and measure on the result"):
        bench(scene=unnamed)


def test_a_folder_of_band_files_is_measured_as_one_image(scene: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bands"
    folder.mkdir()
    with rasterio.open(scene) as dataset:
        for number, name in enumerate(dataset.descriptions, start=1):
            band = dataset.read([number])
            write_raster(folder / f"T33UUU_20170216_{name}.tif", band, [name], nodata=0, level="L1C", scale="0.0001")
    result = bench(what=("memory",), scene=folder, sizes=(0.0625,), device="cpu")
    assert result["runs"][0]["memory"]["rows"][0]["side"] == 256


@pytest.mark.parametrize("at", ["Round 1 of 1: one stream", "end to end", "process of its own", "time of each part"])
def test_a_cancel_leaves_nothing(at: str, scene: Path, temporary: Path) -> None:
    def progress(_: float, message: str = "") -> None:
        if at in message:
            raise Cancelled("Cancelled.")

    what = {"process of its own": ("memory",), "time of each part": ("parts",)}.get(at, ("ratio",))
    with pytest.raises(Cancelled):
        bench(what=what, scene=scene, device="cpu", pairs=1, sizes=(0.0625,), progress=progress)
    assert left(temporary) == []


def test_a_process_of_its_own_says_what_is_wrong(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no mode 'fast'"):
        encode_in_child([str(scene), str(tmp_path / "out"), "--mode", "fast"], 0.0, "", no_progress)


def test_a_processs_peak_is_not_that_of_the_one_that_started_it() -> None:
    code = "from ssl4eo.features.memory import peak_memory_mb; print(peak_memory_mb())"
    held = np.ones(80_000_000, np.float64)
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10 < float(made.stdout) < held.nbytes / 1e6 / 2
