# SPDX-License-Identifier: GPL-2.0-or-later
"""Training pixels: which, how heavy, in which group, and with which features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from label_files import UTM, cover, pixel_box, pixel_point, write_features
from rasterio.crs import CRS
from ssl4eo.errors import InputError
from ssl4eo.features import FeatureSet
from ssl4eo.labels.heads.leaveout import spatial_groups
from ssl4eo.labels.samples import Samples
from ssl4eo.labels.training import level_scalings, training_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from shapely.geometry.base import BaseGeometry
    from ssl4eo.labels.training import Training


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(3, 120, 150)).astype(np.float32)
    pixels[0] += 10 * cover(120, 150, 30)
    pixels[2] = -20.3
    pixels[:, :10, :10] = np.nan
    return FeatureSet.open(write_features(tmp_path_factory.mktemp("f") / "set", pixels, {4: 5, 32: 6}))


def _train(features: FeatureSet, *pairs: tuple[BaseGeometry, str]) -> Training:
    geometries, labels = zip(*pairs, strict=True)
    samples = Samples(features.folder / "s.gpkg", CRS.from_user_input(UTM), geometries, labels)
    return training_pixels(features, samples, level_scalings(features))


def test_the_base_by_component_and_deep_levels_by_one_divisor(features: FeatureSet) -> None:
    pixels, around, *deep = level_scalings(features)
    for level, scaling, varying in zip(features.levels, (pixels, around), (2, 2), strict=False):
        values = level.read(level.grid.window).reshape(level.components, -1)
        values = values[:, np.isfinite(values[0])]
        np.testing.assert_allclose(scaling.mean, values.mean(axis=1), rtol=1e-3, atol=1e-6)
        # Four components of both levels vary, and each gets a quarter of the variance; the constant one gets nothing.
        np.testing.assert_allclose(scaling.gain[:varying], 1 / values.std(axis=1)[:varying] / np.sqrt(4), rtol=1e-4)
    assert pixels.gain[2] == 0
    for level, scaling in zip(features.levels[2:], deep, strict=True):
        cells = level.read(level.grid.window).reshape(level.components, -1)
        assert len(set(scaling.gain)) == 1
        assert (cells.var(axis=1) * scaling.gain**2).sum() == pytest.approx(1, rel=1e-3)


def test_the_metric_makes_neighbours_differ_alike_and_keeps_the_variance(tmp_path: Path) -> None:
    """Two components of equal variance: one differs from pixel to pixel, the other from field to field."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(2, 200, 200)).astype(np.float32)
    pixels[1] = np.repeat(np.repeat(rng.normal(size=(10, 10)), 20, axis=0), 20, axis=1)
    pixels[:, :40, :40] = np.nan
    features = FeatureSet.open(write_features(tmp_path / "set", pixels, {8: 3}))
    first, *others = level_scalings(features)
    assert all(scaling.metric is None for scaling in others)
    assert first.metric is not None
    columns = sum(level.components for level in features.levels[:2])
    assert first.metric.shape == (columns, columns)
    step = np.eye(columns) @ first.metric
    noise, field = np.linalg.norm(step[0]), np.linalg.norm(step[1])
    assert field > 1.5 * noise
    places = features.grid.xy(*(rng.integers(0, 200, (2, 6000)) + 0.5))
    values = [value[np.isfinite(features.levels[0].sample(*places)[:, 0])] for value in features.sample(*places)[:2]]
    x = np.concatenate([(v - s.mean) * s.gain for v, s in zip(values, (first, others[0]), strict=True)], axis=1)
    assert (x @ first.metric).var(axis=0).sum() == pytest.approx(x.var(axis=0).sum(), rel=0.1)


def test_a_scene_of_one_value_has_no_metric(tmp_path: Path) -> None:
    still = np.full((2, 40, 40), 3.0, np.float32)
    features = FeatureSet.open(write_features(tmp_path / "set", still, around=np.full((2, 10, 10), 3.0, np.float32)))
    assert level_scalings(features)[0].metric is None


def test_a_point_is_the_pixel_under_it(features: FeatureSet) -> None:
    off_centre = shapely.affinity.translate(pixel_point(70, 20), 4.9, -4.9)
    training = _train(features, (off_centre, "a"), (pixel_point(20, 70), "b"))
    stored = features.levels[0].read(features.grid.window)
    scaling = level_scalings(features)[0]
    expected = (stored[:, [20, 70], [70, 20]].T - scaling.mean) * scaling.gain
    np.testing.assert_allclose(training.features[0], expected, atol=1e-6)
    np.testing.assert_allclose(training.places, [[70.5, 20.5], [20.5, 70.5]])
    assert training.names == ("a", "b")
    assert training.labels.tolist() == [0, 1]


def test_a_polygon_is_the_pixel_centres_inside_and_weighs_as_a_point(features: FeatureSet) -> None:
    small, large = pixel_box(40, 50, 3, 2), pixel_box(60, 20, 60, 60)
    training = _train(features, (small, "a"), (large, "a"), (pixel_point(20, 70), "b"))
    assert np.bincount(training.samples).tolist() == [6, 200, 1]
    np.testing.assert_allclose(np.bincount(training.samples, training.weights), 1)
    np.testing.assert_allclose(training.places[0], [41.5, 51])
    # 60 x 60 pixels spread over at most 8 x 8 squares of 8 x 8 pixels; six neighbours over one or two.
    assert 50 < training.observations[1] <= 64
    assert training.observations[0] <= 2
    assert training.observations[2] == 1


def test_what_is_always_in_is_told(features: FeatureSet) -> None:
    training = _train(features, (pixel_point(70, 20), "a"), (pixel_point(20, 70), "b"))
    assert [values.shape[1] for values in training.features] == [3, 2, 5, 6]
    assert training.base == 2


def test_the_choice_within_a_polygon_is_seeded(features: FeatureSet) -> None:
    pairs = ((pixel_box(60, 20, 60, 60), "a"), (pixel_point(20, 70), "b"))
    one, other = _train(features, *pairs), _train(features, *pairs)
    np.testing.assert_array_equal(one.features[0], other.features[0])
    np.testing.assert_array_equal(one.places, other.places)


def test_a_polygon_smaller_than_a_pixel_is_the_pixel_it_lies_in(features: FeatureSet) -> None:
    training = _train(features, (pixel_box(40.6, 50.7, 0.2, 0.2), "a"), (pixel_point(20, 70), "b"))
    np.testing.assert_allclose(training.places[0], [40.5, 50.5])


def test_points_of_one_multipoint_are_one_sample(features: FeatureSet) -> None:
    points = shapely.MultiPoint([pixel_point(30, 40), pixel_point(90, 100)])
    training = _train(features, (points, "a"), (pixel_point(20, 70), "b"))
    assert training.samples.tolist() == [0, 0, 1]
    np.testing.assert_allclose(training.weights, [0.5, 0.5, 1])


def test_what_lies_outside_or_on_nodata_is_left_out_and_told(features: FeatureSet) -> None:
    training = _train(
        features,
        (pixel_point(20, 70), "a"),
        (pixel_point(70, 20), "b"),
        (pixel_point(-1, 20), "a"),
        (pixel_box(500, 20, 5, 5), "c"),
        (shapely.Point(np.inf, np.inf), "a"),
        (pixel_point(2, 3), "b"),
    )
    assert training.names == ("a", "b")
    assert training.warnings == (
        "3 of 6 samples lie outside the feature set and were left out.",
        "1 of 6 samples lie on nodata and were left out.",
        "No sample is left of: c; the map has no such class.",
    )
    assert training.numbers.tolist() == [0, 1]
    outside = "It lies outside the feature set."
    assert training.left_out == ((2, outside), (3, outside), (4, outside), (5, "It lies on nodata."))


def test_a_polygon_over_the_edge_gives_the_pixels_inside(features: FeatureSet) -> None:
    training = _train(features, (pixel_box(148, 118, 10, 10), "a"), (pixel_point(20, 70), "b"))
    assert np.bincount(training.samples).tolist() == [4, 1]


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([(-5, 5), (500, 5)], "None of the 2 samples in .* lies inside the feature set .*; sample where .*"),
        ([(2, 2), (5, 5)], "All 2 samples inside the feature set .* lie on nodata; sample where .* has values"),
        ([(2, 2), (50, 50)], "Only samples of the class 'b' lie on valid pixels .*; add samples of a second class"),
    ],
)
def test_nothing_to_learn_from_is_refused(features: FeatureSet, places: list[tuple[int, int]], sentence: str) -> None:
    pairs = [(pixel_point(*place), name) for place, name in zip(places, "ab", strict=True)]
    with pytest.raises(InputError, match=sentence):
        _train(features, *pairs)


def test_neighbours_are_left_out_together(features: FeatureSet) -> None:
    training = _train(
        features,
        (pixel_point(20, 70), "a"),
        (pixel_point(25, 100), "b"),
        (pixel_point(70, 70), "a"),
        (pixel_point(140, 20), "b"),
    )
    first, second, third, fourth = spatial_groups(training, 64)
    assert first == second
    assert len({first, third, fourth}) == 3
