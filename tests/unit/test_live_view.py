# SPDX-License-Identifier: GPL-2.0-or-later
"""Views of the live map: the same as the map at full resolution, and right at any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from label_files import pixel_point, write_features
from live_files import blank, board_samples, plainly, turn, use_every_level, wish, write_scene
from scene_files import ORIGIN
from ssl4eo.features import FeatureSet
from ssl4eo.grid import Window
from ssl4eo.labels.live import Sample, Session, StaleView, ViewError
from ssl4eo.labels.mapping.predict import predict_window

SIDE = 16
DEEP = {4: 5, 8: 4, 16: 6}


def opened(folder: Path, side: int = SIDE) -> Session:
    session = Session.open(folder)
    assert session.set_samples(wish(board_samples(side)))["ready"]
    return session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature set with nodata in level 0, in its surroundings and in a deep level."""
    folder = write_scene(tmp_path_factory.mktemp("live") / "features", 150, 200, SIDE, DEEP)
    blank(folder, 0, slice(100, 120), slice(60, 97))
    blank(folder, 1, slice(25, 30), slice(16, 24))
    blank(folder, 3, slice(5, 9), slice(10, 14))
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    session = opened(folder)
    use_every_level(session)
    return session


def box(col: float, row: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Return the extent of some pixels."""
    (left, top), (right, bottom) = ORIGIN @ (col, row), ORIGIN @ (col + width, row + height)
    return left, bottom, right, top


def planes(session: Session, bbox: tuple[float, ...], width: int, height: int, **options: object) -> list[np.ndarray]:
    view = session.view("classes", bbox, width, height, **options)
    assert [name for name, _ in view.planes] == ["class", "confidence"]
    assert all(plane.shape == (height, width) and plane.dtype == np.uint8 for _, plane in view.planes)
    return [plane for _, plane in view.planes]


def test_at_full_resolution_it_is_the_map(session: Session) -> None:
    grid = session.features.grid
    drawn, _ = planes(session, grid.bounds, grid.width, grid.height)
    assert np.array_equal(drawn, predict_window(session.features, session.learnt.fitted.head, grid.window))
    assert (drawn == 0).sum() == 20 * 37
    assert len(np.unique(drawn)) == 4


def test_a_part_at_full_resolution_is_the_same_part_of_the_map(session: Session) -> None:
    drawn, _ = planes(session, box(37, 51, 90, 77), 90, 77)
    window = Window(37, 51, 90, 77)
    assert np.array_equal(drawn, predict_window(session.features, session.learnt.fitted.head, window))


@pytest.mark.parametrize(
    ("place", "size"),
    [
        ((40.3, 30.7, 33.1, 21.9), (200, 130)),  # six pixels of the view in one of the scene
        ((3.25, 2.5, 190.5, 140.25), (201, 150)),
        ((70, 90, 1.5, 1.5), (40, 40)),
        ((50, 95, 60, 30), (61, 31)),  # across nodata
        ((-20, -10, 60, 50), (100, 90)),  # half outside
        ((180, 130, 60, 50), (120, 100)),
    ],
)
def test_zoomed_in_it_is_interpolated_at_the_pixel_centres(
    session: Session, place: tuple[float, ...], size: tuple[int, int]
) -> None:
    bbox = box(*place)
    drawn, sure = planes(session, bbox, *size)
    logits = plainly(session, bbox, *size)
    there = np.isfinite(logits[0])
    wanted = np.where(there, np.nan_to_num(logits).argmax(axis=0) + 1, 0)
    best = np.sort(np.nan_to_num(logits), axis=0)
    clear = ~there | (best[-1] - best[-2] > 1e-3)
    assert clear.mean() > 0.99
    assert np.array_equal(drawn[clear], wanted[clear])
    shares = np.exp((logits - logits.max(axis=0)) / 2)
    np.testing.assert_allclose(sure[there], (255 / shares.sum(axis=0))[there], atol=0.6)
    assert not sure[~there].any()


@pytest.mark.parametrize("step", [1.5, 2.0, 3.0, 4.0, 5.3])
def test_zoomed_out_it_agrees_with_the_map_but_at_borders(tmp_path: Path, step: float) -> None:
    side = 60
    folder = write_scene(tmp_path / "features", 560, 620, side, {4: 3, 8: 3})
    session = opened(folder, side)
    size = int(620 / step), int(560 / step)
    bbox = box(0, 0, size[0] * step, size[1] * step)
    drawn, sure = planes(session, bbox, *size)
    whole = predict_window(session.features, session.learnt.fitted.head, session.features.grid.window)
    at = [np.floor((np.arange(n) + 0.5) * step).astype(int) for n in size]
    # Away from the borders of the squares by more than a pixel of the view and an overview's cell.
    clear = [np.abs((a + side / 2) % side - side / 2) > step + 4 for a in at]
    inside = np.ix_(clear[1], clear[0])
    assert inside[0].size * inside[1].size > 0.2 * drawn.size
    assert (drawn[inside] == whole[np.ix_(at[1], at[0])][inside]).mean() > 0.999
    assert (drawn == whole[np.ix_(at[1], at[0])]).mean() > 0.85
    assert sure[inside].min() > 0


def test_overviews_leave_nodata_out(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "features", 520, 640, 40)
    values = np.full((3, 520, 640), np.nan, np.float32)
    values[:, :, :400] = FeatureSet.open(folder).levels[0].read(Window(0, 0, 400, 520))
    session = opened(write_features(tmp_path / "half", values), 40)
    drawn, sure = planes(session, box(0, 0, 640, 520), 160, 130)
    assert (drawn[:, :100] > 0).all()
    assert not drawn[:, 100:].any()
    assert not sure[:, 100:].any()
    # One more class, of the edge, would show where nodata is averaged with values.
    assert set(np.unique(drawn[:, :100])) == {1, 2, 3}


def test_a_turned_scene_is_drawn_upright(tmp_path: Path, folder: Path) -> None:
    turned = write_scene(tmp_path / "features", 150, 200, SIDE, DEEP)
    by = ORIGIN @ Affine.rotation(30) @ ~ORIGIN
    turn(turned, by)
    session = Session.open(turned)
    straight = board_samples(SIDE)

    def moved(wkt: str) -> str:
        point = shapely.from_wkt(wkt)
        return shapely.Point(*(by @ (point.x, point.y))).wkt

    assert session.set_samples(wish(tuple(replace(sample, wkt=moved(sample.wkt)) for sample in straight)))["ready"]
    grid = session.features.grid
    bbox = grid.bounds
    width, height = 260, 230
    drawn, _ = planes(session, bbox, width, height)
    whole = predict_window(session.features, session.learnt.fitted.head, grid.window)
    xs = bbox[0] + (np.arange(width) + 0.5) * (bbox[2] - bbox[0]) / width
    ys = bbox[3] - (np.arange(height) + 0.5) * (bbox[3] - bbox[1]) / height
    cols, rows = (np.floor(at).astype(int) for at in grid.colrow(*np.meshgrid(xs, ys)))
    inside = (cols >= 0) & (rows >= 0) & (cols < grid.width) & (rows < grid.height)
    wanted = np.where(inside, whole[np.clip(rows, 0, 149), np.clip(cols, 0, 199)], 0)
    assert 0.3 < inside.mean() < 0.8
    assert not drawn[~inside].any()
    # A pixel takes the nearest crossing, which is off by up to half a pixel.
    assert (drawn == wanted).mean() > 0.93


def test_outside_the_scene_there_is_nothing(session: Session) -> None:
    for layer, name in (("classes", None), ("similarity", "wood")):
        view = session.view(layer, (0, 0, 1000, 1000), 30, 20, name=name)
        assert all(plane.shape == (20, 30) and not plane.any() for _, plane in view.planes)


def test_hidden_classes_are_not_drawn(session: Session) -> None:
    bbox = box(0, 0, 100, 100)
    every, sure = planes(session, bbox, 100, 100)
    some, there = planes(session, bbox, 100, 100, hidden=["wood"])
    assert np.array_equal(some, np.where(every == 2, 0, every))
    assert np.array_equal(there, np.where(every == 2, 0, sure))


def test_few_pixels_are_beyond_all_samples_and_more_beyond_fewer(folder: Path) -> None:
    session = opened(folder)
    bbox = box(0, 0, 200, 150)
    plain, _ = planes(session, bbox, 200, 150)
    shares = [(planes(session, bbox, 200, 150, none_beyond=share)[0] == 255).mean() for share in (0.0, 0.5, 1.0)]
    assert 0.5 < shares[0] <= 1
    assert shares[0] > shares[1] > shares[2]
    drawn, _ = planes(session, bbox, 200, 150, none_beyond=0.5)
    assert np.array_equal(drawn == 0, plain == 0)
    assert np.array_equal(drawn[drawn != 255], plain[drawn != 255])


def test_what_no_sample_is_like_is_none_of_these(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(4, 96, 96)).astype(np.float32) * 0.1
    pixels[0, :, 48:] += 2
    # A third cover, which differs from both in what does not tell them apart.
    pixels[2, 60:, 20:60] += 3
    session = Session.open(write_features(tmp_path / "features", pixels))
    places = rng.integers((0, 2), (56, 45), (24, 2))
    names = ("field", "wood")
    samples = [
        Sample(f"p{i}", names[i % 2], pixel_point(col + 48 * (i % 2), row).wkt) for i, (row, col) in enumerate(places)
    ]
    session.set_samples(wish(tuple(samples)))
    drawn, _ = planes(session, box(0, 0, 96, 96), 96, 96, none_beyond=1.0)
    strange = drawn == 255
    assert strange[64:, 24:56].mean() > 0.9
    assert strange[:56].mean() < 0.1


def test_similarity_is_the_cosine_to_the_class(session: Session) -> None:
    grid = session.features.grid
    view = session.view("similarity", grid.bounds, grid.width, grid.height, name="wood")
    ((name, drawn),) = view.planes
    assert name == "similarity"
    training = session.learnt.training
    xs, ys = grid.xy(np.arange(0, 200, 4) + 0.5, np.full(50, 42.5))
    stacked = [
        np.nan_to_num((values - scaling.mean) * scaling.gain)
        for values, scaling in zip(session.features.sample(xs, ys), session._scalings, strict=True)
    ]
    features = np.concatenate(stacked, axis=1)
    member = training.labels == training.names.index("wood")
    mean = np.concatenate([values[member].mean(axis=0) for values in training.features])
    cosine = features @ mean / np.linalg.norm(features, axis=1) / np.linalg.norm(mean)
    found = (drawn[42, 0:200:4] - 128.0) / 127
    # Lengths are interpolated, not the features, so that likeness is smaller between cells.
    assert np.abs(found - cosine).mean() < 0.1
    assert np.corrcoef(found, cosine)[0, 1] > 0.97
    assert (found <= cosine + 0.01)[cosine > 0].all()
    assert not drawn[105, 70]


def test_a_probe_says_what_the_view_shows(session: Session) -> None:
    grid = session.features.grid
    drawn, sure = planes(session, grid.bounds, grid.width, grid.height)
    for col, row in ((0, 0), (55, 33), (199, 149), (77, 20)):
        x, y = grid.xy(col + 0.9, row + 0.2)
        found = session.probe(float(x), float(y))
        assert found["class"] == ("field", "wood", "water")[drawn[row, col] - 1]
        assert found["confidence"] == pytest.approx(sure[row, col] / 255, abs=0.003)
        assert sum(found["probabilities"].values()) == pytest.approx(1, abs=0.001)
    for place in (grid.xy(70.5, 110.5), (0.0, 0.0)):
        assert session.probe(*map(float, place)) == {
            "nodata": True,
            "class": None,
            "confidence": 0.0,
            "probabilities": {},
        }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bbox": (1, 1, 1, 2)}, "empty"),
        ({"bbox": (5, 1, 1, 2)}, "empty"),
        ({"bbox": (0, 0, float("nan"), 1)}, "no place"),
        ({"bbox": (0, 0, 1e300, 1)}, "no place"),
        ({"width": 0}, "0 x 10"),
        ({"height": 4097}, "10 x 4097"),
        ({"layer": "features"}, "'features'"),
        ({"layer": "similarity"}, "None"),
        ({"layer": "similarity", "name": "road"}, "'road'"),
        ({"none_beyond": 1.5}, "1.5"),
    ],
)
def test_absurd_views_are_refused(session: Session, options: dict[str, object], words: str) -> None:
    arguments = {"layer": "classes", "bbox": (0, 0, 1, 1), "width": 10, "height": 10, **options}
    with pytest.raises(ViewError, match=words):
        session.view(**arguments)


def test_a_view_of_other_samples_is_refused(session: Session) -> None:
    revision = session.learnt.revision
    assert session.view("classes", (0, 0, 1, 1), 5, 5, revision=revision).revision == revision
    with pytest.raises(StaleView, match=f"revision {revision + 1} is out of date"):
        session.view("classes", (0, 0, 1, 1), 5, 5, revision=revision + 1)
