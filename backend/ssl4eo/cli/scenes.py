# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo inspect` and `ssl4eo simulate`: what a scene holds, and a scene to try things out."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import json_option, scene_options
from ssl4eo.cli.output import print_json, quiet_stdout, terminal_progress

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
    click.echo(f"sensor      {info.sensor or 'unknown'} {info.level or ''}".rstrip())
    click.echo(f"size        {info.width} x {info.height} pixels of {info.resolution[0]:g} x {info.resolution[1]:g}")
    click.echo(f"CRS         {info.crs or 'none'}")
    click.echo(f"bands       {bands}")
    digital = f"(DN {info.offset:+g})" if info.offset else "DN"
    click.echo(f"reflectance {digital} / {info.quantification:g}")
    click.echo(f"nodata      {'none' if info.nodata is None else format(info.nodata, 'g')}")
    for sentence in info.warnings:
        click.echo(f"Warning: {sentence}")
    for sentence in info.needs:
        click.echo(f"Needed: {sentence}")


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
