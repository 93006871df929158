# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo models`: which encoders there are."""

from __future__ import annotations

import click

from ssl4eo.cli.options import json_option
from ssl4eo.cli.output import print_json, print_table

__all__ = ["models_command"]


@click.command("models")
@json_option
def models_command(as_json: bool) -> None:
    """List the encoders.

    Also says whether their weights are on this computer.
    """
    from ssl4eo.encoders.cards import load_cards

    cards = load_cards().values()
    if as_json:
        print_json({"models": [card.to_dict() for card in cards]})
        return
    rows = [("ENCODER", "WEIGHTS", "SENSOR", "BANDS", "TITLE")]
    for card in cards:
        weights = "present" if card.weights_path is not None else "absent"
        rows.append((card.id, weights, f"{card.sensor} {card.level}", str(len(card.bands)), card.title))
    print_table(rows)
