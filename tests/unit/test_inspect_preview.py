# SPDX-License-Identifier: GPL-2.0-or-later
"""The thinned picture that decisions are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from scene_files import ORIGIN, write_raster
from spectra_files import numbers
from ssl4eo.bands import S2_BANDS
from ssl4eo.errors import InputError
from ssl4eo.scenes import inspect
from ssl4eo.scenes.inspect import inspect_raster
from ssl4eo.scenes.preview import Preview, drop_fringe, read_detail, read_stored
from ssl4eo.scenes.raster import Raster
from ssl4eo.scenes.sources import open_raster

if TYPE_CHECKING:
    from pathlib import Path

L2A = tuple(band for band in S2_BANDS if band != "B10")


def large(path: Path, side: int, names: tuple[str, ...], offset: int = 0) -> Path:
    """Write patches of real spectra over a raster that is mostly holes."""
    profile: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "sparse_ok": True}
    patch = numbers(names, offset, side=32)
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=len(names), dtype="uint16", crs="EPSG:32633",
        transform=ORIGIN, **profile,
    ) as dataset:  # fmt: skip
        for row in np.linspace(0, side - 32, 8).astype(int).tolist():
            for col in np.linspace(0, side - 32, 8).astype(int).tolist():
                dataset.write(patch, window=rasterio.windows.Window(col, row, 32, 32))
        dataset.descriptions = names
    return path


@pytest.mark.parametrize("overviews", [False, True])
def test_of_a_whole_tile_little_is_read(tmp_path: Path, monkeypatch: Any, overviews: bool) -> None:
    path = large(tmp_path / "s.tif", 10980, ("B04", "B08", "B10"), 1000)
    if overviews:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([16, 64], Resampling.nearest)
    read: list[tuple[int, bool]] = []
    plain = Raster.read

    def counting(raster: Raster, *args: Any, **kwargs: Any) -> Any:
        values = plain(raster, *args, **kwargs)
        thinned = kwargs.get("shape") is not None
        read.append((values.size, thinned))
        return values

    monkeypatch.setattr(Raster, "read", counting)
    info = inspect(path)
    assert sum(size for size, _ in read) <= 3 * 256 * 256
    assert {thinned for _, thinned in read} == {overviews}
    assert overviews or info.offset == -1000


def test_no_data_mixed_into_overviews_is_not_taken_for_dark_ground(tmp_path: Path) -> None:
    values = np.tile(numbers(L2A, 1000, side=128), (1, 8, 8))
    row, col = np.mgrid[:1024, :1024]
    values[:, row + col > 1300] = 0
    path = write_raster(tmp_path / "s.tif", values, L2A, scale="0.0001")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4, 8], Resampling.average)
    with open_raster(path) as raster:
        assert np.nanmin(np.where(read_stored(raster, [4]) > 0, read_stored(raster, [4]), np.nan)) < 900
        assert inspect_raster(raster).offset == -1000


def test_the_fringe_of_gaps_goes_unless_nothing_would_be_left() -> None:
    values = np.ones((2, 9, 9))
    values[0, 4, 4] = np.nan
    values[1, ::3, ::3] = np.nan
    drop_fringe(values)
    assert np.isnan(values[0]).sum() == 9
    assert np.isnan(values[1]).sum() == 9


def test_percentiles_leave_gaps_out() -> None:
    preview = Preview(("B02", None, "B03"), np.stack([np.arange(4.0), np.zeros(4), np.full(4, np.nan)])[:, None])
    assert preview.names == ("B02", "B03")
    assert preview.median("B02") == 1.5
    assert np.isnan(preview.median("B03"))


def test_a_file_that_breaks_off_is_one_sentence(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", np.tile(numbers(side=128), (1, 4, 4)))
    with open_raster(path) as raster:
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(InputError, match=r"s\.tif cannot be read \(.*\); check the file"):
            inspect_raster(raster)


@pytest.mark.parametrize("fill", [0, np.nan])
def test_an_empty_image_is_read_without_a_fuss(tmp_path: Path, fill: float) -> None:
    values = np.full((13, 20, 20), fill, np.float32 if np.isnan(fill) else np.uint16)
    info = inspect(write_raster(tmp_path / "s.tif", values))
    assert (info.sensor, info.offset) == ("S2", 0)
    assert not any(inspect(write_raster(tmp_path / "t.tif", values, [None] * 13)).bands)


def test_detail_keeps_repeated_pixels_in_step(tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).integers(1, 9000, (1, 300, 310)).astype(np.uint16)
    path = write_raster(tmp_path / "s.tif", coarse.repeat(2, axis=1).repeat(2, axis=2), ["B05"])
    with open_raster(path) as raster:
        detail = read_detail(raster, [1])
    assert detail.shape == (1, 256, 256)
    np.testing.assert_array_equal(detail[:, ::2, ::2], detail[:, 1::2, 1::2])
