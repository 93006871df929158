# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done on its way to the disk: records of units, level files put together of them, overviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from scene_files import ORIGIN
from ssl4eo.features.engine.assemble import Assembler
from ssl4eo.features.engine.records import Records
from ssl4eo.features.levelfile import BLOCK, LevelFile
from ssl4eo.features.projection import Quantiser
from ssl4eo.features.tiling import LevelGrid
from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Four units of two levels: a level of 3 components, and one of 2 of which the second unit gives nothing.
REGIONS = [
    [(3, Window(4, 8, 10, 5)), (2, Window(1, 2, 3, 2))],
    [(3, Window(14, 8, 6, 5)), (2, None)],
    [(3, Window(4, 13, 16, 4)), (2, Window(1, 4, 5, 1))],
    [(3, Window(4, 17, 16, 3)), (2, Window(1, 5, 5, 2))],
]
GRIDS = [Window(4, 8, 16, 12), Window(1, 2, 5, 5)]


def levels_of(unit: int) -> list[NDArray[np.uint8] | None]:
    rng = np.random.default_rng(unit)
    return [
        None if cells is None else rng.integers(0, 256, (count, cells.height, cells.width), np.uint8)
        for count, cells in REGIONS[unit]
    ]


def filled(folder: Path, upto: int, empty: int | None = None) -> Records:
    records = Records(folder, "run_0", REGIONS)
    for unit in range(records.done, upto):
        made = levels_of(unit)
        records.write(unit, [None] * len(made) if unit == empty else made)
    return records


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    filled(tmp_path, 3, empty=1)
    records = Records(tmp_path, "run_0", REGIONS)
    assert records.done == 3
    assert records.read(1, 0, 0, 3) is None
    assert records.read(1, 1, 0, 2) is None
    for unit in (0, 2):
        for level, (count, _) in enumerate(REGIONS[unit]):
            values = levels_of(unit)[level]
            assert values is not None
            found = records.read(unit, level, 1, 9)
            assert found is not None
            np.testing.assert_array_equal(found, values[1:count])


@pytest.mark.parametrize(("damage", "left"), [(-1, 2), (0, 0)])
def test_a_unit_whose_bytes_are_damaged_is_done_again_and_all_after_it(tmp_path: Path, damage: int, left: int) -> None:
    filled(tmp_path, 3)
    path = tmp_path / "run_0.bin"
    stored = bytearray(path.read_bytes())
    stored[damage] ^= 1
    path.write_bytes(stored)
    assert Records(tmp_path, "run_0", REGIONS).done == left
    assert filled(tmp_path, 4).done == 4
    assert Records(tmp_path, "run_0", REGIONS).done == 4


@pytest.mark.parametrize("journal", [b"", b"\2\0\0", b"\2" * 400])
def test_a_journal_of_another_size_counts_for_nothing(tmp_path: Path, journal: bytes) -> None:
    """A computer that lost power may leave a file whose size, or content, never came to the disk."""
    filled(tmp_path, 2)
    (tmp_path / "run_0.done").write_bytes(journal)
    assert Records(tmp_path, "run_0", REGIONS).done == 0
    assert filled(tmp_path, 4).done == 4
    assert Records(tmp_path, "run_0", REGIONS).done == 4


def test_records_that_were_cut_or_lost_are_done_again(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    path = tmp_path / "run_0.bin"
    path.write_bytes(path.read_bytes()[:200])
    assert Records(tmp_path, "run_0", REGIONS).done == 1
    path.unlink()
    assert Records(tmp_path, "run_0", REGIONS).done == 0
    assert filled(tmp_path, 4).done == 4


def open_level(folder: Path, name: str, cells: Window, components: int) -> LevelFile:
    transform = ORIGIN @ ORIGIN.translation(cells.col, cells.row)
    grid = LevelGrid(1, cells, Grid(CRS.from_epsg(32633), transform, cells.width, cells.height))
    quantiser = Quantiser(np.full(components, 0.5, np.float32), np.full(components, -3, np.float32))
    return LevelFile(folder / name, grid, [f"component {i}" for i in range(components)], quantiser)


def assembled(folder: Path, steps: list[int]) -> list[NDArray[np.uint8]]:
    """Put the levels together as if the run had been looked at after so many units."""
    records = filled(folder, 4, empty=3)
    files = [open_level(folder, f"{i}.tif", cells, 3 - i) for i, cells in enumerate(GRIDS)]
    grids = [LevelGrid(1, cells, Grid(None, ORIGIN, cells.width, cells.height)) for cells in GRIDS]
    with Assembler(records, REGIONS, files, grids) as assembler:
        for done in steps:
            assembler.advance(done)
        assembler.finish()
    return [rasterio.open(folder / f"{i}.tif").read() for i in range(2)]


def test_units_come_to_their_places(tmp_path: Path) -> None:
    expected = [np.zeros((3, 12, 16), np.uint8), np.zeros((2, 5, 5), np.uint8)]
    for unit in range(3):
        for target, grid, (_, cells), values in zip(expected, GRIDS, REGIONS[unit], levels_of(unit), strict=True):
            if cells is not None and values is not None:
                target[:, *cells.shift(-grid.col, -grid.row).slices] = values
    for found, wanted in zip(assembled(tmp_path, [0, 1, 2, 3, 4]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_bytes_do_not_depend_on_when_units_came(tmp_path: Path) -> None:
    written = []
    for number, steps in enumerate(([0, 1, 2, 3, 4], [3, 4], [4])):
        folder = tmp_path / str(number)
        folder.mkdir()
        assembled(folder, steps)
        written.append([(folder / f"{i}.tif").read_bytes() for i in range(2)])
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize(("height", "width"), [(3 * BLOCK + 16, 5 * BLOCK), (3 * BLOCK + 7, 5 * BLOCK + 2)])
def test_gdal_finds_overviews_that_hold_means_of_what_is_known(tmp_path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    values = (np.linspace(20, 220, width)[None] + rng.normal(0, 8, (2, height, width))).astype(np.uint8)
    values[:, :900, :700] = 0
    values[:, 1000:1003, 1000:1003] = 0
    with open_level(tmp_path, "level.tif", Window(0, 0, width, height), 2) as file:
        for row in range(0, height, BLOCK):
            for first in range(2):
                file.write(row, first, values[first : first + 1, row : row + BLOCK])
        file.finish()
    with rasterio.open(tmp_path / "level.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.overviews(1) == dataset.overviews(2) == [4, 16]
        assert (dataset.scales, dataset.offsets) == ((0.5, 0.5), (-3, -3))
    for number, factor in enumerate((4, 16)):
        with rasterio.open(tmp_path / "level.tif", overview_level=number) as dataset:
            small = dataset.read()
            assert (dataset.nodata, dataset.compression.name) == (0, "zstd")
        assert small.shape == (2, -(-height // factor), -(-width // factor))
        padded = np.zeros((2, small.shape[1] * factor, small.shape[2] * factor))
        padded[:, :height, :width] = values
        blocks = padded.reshape(2, small.shape[1], factor, small.shape[2], factor)
        known = (blocks > 0).sum(axis=(2, 4))
        mean = blocks.sum(axis=(2, 4)) / np.maximum(known, 1)
        if factor == 4:
            assert np.abs(small - mean)[known > 0].max() <= 0.5
        elif height % factor == 0:
            # Made of the first, each of whose cells counts the same: GDAL fits squares to an odd size by shifting them.
            assert np.abs(small - mean)[known == factor**2].max() <= 1
        assert (small[known == 0] == 0).all()
        assert (small[known > 0] > 0).all()


def test_a_level_that_is_seen_at_once_needs_no_overviews(tmp_path: Path) -> None:
    with open_level(tmp_path, "level.tif", Window(0, 0, BLOCK, 20), 1) as file:
        file.write(0, 0, np.ones((1, 20, BLOCK), np.uint8))
        file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["level.tif"]
