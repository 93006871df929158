# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo inspect` and `ssl4eo simulate`: what a scene holds, and a scene to try things out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ssl4eo.cli.options import json_option, scene_options
from ssl4eo.cli.output import print_json, print_table, quiet_stdout, terminal_progress

if TYPE_CHECKING:
    from ssl4eo.scenes import SceneInfo

__all__ = ["inspect_command", "simulate_command"]


@click.command("inspect")
@click.argument("scene")
@scene_options
@json_option
def inspect_command(scene: str, as_json: bool, **overrules: Any) -> None:
    """Say what SCENE holds.

    That is sensor, level, bands, scale, offset and nodata, what was assumed, and what you must tell.
    """
    from ssl4eo.scenes import inspect

    with quiet_stdout():
        info = inspect(scene, **overrules)
    if as_json:
        print_json(info.to_dict())
        return
    bands = ", ".join(name or f"{i} unnamed" for i, name in enumerate(info.bands, 1))
    nodata = "none" if info.nodata is None else format(info.nodata, "g")
    print_table(
        [
            ("sensor", f"{info.sensor or 'unknown'} {info.level or ''}".rstrip()),
            ("date", info.date or "unknown"),
            ("size", f"{info.width} x {info.height} pixels of {info.resolution[0]:g} x {info.resolution[1]:g}"),
            ("CRS", info.crs or "none"),
            ("bands", bands),
            ("values", _values(info)),
            ("nodata", nodata),
        ]
    )
    if info.findings:
        click.echo("\nHow it was found, and how sure")
        print_table([(f"  {f.field}", f.how, f.confidence, f.because) for f in info.findings])
    for title, sentences in (("Warning", info.warnings), ("Needed", info.needs)):
        for sentence in sentences:
            click.echo(f"{title}: {sentence}")


def _values(info: SceneInfo) -> str:
    """Return what makes the unit that encoders take of a stored value."""
    if info.sensor is None:
        return "unknown"
    stored = f"(DN {info.offset:+g})" if info.offset else "DN"
    divided = stored if info.quantification == 1 else f"{stored} / {info.quantification:g}"
    if info.sensor != "S1":
        return f"reflectance = {divided}"
    return {"db": f"dB = {divided}", "linear": f"dB = 10 log10({divided})"}.get(info.unit, f"dB = 20 log10({divided})")


@click.command("simulate")
@click.argument("out")
@click.option("--classes", "classes_path", help="Where to write the true class map [OUT's name + _classes.tif].")
@click.option("--size", default=1024, show_default=True, help="Width and height in pixels of 10 m.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same scene.")
@json_option
def simulate_command(out: str, classes_path: str | None, size: int, seed: int, as_json: bool) -> None:
    """Write a simulated scene to OUT.

    A Sentinel-2 L1C scene with 13 bands to try things out, and its true class map beside it.
    """
    from ssl4eo.scenes.simulation import simulate

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = simulate(out, classes_path=classes_path, size=size, seed=seed, progress=progress)
    if as_json:
        print_json(result)
        return
    click.echo(f"Simulated scene: {result['scene']}")
    click.echo(f"True class map:  {result['classes_map']}")
    click.echo("Classes:         " + ", ".join(result["classes"].values()))
