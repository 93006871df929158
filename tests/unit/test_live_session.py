# SPDX-License-Identifier: GPL-2.0-or-later
"""A live session: what it learns from which samples, what it leaves out, and when it ends."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from label_files import UTM, pixel_box, pixel_point, write_samples
from live_files import NAMES, blank, board_samples, wish, write_scene
from rasterio.warp import transform
from scene_files import ORIGIN
from ssl4eo.errors import InputError
from ssl4eo.labels import classify
from ssl4eo.labels.live import Registry, Sample, Session, SessionGone, StaleView, UnknownSession

SIDE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_scene(tmp_path_factory.mktemp("live") / "features", 120, 130, SIDE, {4: 4, 16: 3})
    blank(folder, 0, slice(0, 10), slice(100, 130))
    return folder


@pytest.fixture
def session(folder: Path) -> Session:
    return Session.open(folder)


def drawn(session: Session, **options: object) -> np.ndarray:
    grid = session.features.grid
    return session.view("classes", grid.bounds, grid.width, grid.height, **options).planes[0][1]


def test_the_same_samples_make_the_same_map_as_classify(session: Session, tmp_path: Path) -> None:
    samples = board_samples(SIDE)
    polygon = Sample("a1", "wood", pixel_box(16, 0, 15, 15).wkt)
    state = session.set_samples(wish((*samples, polygon)))
    assert state["ready"]
    assert (state["samples"], state["left_out"], state["message"]) == (13, [], "")
    geometries = [shapely.from_wkt(sample.wkt) for sample in (*samples, polygon)]
    path = write_samples(tmp_path / "s.gpkg", geometries, [sample.name for sample in (*samples, polygon)])
    result = classify(session.features.folder, path, tmp_path / "map.tif")
    import rasterio

    with rasterio.open(tmp_path / "map.tif") as dataset:
        product = dataset.read(1)
    # Classes are in the order of the list here, and by alphabet there.
    by_name = {name: int(code) for code, name in result["classes"].items()}
    table = np.array([0, *(by_name[name] for name in state["classes"])], np.uint8)
    assert np.array_equal(table[drawn(session)], product)
    assert state["head"] == result["head"]


def test_a_class_without_samples_keeps_its_code(session: Session) -> None:
    names = ("road", *NAMES, "snow")
    state = session.set_samples(wish(board_samples(SIDE), classes=names))
    assert state["classes"] == list(names)
    assert set(np.unique(drawn(session))) == {0, 2, 3, 4}
    session.set_samples(wish(board_samples(SIDE), classes=("water", "wood")))
    assert session.learnt.state["classes"] == ["water", "wood", "field"]
    found = session.probe(*map(float, session.features.grid.xy(8.5, 8.5)))
    assert found["class"] == "field"
    assert set(np.unique(drawn(session))) == {0, 1, 2, 3}


def test_samples_that_cannot_be_used_are_told_and_the_others_count(session: Session) -> None:
    strange = (
        Sample("nodata", "wood", pixel_point(110, 5).wkt),
        Sample("outside", "wood", pixel_point(-5, 5).wkt),
        Sample("far", "wood", "POINT (1e9 1e9)"),
        Sample("line", "wood", f"LINESTRING ({ORIGIN.c} {ORIGIN.f}, {ORIGIN.c + 9} {ORIGIN.f})"),
        Sample("empty", "wood", "POINT EMPTY"),
        Sample("text", "wood", "here"),
        Sample("blank", " ", pixel_point(5, 5).wkt),
    )
    state = session.set_samples(wish((*strange, *board_samples(SIDE))))
    assert state["ready"]
    assert state["samples"] == 12
    reasons = {entry["id"]: entry["reason"] for entry in state["left_out"]}
    assert list(reasons) == [sample.id for sample in strange]
    assert reasons["nodata"] == "It lies on nodata."
    assert reasons["outside"] == reasons["far"] == "It lies outside the feature set."
    assert "LineString" in reasons["line"]
    assert reasons["blank"] == "It has no class."
    alone = Session.open(session.features.folder)
    alone.set_samples(wish(board_samples(SIDE)))
    assert np.array_equal(drawn(session), drawn(alone))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ((), "There are no samples yet"),
        (board_samples(SIDE)[:1], "All samples are of the class 'field'; label a place of a second class."),
        (
            (Sample("p", "wood", pixel_point(110, 5).wkt), Sample("q", "field", pixel_point(115, 5).wkt)),
            "None of the 2 samples can be used (the first: It lies on nodata)",
        ),
    ],
)
def test_without_two_classes_there_is_no_map_and_the_reason(
    session: Session, samples: tuple[Sample, ...], message: str
) -> None:
    state = session.set_samples(wish(samples))
    assert not state["ready"]
    assert state["message"].startswith(message)
    assert (state["head"], state["indication"], state["levels"]) == (None, None, [])
    with pytest.raises(StaleView) as caught:
        drawn(session)
    assert str(caught.value) == state["message"]
    with pytest.raises(StaleView):
        session.probe(0, 0)


def test_likeness_needs_one_class_only(session: Session) -> None:
    session.set_samples(wish(board_samples(SIDE)[:1]))
    ((_, plane),) = session.view("similarity", session.features.grid.bounds, 130, 120, name="field").planes
    assert plane[4:12, 4:12].mean() > plane[4:12, 20:28].mean() + 30
    assert not plane[:10, 100:].any()


def test_samples_in_another_crs_lie_where_they_are(session: Session) -> None:
    samples = board_samples(SIDE)

    def moved(wkt: str) -> str:
        point = shapely.from_wkt(wkt)
        (x,), (y,) = transform(UTM, "EPSG:4326", [point.x], [point.y])
        return shapely.Point(x, y).wkt

    session.set_samples(wish(samples))
    here = drawn(session)
    there = tuple(replace(sample, wkt=moved(sample.wkt)) for sample in samples)
    assert session.set_samples(wish(there, crs="EPSG:4326"))["samples"] == len(samples)
    assert np.array_equal(drawn(session), here)


@pytest.mark.parametrize("crs", ["", "EPSG:0", "nowhere"])
def test_a_crs_that_is_none_is_refused(session: Session, crs: str) -> None:
    with pytest.raises(InputError, match="is no coordinate reference system"):
        session.set_samples(wish(board_samples(SIDE), crs=crs))


def test_a_polygon_that_crosses_itself_is_repaired(session: Session) -> None:
    corners = [ORIGIN @ corner for corner in ((1, 1), (14, 14), (14, 1), (1, 14))]
    bow = Sample("a1", "field", shapely.Polygon(corners).wkt)
    state = session.set_samples(wish((bow, *board_samples(SIDE))))
    assert state["left_out"] == []
    assert state["warnings"] == ["1 sample was repaired because their outline crossed itself."]
    assert (session.learnt.training.samples == 0).sum() > 50


def test_a_place_is_read_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = board_samples(SIDE)
    session.set_samples(wish(samples[:-1]))
    read = []
    original = session._packed.sample
    monkeypatch.setattr(session._packed, "sample", lambda xs, ys: read.append(len(xs)) or original(xs, ys))
    session.set_samples(wish(samples))
    assert read == [1]
    # Undo, redo, another class, another order.
    session.set_samples(wish(samples[:-1]))
    session.set_samples(wish((*samples[1:], replace(samples[0], name="water"))))
    assert read == [1]


def test_revisions_count_changes_and_the_same_set_is_none(session: Session) -> None:
    assert session.learnt.revision == 0
    samples = board_samples(SIDE)
    assert session.set_samples(wish(samples))["revision"] == 1
    assert session.set_samples(wish(samples))["revision"] == 1
    assert session.set_samples(wish(samples[:-1]))["revision"] == 2
    assert session.set_samples(wish(samples, balance="samples"))["revision"] == 3
    with pytest.raises(StaleView, match="revision 2 is out of date, and 3 is there"):
        drawn(session, revision=2)


def test_a_view_ends_when_samples_change_meanwhile(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.set_samples(wish(board_samples(SIDE)))
    novelty = session._views.novelty

    def meanwhile(learnt):
        session.set_samples(wish(board_samples(SIDE)[:-1]))
        return novelty(learnt)

    monkeypatch.setattr(session._views, "novelty", meanwhile)
    with pytest.raises(StaleView):
        drawn(session, none_beyond=0.9)


def test_one_sample_among_many_has_its_class_on_the_map(session: Session) -> None:
    rng = np.random.default_rng(0)
    board = (np.arange(112)[:, None] // SIDE + np.arange(96)[None] // SIDE) % 3
    rows, cols = rng.integers(0, 112, 300), rng.integers(0, 96, 300)
    samples = [
        Sample(f"p{i}", NAMES[board[row, col]], pixel_point(col, row).wkt)
        for i, (row, col) in enumerate(zip(rows, cols, strict=True))
        if board[row, col] < 2
    ]
    samples.append(Sample("one", "water", pixel_point(40, 8).wkt))
    assert session.set_samples(wish(tuple(samples)))["ready"]
    assert (drawn(session)[:112, :96][board == 2] == 3).mean() > 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [({"head": "tree"}, "no head 'tree'"), ({"classes": tuple(map(str, range(255)))}, "holds at most 254")],
)
def test_wishes_that_cannot_be_are_refused_and_change_nothing(
    session: Session, options: dict[str, object], words: str
) -> None:
    session.set_samples(wish(board_samples(SIDE)))
    with pytest.raises(InputError, match=words):
        session.set_samples(wish(board_samples(SIDE), **options))
    assert session.learnt.revision == 1
    assert drawn(session, revision=1).any()


def test_a_feature_set_that_is_gone_or_made_anew_ends_its_session(tmp_path: Path, folder: Path) -> None:
    registry = Registry()
    for name, change in (
        ("moved", lambda path: path.rename(tmp_path / "elsewhere")),
        ("removed", shutil.rmtree),
        ("made anew", lambda path: blank(path, 2, slice(0, 1), slice(0, 1))),
    ):
        copy = Path(shutil.copytree(folder, tmp_path / name))
        session = registry.add(copy)
        assert registry.get(session).describe()["features"] == str(copy)
        change(copy)
        with pytest.raises(SessionGone, match=f"{name} was moved, removed or encoded anew"):
            registry.get(session)
        with pytest.raises(UnknownSession, match=session):
            registry.get(session)


def test_the_session_that_was_used_longest_ago_is_closed_for_a_new_one(folder: Path) -> None:
    registry = Registry(most=2)
    first, second = registry.add(folder), registry.add(folder)
    registry.get(first)
    third = registry.add(folder)
    assert registry.get(first) is not registry.get(third)
    with pytest.raises(UnknownSession):
        registry.get(second)
    registry.close(first)
    with pytest.raises(UnknownSession):
        registry.close(first)


def test_what_is_no_feature_set_opens_no_session(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="encode a scene first"):
        Registry().add(tmp_path)
