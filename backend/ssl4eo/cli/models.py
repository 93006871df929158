# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo models`: which encoders there are, and which of their weights are on this computer."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import json_option
from ssl4eo.cli.output import print_json, print_table

__all__ = ["models_command"]


@click.command("models")
@click.argument("encoder", required=False)
@json_option
def models_command(encoder: str | None, as_json: bool) -> None:
    """List the encoders, or show the card of ENCODER.

    Also says whether their weights are on this computer.
    """
    from ssl4eo.encoders.cards import get_card, load_cards
    from ssl4eo.encoders.weights import describe

    models = [describe(card) for card in ([get_card(encoder)] if encoder else load_cards().values())]
    if as_json:
        print_json({"models": models})
    elif encoder:
        _print_card(models[0])
    else:
        print_table([_HEADINGS, *map(_row, models)])


_HEADINGS = ("ENCODER", "SENSOR", "METHOD", "BACKBONE", "BANDS", "MODES", "MB", "LICENCE", "WEIGHTS")


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    sensor = f"{model['sensor']} {model['level']}"
    size = f"{model['size_mb']:.0f}" if model["size_mb"] else "?"
    bands, modes = str(len(model["bands"])), ", ".join(model["modes"])
    return (
        model["id"], sensor, model["method"], model["backbone"], bands, modes, size, model["license"], model["state"],
    )  # fmt: skip


def _print_card(model: dict[str, Any]) -> None:
    scores = [
        f"{score['dataset']} {score['value']} {score['metric']}, {score['protocol']}" for score in model["scores"]
    ]
    modes = [name if cost == 1 else f"{name} ({cost:g} x the time)" for name, cost in model["mode_costs"].items()]
    facts = (
        ("Encoder", f"{model['id']}: {model['title']}"),
        ("Input", f"{model['sensor']} {model['level']} at {model['gsd']:g} m: {', '.join(model['bands'])}"),
        ("Scaling", f"{model['scaling']['rule']} ({model['scaling']['source']})"),
        ("Network", f"{model['backbone']}, pooled by {model['pooling']}, strides {model['strides']}"),
        ("Modes", ", ".join(modes)),
        ("Scores", "; ".join(scores)),
        ("Note", model["note"]),
        ("Licence", model["license"]),
        ("Credit", model["attribution"]),
        ("Cite", model["citation"]),
        ("Files", ", ".join(file["name"] for file in model["files"])),
        ("Weights", " ".join(filter(None, (model["state"], model["path"])))),
        ("Source", " ".join(filter(None, (model["source"], f"({model['verified']})" if model["verified"] else "")))),
    )
    for name, text in facts:
        if text:
            click.echo(f"{name + ':':<9} {text}")
