# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine makes is what the network says of each place: no seams, and a part as the whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from encoder_files import random_encoders
from engine_files import BUNDLED, PATCHES, RELATIVE, SMALL_PATCHES, decoded, one_thread, texture
from scene_files import landscape, write_raster
from ssl4eo.encoders import load_encoder
from ssl4eo.encoders.modes import modes_of
from ssl4eo.features import FeatureSet, encode, tiling
from ssl4eo.features.engine import sample
from ssl4eo.features.engine.forward import _THINNED
from ssl4eo.grid import Window
from ssl4eo.scenes import open_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.scenes.scene import Scene

HEIGHT, WIDTH, HALF = 420, 500, 112
GAP = np.s_[150:290, 60:170]


@pytest.fixture(scope="module", autouse=True)
def _encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Narrow networks, and small tiles, so that small scenes have many."""
    with (
        random_encoders(tmp_path_factory.mktemp("encoders"), (PATCHES, SMALL_PATCHES, RELATIVE), place=0.1),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(tiling, "TILE", 128)
        # The others go through the network in batches.
        patch.setattr(sample, "_TILES", 3)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    values = texture(HEIGHT, WIDTH)
    write_raster(folder / "whole.tif", values, scale="0.0001", level="L1C")
    values[(slice(None), *GAP)] = 0
    write_raster(folder / "gap.tif", values, scale="0.0001", level="L1C")
    values = landscape(height=HEIGHT, width=WIDTH)
    values[(slice(None), *GAP)] = 0
    write_raster(folder / "fields.tif", values, scale="0.0001", level="L1C")
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Callable[..., Path]:
    """Encode a scene, once for each encoder and mode."""

    def make(encoder: str, mode: str = "standard", scene: str = "whole", precision: str = "fp32") -> Path:
        target = folder / f"{encoder}_{mode}_{scene}_{precision}"
        encode(folder / f"{scene}.tif", target, encoder=encoder, mode=mode, device="cpu", precision=precision)
        return target

    return make


def network_input(encoder: Encoder, scene: Scene, window: Window) -> tuple[torch.Tensor, float]:
    """Return a window of pixels (C, H, W) as the network takes them, and how many of them are there.

    Beyond the image they are mirrored, missing ones are the mean of some of the others.
    """
    pixels, valid = scene.read(window, encoder.card.bands)
    rows, cols = scene.grid.clip(window).shift(-window.col, -window.row).slices
    around = ((rows.start, window.height - rows.stop), (cols.start, window.width - cols.stop))
    known = torch.from_numpy(np.pad(valid[rows, cols], around, mode="symmetric"))
    normalised = encoder.normalise(torch.from_numpy(pixels))
    thin = slice(None, None, _THINNED)
    for band in normalised:
        band[~known] = band[thin, thin][known[thin, thin]].mean()
    return normalised, float(known.float().mean())


def blended(encoder: Encoder, scene: Scene) -> list[NDArray[np.float32]]:
    """Return levels (C, h, w) over the scene: the weighted mean of all windows, as plainly as can be."""
    patch, side = encoder.backbone.patch or 0, encoder.backbone.window
    cells = side // patch
    line = np.minimum(np.arange(cells) + 0.5, np.arange(cells)[::-1] + 0.5)
    size = [-(-length // patch) + cells for length in (HEIGHT, WIDTH)]
    totals = [np.zeros((width, *size)) for width in encoder.backbone.channels]
    weights = np.zeros(size)
    places = [(row, col) for row in range(0, HEIGHT - HALF, HALF) for col in range(0, WIDTH - HALF, HALF)]
    inputs = [network_input(encoder, scene, Window(col, row, side, side)) for row, col in places]
    levels = [level.numpy() for _, level in encoder.pyramid(torch.stack([pixels for pixels, _ in inputs]))]
    for number, ((row, col), (_, share)) in enumerate(zip(places, inputs, strict=True)):
        at = np.s_[row // patch : row // patch + cells, col // patch : col // patch + cells]
        for total, level in zip(totals, levels, strict=True):
            total[(slice(None), *at)] += level[number] * line[:, None] * line * share
        weights[at] += line[:, None] * line * share
    return [np.asarray(total / np.maximum(weights, 1e-9), np.float32) for total in totals]


@pytest.mark.parametrize(("encoder_id", "scene"), [(PATCHES, "whole"), (PATCHES, "gap"), (SMALL_PATCHES, "gap")])
def test_windows_are_blended_as_their_weighted_mean(
    folder: Path, made: Callable[..., Path], encoder_id: str, scene: str
) -> None:
    target = made(encoder_id, scene=scene)
    features, stored = FeatureSet.open(target), np.load(target / "projection.npz")
    with open_scene(folder / f"{scene}.tif") as opened, one_thread():
        expected = blended(load_encoder(encoder_id, "cpu", "fp32"), opened)
    for level, wanted in zip(features.levels[2:], expected, strict=True):
        mean, components = (stored[f"{name}_{level.index}"] for name in ("mean", "components"))
        values = level.read(level.grid.window)
        there = wanted[:, : values.shape[1], : values.shape[2]]
        projected = np.einsum("kc,chw->khw", components, there - mean[:, None, None])
        known = np.isfinite(values[0])
        # The last cells complete interpolation beyond the image.
        assert known[: HEIGHT // level.stride, : WIDTH // level.stride].mean() > (0.85 if scene == "gap" else 0.999)
        reach = 127 * level.scale[:, None, None]
        middle = level.offset[:, None, None] + 128 * level.scale[:, None, None]
        inside = known & (np.abs(projected - middle) < reach)
        error = np.abs(values - projected)
        deviation = projected[:, known].std(axis=1)[:, None, None]
        # After a norm the channels of a cell add up to the same everywhere: one component holds nothing but rounding.
        varies = stored[f"variance_{level.index}"] > 1e-6
        assert varies.sum() >= len(varies) - 1
        within = error <= 0.501 * level.scale[:, None, None] + 1e-3 * deviation
        assert within[varies][inside[varies]].all()
        # Few values lie beyond the range of the bytes; those are cut.
        assert inside[:, known].mean() > 0.995


def steps(values: NDArray[np.float32], axis: int, borders: list[int]) -> float:
    """Return how much neighbours across borders differ, relative to other neighbours, root mean square."""
    apart = (np.diff(values, axis=axis) ** 2).mean(axis=0)
    apart = apart if axis == 2 else apart.T
    at = np.zeros(apart.shape[1], bool)
    at[[border - 1 for border in borders if border <= len(at)]] = True
    return float(np.sqrt(np.nanmean(apart[:, at]) / np.nanmean(apart[:, ~at])))


def seams(target: Path, side: int) -> list[float]:
    """Return per level of the network how much larger differences are across the borders of tiles or windows."""
    found = []
    for level in FeatureSet.open(target).levels[2:]:
        values = level.read(level.grid.window)
        for axis, length in ((1, HEIGHT), (2, WIDTH)):
            borders = [pixel // level.stride for pixel in range(side, length, side)]
            found.append(steps(values, axis, borders))
    return found


def test_there_are_no_seams_between_tiles(made: Callable[..., Path]) -> None:
    assert max(seams(made(BUNDLED), 128)) < 1.1


@pytest.mark.parametrize("encoder_id", [PATCHES, SMALL_PATCHES, RELATIVE])
def test_blending_leaves_no_seams_between_windows(made: Callable[..., Path], encoder_id: str) -> None:
    """The networks' tokens tell their place in the window; those with relative positions tell less of it."""
    side_by_side = np.array(seams(made(encoder_id, "fast"), 2 * HALF))
    standard = np.array([seams(made(encoder_id), side) for side in (HALF, 2 * HALF)])
    assert standard.max() < 1.1
    if encoder_id != RELATIVE:
        assert side_by_side.min() > 1.5 * standard.max()


PART = Window(140, 90, 205, 170)


@pytest.mark.parametrize("encoder_id", [BUNDLED, PATCHES, SMALL_PATCHES])
def test_a_part_is_the_same_as_the_whole_there(folder: Path, made: Callable[..., Path], encoder_id: str) -> None:
    whole, part = made(encoder_id, scene="fields"), folder / f"part_{encoder_id}"
    encode(
        folder / "fields.tif", part, encoder=encoder_id, device="cpu", precision="fp32", projection=whole,
        window=(PART.col, PART.row, PART.width, PART.height),
    )  # fmt: skip
    sets = FeatureSet.open(whole), FeatureSet.open(part)
    assert json.loads((part / "item.json").read_text())["properties"]["ssl4eo:projection_of"] == str(whole)
    for one, other in zip(*(features.levels for features in sets), strict=True):
        assert one.names == other.names
        col, row = one.grid.colrow(*other.grid.xy(np.array([0.5]), np.array([0.5])))
        there = Window(round(col[0] - 0.5), round(row[0] - 0.5), other.grid.width, other.grid.height)
        a, b = one.read(there), other.read(other.grid.window)
        np.testing.assert_array_equal(np.isnan(a[0]), np.isnan(b[0]))
        assert np.isnan(a[0]).any()
        known = np.isfinite(a[0])
        # Steps differ, as each set has a range of its own; what lies beyond is cut.
        step = (one.scale + other.scale)[:, None]
        low, high = (one.offset + 3 * one.scale)[:, None], (one.offset + 253 * one.scale)[:, None]
        whole_values, part_values = a[:, known], b[:, known]
        inside = (whole_values > low) & (whole_values < high)
        apart = np.maximum(np.abs(whole_values - part_values) - 0.51 * step, 0) / whole_values.std(axis=1)[:, None]
        # The tiles of a ResNet are cut at the part's edges, where its halo ends: as at any seam.
        assert np.quantile(apart[inside], 0.99) <= (0.05 if encoder_id == BUNDLED and one.stride > 8 else 0), one.names[
            0
        ]


def modes() -> list[tuple[str, str]]:
    from ssl4eo.encoders import get_card

    return [(name, mode.name) for name in (BUNDLED, PATCHES, SMALL_PATCHES) for mode in modes_of(get_card(name).shape)]


@pytest.mark.parametrize(("encoder_id", "mode"), modes())
@pytest.mark.parametrize("at", [(37, 61), (133, 205)])
def test_a_bright_spot_lies_in_the_cells_on_its_ground(
    tmp_path: Path, encoder_id: str, mode: str, at: tuple[int, int]
) -> None:
    """Level by level, the pixel levels too."""
    col, row = at
    calm = texture(260, 250)
    spot = calm.copy()
    spot[:, row - 2 : row + 3, col - 2 : col + 3] += 1200
    sets = []
    for name, values in (("calm", calm), ("spot", spot)):
        path = write_raster(tmp_path / f"{name}.tif", values, scale="0.0001", level="L1C")
        encode(path, tmp_path / name, encoder=encoder_id, mode=mode, components="full", device="cpu", precision="fp32")
        sets.append(FeatureSet.open(tmp_path / name))
    x, y = sets[0].grid.xy(col + 0.5, row + 0.5)
    for without, with_spot in zip(*(features.levels for features in sets), strict=True):
        grid = without.grid
        change = (with_spot.read(grid.window) - without.read(grid.window)) / without.scale[:, None, None]
        # The last cells of some levels complete interpolation beyond the image and hold nothing.
        changed = np.nan_to_num(change**2).sum(axis=0)
        rows, cols = np.nonzero(changed > 0.5 * changed.max())
        weights = changed[rows, cols]
        found = grid.xy(np.average(cols, weights=weights) + 0.5, np.average(rows, weights=weights) + 0.5)
        # Within the cell: no farther than half its side along either axis; what a trained network makes of a spot at
        # stride 32 reaches into the next.
        reach = 5.1 * without.stride * (2 if without.stride == 32 else 1)
        assert abs(found[0] - x) <= reach, without.names[0]
        assert abs(found[1] - y) <= reach, without.names[0]


def correlations(one: Path, other: Path) -> list[float]:
    """Return per level how the values of two sets correlate, all components together, about their means."""
    found = []
    for a, b in zip(decoded(one), decoded(other), strict=True):
        known = np.isfinite(a[0]) & np.isfinite(b[0])
        x, y = (values[:, known] - values[:, known].mean(axis=1, keepdims=True) for values in (a, b))
        found.append(float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())))
    return found


@pytest.mark.parametrize("encoder_id", [BUNDLED, PATCHES])
def test_half_precision_says_the_same(folder: Path, made: Callable[..., Path], encoder_id: str) -> None:
    whole, half = made(encoder_id), folder / f"half_{encoder_id}"
    result = encode(folder / "whole.tif", half, encoder=encoder_id, device="cpu", precision="bf16", projection=whole)
    assert (result["precision"], result["precision_reason"]) == ("bf16", "asked for")
    assert min(correlations(whole, half)) > 0.999


def test_half_precision_says_the_same_of_a_real_scene(shared_data: Path, tmp_path: Path) -> None:
    scene, window = shared_data / "havel_l1c/s2l1c_13band_10m.tif", (300, 300, 300, 260)
    for name in ("fp32", "bf16"):
        given = {"projection": tmp_path / "fp32"} if name == "bf16" else {}
        encode(scene, tmp_path / name, device="cpu", precision=name, window=window, **given)  # type: ignore[arg-type]
    assert min(correlations(tmp_path / "fp32", tmp_path / "bf16")) > 0.999


def test_all_channels_are_kept_when_asked(tmp_path: Path) -> None:
    """A scene of one tile, with the halo that mirrors it, is what the network says of it to half a step."""
    path = write_raster(tmp_path / "s.tif", landscape(height=60, width=90), scale="0.0001", level="L1C")
    result = encode(path, tmp_path / "full", components="full", device="cpu", precision="fp32")
    assert result["components"] == "full"
    encoder, features = load_encoder(BUNDLED, "cpu", "fp32"), FeatureSet.open(tmp_path / "full")
    assert [level.components for level in features.levels[2:]] == list(encoder.backbone.channels)
    with open_scene(path) as scene:
        pixels, _ = network_input(encoder, scene, Window(0, 0, 128, 96).grow(64))
    expected_levels = [level[0].numpy() for _, level in encoder.pyramid(pixels[None])]
    for level, expected in zip(features.levels[2:], expected_levels, strict=True):
        edge, values = 64 // level.stride, level.read(level.grid.window)
        wanted = expected[:, edge : edge + values.shape[1], edge : edge + values.shape[2]]
        reach = (126 * level.scale)[:, None, None]
        inside = np.isfinite(values) & (np.abs(wanted - (level.offset + 128 * level.scale)[:, None, None]) < reach)
        assert inside.mean() > 0.7
        # Channels that are zero nearly everywhere have next to no steps.
        apart = np.abs(values - wanted) - 0.51 * level.scale[:, None, None]
        assert apart[inside].max() < 1e-4 * np.abs(wanted).max()
        assert "channel 1, " in level.names[0]


def test_a_set_says_how_it_was_made(made: Callable[..., Path]) -> None:
    properties = FeatureSet.open(made(PATCHES, "fast")).item["properties"]
    assert len(properties["ssl4eo:key"]) == 64
    assert (properties["ssl4eo:mode"], properties["ssl4eo:components"]) == ("fast", 64)
    assert set(properties["ssl4eo:software"]) == {"ssl4eo", "torch", "timm", "rasterio", "numpy"}
    assert [level["kind"] for level in properties["ssl4eo:levels"]] == ["pixels", "surroundings", *["features"] * 4]
    (entry,) = properties["ssl4eo:encoders"]
    assert (entry["device"], entry["device_reason"]) == ("cpu", "asked for")
    assert entry["batch"] >= 1
    # Rows of windows side by side: 3 of 2 in 420 x 500 pixels.
    assert properties["ssl4eo:tiles"] == 6


def test_a_window_on_the_grid_of_windows_is_sampled_without_those_beyond_it(folder: Path, tmp_path: Path) -> None:
    """Interpolation at its edge needs cells of windows that hold none of its pixels."""
    path, part = folder / "whole.tif", (0, 0, 224, 224)
    made = encode(path, tmp_path / "set", encoder=PATCHES, mode="fast", device="cpu", window=part)
    # The windows to its right and below it are computed as well.
    assert made["windows"] == 4
    features = FeatureSet.open(tmp_path / "set")
    assert all(np.isfinite(level.read(level.grid.window)).all() for level in features.levels)
