# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo inspect`: what it prints and what it can be told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from scene_files import write_raster
from spectra_files import backscatter, numbers
from ssl4eo.bands import S2_BANDS
from ssl4eo.cli import main
from ssl4eo.cli.output import print_json

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> str:
    outcome = CliRunner().invoke(main, ["inspect", *map(str, arguments)])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_json_holds_every_finding(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", numbers(offset=1000), [None] * 13)
    info = json.loads(run(path, "--json"))
    assert (info["sensor"], info["level"], info["bands"]) == ("S2", "L1C", list(S2_BANDS))
    assert (info["quantification"], info["offset"], info["unit"], info["nodata"]) == (10000, -1000, "dn", 0)
    assert info["needs"] == []
    assert all(isinstance(warning, str) for warning in info["warnings"])
    bands = next(finding for finding in info["findings"] if finding["field"] == "bands")
    assert (bands["how"], bands["confidence"]) == ("inferred", "likely")
    assert bands["because"] in info["warnings"]
    assert info["files"] == [str(path)]


def test_the_text_says_how_sure_each_finding_is(tmp_path: Path) -> None:
    text = run(write_raster(tmp_path / "s.tif", numbers(offset=1000), scale="0.0001"))
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert lines["values"] == ["reflectance", "=", "(DN", "-1000)", "/", "10000"]
    assert lines["quantification"][:2] == ["read", "certain"]
    assert "\nWarning: The darkest cirrus values (B10) are near 1006: " in text


def test_an_unknown_image_has_unknown_values(tmp_path: Path) -> None:
    assert "values  unknown\n" in run(write_raster(tmp_path / "s.tif", numbers(["B02", "B03", "B04"]), [None] * 3))


@pytest.mark.parametrize("option", ["--offset=nan", "--offset=inf", "--nodata=inf"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, option: str) -> None:
    path = write_raster(tmp_path / "s.tif", numbers())
    outcome = CliRunner().invoke(main, ["inspect", str(path), option])
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "is no finite number" in outcome.stderr


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1.5, float("nan")], "b": {"c": float("-inf")}, "d": (2, "x")})
    assert capsys.readouterr().out == '{"a": [1.5, null], "b": {"c": null}, "d": [2, "x"]}\n'


@pytest.mark.parametrize(
    ("unit", "values"),
    [("db", "dB = DN"), ("linear", "dB = 10 log10(DN)"), ("amplitude", "dB = 20 log10(DN)")],
)
def test_radar_is_told(tmp_path: Path, unit: str, values: str) -> None:
    path = write_raster(tmp_path / "s.tif", 10 ** (backscatter() / 10), [None] * 2)
    options = ("--bands", "1=VV,2=vh", "--unit", unit, "--level", "RTC", "--nodata", "0")
    text = run(path, *options)
    assert "sensor  S1 RTC\n" in text
    assert f"values  {values}\n" in text
    info = json.loads(run(path, *options, "--json"))
    assert (info["unit"], info["nodata"], info["bands"]) == (unit, 0, ["VV", "VH"])
