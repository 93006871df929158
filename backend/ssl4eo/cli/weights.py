# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo weights`: download, import, check and remove the weights of encoders."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from ssl4eo.cli.options import json_option
from ssl4eo.cli.output import print_json, print_table, quiet_stdout, terminal_progress
from ssl4eo.errors import Cancelled

__all__ = ["weights_command"]


@click.group("weights")
def weights_command() -> None:
    """Bring the weights of encoders to this computer, and keep them."""


@weights_command.command("download")
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
@click.option("--mirror", help="Ask this address only; else SSL4EO_MIRROR, HF_ENDPOINT, or where they were published.")
@json_option
def download_command(encoders: tuple[str, ...], mirror: str | None, as_json: bool) -> None:
    """Download the weights of ENCODER...

    A download that was cut off is continued. Weights that are here and intact are left as they are.
    """
    from ssl4eo.encoders.cards import get_card

    cards = [get_card(encoder) for encoder in encoders]
    from ssl4eo.encoders.weights.download import download

    results = []
    for card in cards:
        with _what_arrived_kept(), terminal_progress(as_json=as_json) as progress, quiet_stdout():
            results.append(download(card, mirror=mirror, progress=progress))
        if not as_json:
            _print_result(results[-1], results[-1]["verified"])
    if as_json:
        print_json({"downloads": results})


@weights_command.command("import")
@click.argument("file")
@click.option("--as", "encoder", help="Whose weights they are, where the file alone does not tell.")
@json_option
def import_command(file: str, encoder: str | None, as_json: bool) -> None:
    """Copy FILE, which came by hand, to where the weights lie.

    FILE is a checkpoint as its authors published it, or saved again as .pth or .safetensors. It replaces what is there.
    """
    from ssl4eo.encoders.weights.importing import import_file

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = import_file(file, encoder, progress)
    if as_json:
        print_json(result)
        return
    _print_result(result, f"{result['confidence']}: {result['because']}")
    if result["replaces"]:
        click.echo(f"Replaces: {result['replaces']}")


@weights_command.command("recognise")
@click.argument("file")
@json_option
def recognise_command(file: str, as_json: bool) -> None:
    """Say whose weights FILE may hold, how sure that is and why."""
    from ssl4eo.encoders.weights.recognise import recognise

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        matches = recognise(file, progress)
    if as_json:
        print_json({"matches": [match.to_dict() for match in matches]})
        return
    if not matches:
        click.echo(f"{file} fits no encoder in `ssl4eo models`.")
        return
    print_table([("ENCODER", "SURE", "BECAUSE"), *((m.encoder, m.confidence, m.because) for m in matches)])


@weights_command.command("verify")
@click.argument("encoder", required=False)
@json_option
@click.pass_context
def verify_command(ctx: click.Context, encoder: str | None, as_json: bool) -> None:
    """Check that the weights on this computer, all or those of ENCODER, are what they were.

    The exit code is 1 when some are not.
    """
    from ssl4eo.encoders.weights.upkeep import verify

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = verify(encoder, progress)
    if as_json:
        print_json(result)
    else:
        for row in result["rows"]:
            click.echo(f"{row['encoder']}: {row['state']}. {row['sentence']}")
    if any(row["state"] == "damaged" for row in result["rows"]):
        ctx.exit(1)


@weights_command.command("remove")
@click.argument("encoder")
@json_option
def remove_command(encoder: str, as_json: bool) -> None:
    """Delete the weights of ENCODER from this computer."""
    from ssl4eo.encoders.weights.upkeep import remove

    result = remove(encoder)
    if as_json:
        print_json(result)
        return
    click.echo(f"Removed the weights of {result['encoder']}: {result['freed_mb']:.1f} MB are free again.")


@weights_command.command("where")
@json_option
def where_command(as_json: bool) -> None:
    """Print the folder in which the weights lie."""
    from ssl4eo.encoders.weights import weights_folder

    folder = str(weights_folder())
    if as_json:
        print_json({"folder": folder})
        return
    click.echo(folder)


@contextlib.contextmanager
def _what_arrived_kept() -> Iterator[None]:
    """Say so when the user stops the work in the block; other commands leave nothing then."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Cancelled("Cancelled; what has arrived is kept.") from error


def _print_result(result: dict[str, Any], evidence: str) -> None:
    click.echo(f"Weights: {result['path']}")
    click.echo(f"Encoder: {result['encoder']} ({evidence})")
    click.echo(f"SHA-256: {result['sha256']}")
