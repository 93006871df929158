# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pixels the network sees: every cell once, on a grid that is fixed in the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from scene_files import ORIGIN
from ssl4eo.encoders.backbone import BACKBONES
from ssl4eo.encoders.modes import modes_of
from ssl4eo.features.engine.reader import pieces_of
from ssl4eo.features.tiling import TILE, cells_of, encoder_grids, level_grid, plan_units
from ssl4eo.grid import Grid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from ssl4eo.encoders.backbone import Backbone
    from ssl4eo.encoders.modes import Mode
    from ssl4eo.features.tiling import LevelGrid, Unit

# Sides on which something begins or ends: a pixel, a window, half a window, a tile and what is left of one.
EDGES = [
    1, 2, 13, 14, 15, 16, 17, 111, 112, 113, 223, 224, 225, 335, 336, 337, TILE - 1, TILE, TILE + 1, TILE + 64,
    TILE + 65, 1023, 1024, 1025,
]  # fmt: skip
SIDES = st.one_of(st.sampled_from(EDGES), st.integers(1, 1300))
SHAPES = ["resnet18w32", "resnet50", "vits16", "vits14"]
WAYS = [(name, mode.name) for name in SHAPES for mode in modes_of(BACKBONES[name])]


def shape_and_mode(name: str, mode: str) -> tuple[Backbone, Mode]:
    shape = BACKBONES[name]
    return shape, next(known for known in modes_of(shape) if known.name == mode)


def scene_of(width: int, height: int) -> Grid:
    return Grid(CRS.from_epsg(32633), ORIGIN, width, height)


@st.composite
def extents(draw: st.DrawFn) -> tuple[Grid, Window]:
    """Return a scene and a part of it."""
    width, height = draw(SIDES), draw(SIDES)
    col, row = (draw(st.integers(0, min(side - 1, draw(st.sampled_from([40, side]))))) for side in (width, height))
    across, down = width - col, height - row
    part = Window(col, row, *(draw(st.one_of(st.just(most), st.integers(1, most))) for most in (across, down)))
    return scene_of(width, height), draw(st.sampled_from([part, Window(0, 0, width, height)]))


def given_by(units: list[Unit], level: LevelGrid) -> NDArray[np.int_]:
    """Return how many units give each cell that is needed."""
    count = np.zeros((level.window.height, level.window.width), int)
    for unit in units:
        cells = cells_of(unit.own, level.stride, level)
        if cells is not None:
            count[cells.shift(-level.window.col, -level.window.row).slices] += 1
    return count


def centres_inside(scene: Grid, level: LevelGrid, centre: float) -> NDArray[np.bool_]:
    """Return which cells are centred in the scene; the others only complete interpolation at its border."""
    window, stride = level.window, level.stride
    cols = np.arange(window.col, window.col_stop) * stride + centre < scene.width
    rows = np.arange(window.row, window.row_stop) * stride + centre < scene.height
    return rows[:, None] & cols


@pytest.mark.parametrize(("name", "mode_name"), WAYS)
@given(extents())
def test_every_cell_comes_from_one_unit(name: str, mode_name: str, where: tuple[Grid, Window]) -> None:
    scene, extent = where
    shape, mode = shape_and_mode(name, mode_name)
    grids = encoder_grids(scene, extent, shape)
    units = plan_units(scene, grids, shape, mode)
    assert [unit.number for unit in units] == list(range(len(units)))
    for level in grids:
        count = given_by(units, level)
        assert count.max() == 1
        inside = centres_inside(scene, level, shape.cell_centre)
        assert (count[inside] == 1).all()
        assert shape.patch is not None or count.all()


@pytest.mark.parametrize(("name", "mode_name"), WAYS)
@given(extents())
def test_what_the_network_sees_holds_what_it_keeps(name: str, mode_name: str, where: tuple[Grid, Window]) -> None:
    scene, extent = where
    shape, mode = shape_and_mode(name, mode_name)
    units = plan_units(scene, encoder_grids(scene, extent, shape), shape, mode)
    tiles = [tile for unit in units for tile in unit.tiles]
    for tile in tiles:
        # A tile that lies outside would be read for nothing.
        assert scene.window.intersect(tile.read)
        assert tile.read.intersect(tile.keep) == tile.keep
    if shape.patch is None:
        for tile in tiles:
            assert tile.read == tile.keep.grow(shape.halo)
            assert max(tile.keep.width, tile.keep.height) <= TILE + 64
            assert tile.keep.snap(32) == tile.keep
            # Cut on a grid that is fixed in the scene, whatever part of it is encoded.
            assert tile.keep.col % TILE == 0 or tile.keep.col == tiles[0].keep.col
            assert tile.keep.row % TILE == 0 or tile.keep.row == tiles[0].keep.row
        return
    step = shape.window // 2 if mode.overlap else shape.window
    for tile in tiles:
        assert tile.read == tile.keep == Window(tile.read.col, tile.read.row, shape.window, shape.window)
        assert min(tile.read.col, tile.read.row) >= 0
        assert (tile.read.col % step, tile.read.row % step) == (0, 0)
    # No more of them than cover the extent and the cells around it.
    around = extent.grow(2 * shape.patch).intersect(scene.window)
    assert around is not None
    assert all(around.intersect(tile.read) for tile in tiles)
    seen = np.zeros((scene.height, scene.width), bool)
    for tile in tiles:
        seen[tile.read.slices] = True
    assert seen[extent.slices].all()


@pytest.mark.parametrize(("name", "mode_name"), [way for way in WAYS if way[0].startswith("vit")])
@given(extents())
def test_a_part_sees_the_windows_that_the_whole_sees_there(
    name: str, mode_name: str, where: tuple[Grid, Window]
) -> None:
    """Then its features are the same: no window that counts in a cell is left out, and none is another."""
    scene, extent = where
    shape, mode = shape_and_mode(name, mode_name)
    grids = encoder_grids(scene, extent, shape)
    part = {tile.read for unit in plan_units(scene, grids, shape, mode) for tile in unit.tiles}
    all_grids = encoder_grids(scene, scene.window, shape)
    whole = {tile.read for unit in plan_units(scene, all_grids, shape, mode) for tile in unit.tiles}
    needed, stride = grids[0].window, grids[0].stride
    area = Window(needed.col * stride, needed.row * stride, needed.width * stride, needed.height * stride)
    assert part == {window for window in whole if window.intersect(area)}


@pytest.mark.parametrize("name", SHAPES)
@given(extents())
def test_pieces_read_what_their_tiles_need_and_share_the_extent_out(name: str, where: tuple[Grid, Window]) -> None:
    scene, extent = where
    shape, mode = shape_and_mode(name, "standard")
    count = np.zeros((scene.height, scene.width), int)
    for unit in plan_units(scene, encoder_grids(scene, extent, shape), shape, mode):
        pieces = list(pieces_of(unit, extent))
        assert [tile for piece in pieces for tile in piece.tiles] == list(unit.tiles)
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        for piece in pieces:
            assert all(piece.area.intersect(tile.read) == tile.read for tile in piece.tiles)
            if piece.own is not None:
                # The surroundings of its pixels reach into cells around it.
                assert piece.area.intersect(piece.own.snap(4).grow(9)) == piece.own.snap(4).grow(9)
                count[piece.own.slices] += 1
    assert (count[extent.slices] == 1).all()
    assert count.sum() == extent.width * extent.height


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([(4, 0.5), (4, 2.0), (16, 8.0), (14, 7.0), (2, 0.25)]))
def test_a_level_has_the_cells_between_which_every_pixel_lies(start: int, width: int, cell: tuple[int, float]) -> None:
    stride, centre = cell
    scene = scene_of(start + width, 10)
    level = level_grid(scene, Window(start, 0, width, 10), stride, centre)
    first, last = (centre + stride * i for i in (level.window.col, level.window.col_stop - 1))
    assert first <= start + 0.5 or level.window.col == 0
    assert last >= start + width - 0.5
    # And none beyond the two that interpolation takes.
    assert last - stride < start + width - 0.5 + stride / 2
    xs, _ = level.grid.xy(np.array([0.5]), np.array([0.5]))
    assert xs[0] == pytest.approx(ORIGIN.c + 10 * first)


def test_a_row_of_a_large_scene_is_read_in_pieces_of_bounded_size() -> None:
    shape, mode = shape_and_mode("vits16", "standard")
    scene = scene_of(10980, 10980)
    units = plan_units(scene, encoder_grids(scene, scene.window, shape), shape, mode)
    assert (len(units), len(units[0].tiles)) == (98, 98)
    areas = [piece.area.width * piece.area.height for piece in pieces_of(units[0], scene.window)]
    assert len(areas) > 1
    assert max(areas) < 2.5e6
