# SPDX-License-Identifier: GPL-2.0-or-later
"""What `bench` measures of the live map, and what the command line says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from live_files import write_scene
from ssl4eo.bench.levels import LAYOUTS, write_levels
from ssl4eo.bench.live import measure_live
from ssl4eo.cli import main
from ssl4eo.errors import InputError
from ssl4eo.features import FeatureSet
from ssl4eo.jobs import no_progress


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("bench") / "features", 200, 240, 20, {4: 3})


def test_clicks_are_timed_on_a_given_feature_set(folder: Path, tmp_path: Path) -> None:
    found = measure_live(folder, tmp_path, 3, no_progress)
    (row,) = found["rows"]
    assert found["clicks"] == 3
    assert (row["features"], row["width"], row["height"], row["classes"]) == (str(folder), 240, 200, 10)
    assert row["count"] == 200
    assert set(row["used"]) >= {0, 1}
    for name in ("refit", "samples", "view", "both"):
        assert 0 < row[name]["least"] <= row[name]["p50"] <= row[name]["p95"] <= row[name]["most"]
    assert row["both"]["most"] >= max(row["samples"]["least"], row["view"]["least"])
    assert not list(tmp_path.iterdir())


def test_no_clicks_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 clicks; give a number from 1 on"):
        measure_live(folder, tmp_path, 0, no_progress)


def test_made_up_levels_have_the_size_of_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl4eo.bench.levels._SIDE", 256)
    for name, strides in (("ResNet", [1, 4, 4, 8, 16, 32]), ("ViT", [1, 4, 16, 16, 16, 16])):
        assert name in LAYOUTS
        features = FeatureSet.open(write_levels(tmp_path / name, name))
        assert [level.stride for level in features.levels] == strides
        assert [level.components for level in features.levels] == [14, 26, 64, 64, 64, 64]
        (row,) = measure_live(features.folder, tmp_path, 1, no_progress)["rows"]
        # Deep levels tell the covers apart, so that a view is not spared them.
        assert row["used"] == [0, 1, 2, 3, 4, 5]


def test_the_command_line_tells_the_figures_and_needs_no_encoder(folder: Path) -> None:
    said = CliRunner().invoke(main, ["bench", "--what", "live", "--features", str(folder), "--clicks", "2", "--json"])
    assert said.exit_code == 0, said.output
    answer = json.loads(said.stdout)
    assert (answer["what"], answer["runs"], answer["live"]["clicks"]) == (["live"], [], 2)
    shown = CliRunner().invoke(main, ["bench", "--what", "live", "--features", str(folder), "--clicks", "2"])
    assert "200 samples of 10 classes, view of 240 x 200 pixels, 2 clicks" in shown.stdout
    assert "samples in, view out" in shown.stdout
    refused = CliRunner().invoke(main, ["bench", "--what", "live", "--features", "nowhere"])
    assert refused.exit_code == 2
    assert "nowhere does not exist" in refused.stderr
