# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo encode` and `ssl4eo classify`: from an image to a feature set to a class map."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import BBOX, COLOR, WINDOW, device_options, json_option, quality_options, scene_options
from ssl4eo.cli.output import print_json, quiet_stdout, terminal_progress
from ssl4eo.encoders.cards import DEFAULT_ENCODER

__all__ = ["classify_command", "encode_command"]


@click.command("encode")
@click.argument("scene")
@click.argument("out_dir")
@click.option("--encoder", default=DEFAULT_ENCODER, show_default=True, help="See `ssl4eo models`.")
@click.option(
    "--add",
    "additions",
    multiple=True,
    metavar="ENCODER[=IMAGE]",
    help="A further encoder, on SCENE or on another image; repeat for more.",
)
@quality_options
@device_options
@click.option("--window", type=WINDOW, help="Part of the image in pixels: COL,ROW,W,H.")
@click.option("--bbox", type=BBOX, help="Part of the image in its CRS: XMIN,YMIN,XMAX,YMAX.")
@scene_options
@json_option
def encode_command(
    scene: str,
    out_dir: str,
    additions: tuple[str, ...],
    window: tuple[int, int, int, int] | None,
    bbox: tuple[float, float, float, float] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn SCENE into a feature set.

    OUT_DIR is a new folder. What was made of the same scene, encoder and settings before is not made again, and a run
    that was interrupted goes on where it stopped. The options that overrule the file apply to SCENE; an added image
    must say itself what it is (`ssl4eo inspect`), and is put on the grid of SCENE.
    """
    if window is not None and bbox is not None:
        raise click.UsageError("--window and --bbox both name the part of the image; give one of them.")
    # An identifier of an encoder holds no "=", the path of an image may.
    named = [text.partition("=") for text in additions]
    for name, equals, path in named:
        if not name.strip() or (equals and not path):
            raise click.UsageError(f"--add {name}{equals}{path} is not ENCODER or ENCODER=IMAGE.")
    from ssl4eo.features import Addition, encode

    add = [Addition(name.strip(), path or None) for name, _, path in named]
    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = encode(scene, out_dir, add=add, window=window, bbox=bbox, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    _print_encoded(result)
    _print_warnings(result)


@click.command("classify")
@click.argument("features")
@click.argument("samples")
@click.argument("out", required=False)
@click.option("--class-field", default="class", show_default=True, help="Field of SAMPLES with the class name.")
@click.option("--head", default="auto", show_default=True, help="auto, lda, logistic, knn or forest.")
@click.option("--balance", default="equal", show_default=True, help="equal, or samples: classes count by their number.")
@click.option(
    "--none-beyond", type=float, help="0 to 1: pixels farther from all classes than this share of the samples are none."
)
@click.option("--confidence", help="Also write the probability of the class in percent to this GeoTIFF.")
@click.option("--polygons", help="Also write the map as polygons to this GeoPackage.")
@click.option("--min-area", "min_area_ha", default=0.0, show_default=True, help="Hectares of the smallest polygon.")
@click.option("--simplify", default=1.0, show_default=True, help="Pixels within which outlines are simplified.")
@click.option("--classifier", help="Apply this saved classifier, without SAMPLES.")
@click.option("--save-classifier", "classifier_out", help="Also save what was learnt to this file (.npz).")
@click.option("--color", "colors", type=COLOR, multiple=True, help='Repeat for each class: "forest=#1b7837".')
@click.option("--report", help="Also write what was learnt from which samples to this JSON file.")
@json_option
def classify_command(
    features: str,
    samples: str,
    out: str | None,
    colors: tuple[tuple[str, str], ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Turn FEATURES and SAMPLES into a class map.

    FEATURES is a folder that encode made, SAMPLES a vector file of labelled points and polygons, OUT a GeoTIFF. With
    --classifier there are no samples: ssl4eo classify FEATURES OUT --classifier FILE.
    """
    learnt_from: str | None = samples
    if out is None:
        if options["classifier"] is None:
            raise click.UsageError("Name both SAMPLES and OUT, or only OUT and a --classifier.")
        learnt_from, out = None, samples
    from ssl4eo.labels import classify

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = classify(features, learnt_from, out, colors=dict(colors) or None, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    click.echo(f"Class map: {result['map']}")
    for code, name in result["classes"].items():
        click.echo(f"  {code:>3}  {name}  {result['areas_ha'][name]:.1f} ha")
    click.echo(f"Learnt by {result['head']} from {result['samples']} samples in {result['seconds']:.1f} s.")
    if result["indication"] is not None:
        click.echo(
            f"Indication: {result['indication']:.0%} balanced accuracy, cross-validated on the samples; they are no "
            "probability sample, so this is no accuracy of the map."
        )
    _print_warnings(result)


def _print_warnings(result: dict[str, Any]) -> None:
    for sentence in result["warnings"]:
        click.echo(f"Warning: {sentence}", err=True)


def _print_encoded(result: dict[str, Any]) -> None:
    if result["cached"]:
        click.echo(f"Nothing to do: {result['features']} was made from the same scene, encoder and settings.")
        return
    levels = ", ".join(f"{level['components']} at stride {level['stride']}" for level in result["levels"])
    click.echo(f"Feature set: {result['features']}")
    click.echo(f"Encoder:     {', '.join(result['encoders'])} in {result['mode']} mode")
    click.echo(f"Device:      {result['device']} ({result['device_reason']}), {_tiles(result['batch'])} at once")
    click.echo(f"Precision:   {result['precision']} ({result['precision_reason']})")
    click.echo(f"Components:  {levels}")
    if result["resumed"]:
        click.echo(f"Resumed:     {result['resumed']} of {_tiles(result['windows'])} were left by an interrupted run")
    tiles, memory = _tiles(result["windows"]), result["peak_memory_mb"]
    click.echo(f"Took {result['seconds']:.1f} s for {tiles}, at most {memory:.0f} MB.")


def _tiles(number: int) -> str:
    return f"{number} tile" if number == 1 else f"{number} tiles"
