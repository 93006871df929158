# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo harmonise`: whatever a scene lies on disk as becomes one GeoTIFF that needs no explanation."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import json_option, scene_options
from ssl4eo.cli.output import print_json, quiet_stdout, terminal_progress

__all__ = ["harmonise_command"]


@click.command("harmonise")
@click.argument("scene")
@click.argument("out")
@scene_options
@json_option
def harmonise_command(scene: str, out: str, as_json: bool, **overrules: Any) -> None:
    """Write SCENE as one 10 m GeoTIFF.

    SCENE is a raster, a folder of band files or a SAFE product, also zipped. OUT holds named bands: of Sentinel-2
    reflectance x 10000 without offset, of Sentinel-1 decibels.
    """
    from ssl4eo.scenes import harmonise

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = harmonise(scene, out, progress=progress, **overrules)
    if as_json:
        print_json(result)
        return
    width, height, (across, down) = result["width"], result["height"], result["resolution"]
    click.echo(f"Harmonised scene: {result['scene']}")
    click.echo(f"Sensor:           {result['sensor']} {result['level'] or ''}".rstrip())
    click.echo(f"Bands:            {', '.join(result['bands'])}")
    click.echo(f"Size:             {width} x {height} pixels of {across:g} x {down:g}")
    click.echo(f"Took {result['seconds']:.1f} s.")
    for sentence in result["warnings"]:
        click.echo(f"Warning: {sentence}", err=True)
