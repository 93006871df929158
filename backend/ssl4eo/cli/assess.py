# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo suggest`, `ssl4eo assess-sample` and `ssl4eo assess`: where to look next, and how right a map is."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import BBOX, json_option
from ssl4eo.cli.output import print_json, print_table, quiet_stdout, terminal_progress

__all__ = ["assess_command", "assess_sample_command", "suggest_command"]


@click.command("suggest")
@click.argument("features")
@click.argument("samples", required=False)
@click.option("--class-field", default="class", show_default=True, help="Field of SAMPLES with the class name.")
@click.option("--count", default=5, show_default=True, help="How many places.")
@click.option("--bbox", type=BBOX, help="Part of the scene in its CRS: XMIN,YMIN,XMAX,YMAX.")
@click.option("--out", help="Also write the places as points to this GeoPackage.")
@json_option
def suggest_command(features: str, samples: str | None, as_json: bool, **options: Any) -> None:
    """Say where a sample helps most, given SAMPLES or none yet."""
    from ssl4eo.labels.guidance.places import suggest_places

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = suggest_places(features, samples, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    rows = [
        (str(p["rank"]), f"{p['x']:.6g}", f"{p['y']:.7g}", p["class"] or "", p["reason"]) for p in result["suggestions"]
    ]
    print_table([("RANK", "X", "Y", "MAP SAYS", "REASON"), *rows])
    _print_warnings(result)


@click.command("assess-sample")
@click.argument("map_path", metavar="MAP")
@click.argument("out")
@click.option(
    "--target-se", default=0.01, show_default=True, help="Standard error that the overall accuracy should have."
)
@click.option("--per-class", default=50, show_default=True, help="Points in a rare class.")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
@json_option
def assess_sample_command(map_path: str, out: str, as_json: bool, **options: Any) -> None:
    """Draw points at random in each class of MAP, to be answered without seeing it; OUT is a GeoPackage."""
    from ssl4eo.labels.assessment.drawing import draw_assessment

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = draw_assessment(map_path, out, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    click.echo(f"Points: {result['samples']}")
    print_table([("CLASS", "POINTS"), *((name, str(count)) for name, count in result["per_class"].items())])
    click.echo("Fill in the field class of each point, then run `ssl4eo assess`.")


@click.command("assess")
@click.argument("map_path", metavar="MAP")
@click.argument("samples")
@click.option("--class-field", default="class", show_default=True, help="Field of SAMPLES with the true class.")
@click.option("--report", help="Also write an HTML report to this file.")
@click.option("--csv", help="Also write the figures to this CSV file.")
@json_option
def assess_command(map_path: str, samples: str, as_json: bool, **options: Any) -> None:
    """Estimate accuracy and areas of MAP, with 95 % confidence intervals, from answered points of a random sample."""
    from ssl4eo.labels.assessment.assess import assess

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = assess(map_path, samples, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    click.echo(f"Overall accuracy: {_figure(result['overall'], 100, ' %')} from {result['points']} points")
    rows = [
        (
            name,
            _figure(row["users"], 100, " %"),
            _figure(row["producers"], 100, " %"),
            _figure(row["area_ha"], 1, " ha"),
        )
        for name, row in result["classes"].items()
    ]
    print_table([("CLASS", "USER'S", "PRODUCER'S", "AREA"), *rows])
    _print_warnings(result)


def _figure(pair: dict[str, float | None] | None, unit: float, word: str) -> str:
    if pair is None or pair["value"] is None:
        return "-"
    interval = pair["interval"]
    return f"{pair['value'] * unit:.1f}" + (f" +- {interval * unit:.1f}" if interval is not None else "") + word


def _print_warnings(result: dict[str, Any]) -> None:
    for sentence in result["warnings"]:
        click.echo(f"Warning: {sentence}", err=True)
