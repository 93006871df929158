# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo pretrain` and `ssl4eo evaluate`: make an encoder, and measure what it is worth."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import BAND_LIST, json_option
from ssl4eo.cli.output import print_json, print_table, quiet_stdout, terminal_progress
from ssl4eo.encoders.cards import DEFAULT_ENCODER

__all__ = ["evaluate_command", "pretrain_command"]

_BANDS_HELP = "Names of the bands in the order of the files, where the files do not tell: B01,B02,..."


@click.command("pretrain")
@click.argument("method")
@click.argument("scenes", nargs=-1, required=True, metavar="SCENE...")
@click.option("--out", required=True, help="The weights to write, a .pth file with the card of their making.")
@click.option("--steps", default=2000, show_default=True, help="Optimiser steps.")
@click.option("--batch", default=128, show_default=True, help="Regions per step.")
@click.option("--seed", default=0, show_default=True, help="Of weights, crops and views.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--bands", type=BAND_LIST, help=_BANDS_HELP)
@json_option
def pretrain_command(
    method: str,
    scenes: tuple[str, ...],
    out: str,
    steps: int,
    batch: int,
    seed: int,
    device: str,
    bands: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Pre-train an encoder by METHOD on SCENE...

    The scenes need no labels. METHOD is one of: moco.
    """
    from ssl4eo.pretrain import pretrain

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = pretrain(
            method, scenes, out, steps=steps, batch=batch, seed=seed, device=device, bands=bands, progress=progress
        )
    if as_json:
        print_json(result)
        return
    click.echo(f"Weights: {result['weights']}")
    click.echo(f"Loss:    {result['loss_first']:.3f} in the first tenth, {result['loss_last']:.3f} in the last")
    click.echo(f"Took {result['seconds']:.0f} s for {result['steps']} steps on {result['device']}.")
    click.echo(result["attribution"])


@click.group("evaluate")
def evaluate_command() -> None:
    """Score what a few samples give: maps of a labelled scene, or an encoder on image patches."""


@evaluate_command.command("fewshot")
@click.argument("features")
@click.argument("labels")
@click.option("--class-field", default="class", show_default=True, help="The field of polygons with the class.")
@click.option("--ignore", multiple=True, help="A class to leave out, by name or number; repeat.")
@click.option("--background", help="The class of all that lies outside the polygons.")
@click.option("--shots", type=int, multiple=True, default=(1, 2, 5, 10, 20), show_default=True, help="Repeat.")
@click.option("--draws", default=50, show_default=True, help="Random splits and samples per number of shots.")
@click.option("--block", default=32, show_default=True, help="Side in pixels of the squares that are split.")
@click.option("--seed", default=0, show_default=True, help="Of pixels and draws.")
@json_option
def fewshot(
    features: str,
    labels: str,
    class_field: str,
    ignore: tuple[str, ...],
    background: str | None,
    shots: tuple[int, ...],
    draws: int,
    block: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score maps from a few samples per class on FEATURES, by LABELS: polygons or a raster of class numbers.

    Blocks of the scene are split in halves at random, again and again: one half gives the samples, the other is asked.
    """
    from ssl4eo.labels.fewshot.evaluate import evaluate_fewshot

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = evaluate_fewshot(
            features,
            labels,
            class_field=class_field,
            ignore=ignore,
            background=background,
            shots=shots,
            draws=draws,
            block=block,
            seed=seed,
            progress=progress,
        )
    if as_json:
        print_json(result)
        return
    for warning in result["warnings"]:
        click.echo(f"Warning: {warning}", err=True)
    classes = ", ".join(f"{name} ({pixels})" for name, pixels in result["classes"].items())
    click.echo(f"{result['draws']} draws from {result['blocks']} blocks; labelled pixels: {classes}")
    print_table([("SAMPLES", "HEAD", "BALANCED", "MIOU", "NEAR BORDERS"), *map(_score_row, result["scores"])])


def _score_row(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    balanced, miou, near = (_interval(row[metric]) for metric in ("balanced_accuracy", "miou", "near_borders"))
    return str(row["shots"]), row["head"], balanced, miou, near


def _interval(value: dict[str, float] | None) -> str:
    return "-" if value is None else f"{value['mean']:.1%} ({value['low']:.1%} to {value['high']:.1%})"


@evaluate_command.command("patches")
@click.argument("folder")
@click.option("--encoder", default=DEFAULT_ENCODER, show_default=True, help="See `ssl4eo models`; or a .pth file.")
@click.option("--shots", type=int, multiple=True, default=(1, 5), show_default=True, help="Patches per class; repeat.")
@click.option("--draws", default=20, show_default=True, help="Random draws of the training patches.")
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option("--bands", type=BAND_LIST, help=_BANDS_HELP)
@json_option
def patches(
    folder: str,
    encoder: str,
    shots: tuple[int, ...],
    draws: int,
    seed: int,
    bands: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Score an encoder beside random weights on FOLDER, one sub-folder of image patches per class."""
    from ssl4eo.pretrain import evaluate_patches

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = evaluate_patches(folder, encoder, shots=shots, draws=draws, seed=seed, bands=bands, progress=progress)
    if as_json:
        print_json(result)
    else:
        _print_scores(result)


def _print_scores(result: dict[str, Any]) -> None:
    click.echo(f"{result['patches']} patches of {len(result['classes'])} classes, {result['draws']} draws")
    click.echo(f"Encoder: {result['encoder']}")
    print_table([("FEATURES", "HEAD", "SHOTS", "ACCURACY"), *(_row(row, "") for row in result["scores"])])
    print_table([("AGAINST RANDOM", "HEAD", "SHOTS", "GAIN"), *(_row(row, "+") for row in result["against_random"])])


def _row(row: dict[str, Any], sign: str) -> tuple[str, str, str, str]:
    return row["features"], row["head"], str(row["shots"]), f"{row['mean']:{sign}.1%} +- {row['sd']:.1%}"
