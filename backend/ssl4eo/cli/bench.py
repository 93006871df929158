# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo bench`: speed and memory of encoders, and speed of the live map, on this machine."""

from __future__ import annotations

from typing import Any

import click

from ssl4eo.cli.options import json_option
from ssl4eo.cli.output import print_json, print_table, quiet_stdout, terminal_progress
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.encoders.modes import STANDARD

__all__ = ["bench_command"]


def _names(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in value.split(",") if text.strip()))


class _SizesType(click.ParamType[tuple[float, ...]]):
    name = "mpx,mpx,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(text) for text in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of sizes in megapixels, such as 1,4,16,121.", param, ctx)


@click.command("bench")
@click.option(
    "--encoder", "encoders", multiple=True, default=(DEFAULT_ENCODER,), show_default=True, help="Repeat for more."
)
@click.option(
    "--what",
    callback=_names,
    default="ratio",
    show_default=True,
    metavar="NAME,NAME,...",
    help="Of forward, ratio, parts, memory, scaling, baseline, live.",
)
@click.option("--scene", help="A scene that opens without questions; a simulated one when left out.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=("auto",),
    show_default=True,
    help="auto, fp32, bf16 or fp16; repeat for more.",
)
@click.option("--mode", default=STANDARD, show_default=True, help="fast or standard, as the encoder has it.")
@click.option("--pairs", default=5, show_default=True, help="Rounds of what is measured in turn.")
@click.option(
    "--sizes",
    type=_SizesType(),
    default="1,4,16,121",
    show_default=True,
    help="Of the scenes for memory and scaling, in megapixels.",
)
@click.option("--random-weights", is_flag=True, help="Measure encoders whose weights are not here with random ones.")
@click.option("--features", help="A feature set for the live map; made-up ones when left out.")
@click.option("--clicks", default=100, show_default=True, help="Timed on the live map.")
@json_option
def bench_command(encoders: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Measure encoders on this machine.

    By default what encoding costs against the pure forward pass of the network, run in turn, with the encoder that
    comes with the software on a simulated scene. `--what live` measures the live map instead, which needs no encoder.
    """
    from ssl4eo.bench import bench

    with terminal_progress(as_json=as_json) as progress, quiet_stdout():
        result = bench(encoders, progress=progress, **options)
    if as_json:
        print_json(result)
        return
    _print_machine(result)
    if "live" in result:
        _print_live(result["live"])
    for run in result["runs"]:
        _print_run(run, result["pairs"])
    click.echo(f"\nTook {result['seconds']:.0f} s.")


def _print_machine(result: dict[str, Any]) -> None:
    machine = result["machine"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    load = ", ".join(f"{value:.1f}" for value in machine["load"])
    click.echo(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {gpus}")
    click.echo(f"{machine['system']}, torch {machine['torch']}, {machine['threads']} threads, load {load}")
    click.echo(f"Scene: {result['scene']}")


def _print_live(live: dict[str, Any]) -> None:
    for row in live["rows"]:
        levels = ", ".join(f"{level['components']} at stride {level['stride']}" for level in row["levels"])
        used = ", ".join(map(str, row["used"]))
        click.echo(f"\nLive map on features: {row['features']}")
        click.echo(f"Components: {levels}; levels {used} take part")
        click.echo(
            f"{row['count']} samples of {row['classes']} classes, view of {row['width']} x {row['height']} pixels, "
            f"{live['clicks']} clicks, opened in {row['open']:.1f} s"
        )
        names = {"refit": "refit alone", "samples": "samples in", "view": "view", "both": "samples in, view out"}
        rows: list[tuple[str, ...]] = [("  MILLISECONDS", "P50", "P95", "LEAST", "MOST")]
        rows += [
            (f"  {title}", *(f"{row[name][key]:.1f}" for key in ("p50", "p95", "least", "most")))
            for name, title in names.items()
        ]
        print_table(rows)


def _print_run(run: dict[str, Any], pairs: int) -> None:
    weights = "" if run["weights"] == "own" else ", random weights"
    click.echo(f"\n{run['encoder']} in {run['mode']} mode{weights}")
    click.echo(f"{run['device']} ({run['device_reason']}), {run['precision']} ({run['precision_reason']})")
    printers = {
        "forward": lambda found: _print_forward(found, pairs),
        "ratio": _print_ratio,
        "parts": _print_parts,
        "memory": _print_memory,
        "scaling": _print_scaling,
        "baseline": _print_baseline,
    }
    for name, printer in printers.items():
        if run.get(name) is not None:
            click.echo(f"\n  {_title(name, run)}")
            printer(run[name])
    if "baseline" in run and run["baseline"] is None:
        click.echo("\n  No plain loop: the encoder has no fast mode, and so no same tiles.")


def _title(name: str, run: dict[str, Any]) -> str:
    size = f"{run['width']} x {run['height']} pixels in {run['tiles']} tiles"
    return {
        "forward": f"Pure forward pass, {size}",
        "ratio": f"From file to feature set, {size}",
        "parts": f"Where the time goes, {size}",
        "memory": "Peak memory by size of the scene",
        "scaling": "Time by size of the scene",
        "baseline": "Against a plain loop: fp32, one tile at once, in sequence, one GeoTIFF per tile, a merge",
    }[name]


def _print_forward(found: dict[str, Any], pairs: int) -> None:
    rows = [("  STREAMS", "THREADS EACH", "BATCH", f"SECONDS (median, least..most of {pairs})", "IMAGES/S", "MPX/S")]
    rows += [
        (
            f"  {one['streams']}", str(one["threads"]), str(one["batch"]), _seconds(one),
            f"{one['images_per_second']:.1f}", f"{one['mpx_per_second']:.3f}",
        )
        for one in found["arrangements"]
    ]  # fmt: skip
    print_table(rows)
    click.echo("  An image is 224 x 224 pixels of the network's input; Mpx are those of the scene.")


def _print_ratio(found: dict[str, Any]) -> None:
    print_table(
        [
            ("  forward", f"{_seconds(found['forward'])} s"),
            ("  end to end", f"{_seconds(found['end_to_end'])} s"),
            ("  before the first tile", f"{found['before_first_tile']:.2f} s of it"),
            ("  tiles", f"{found['tiles_per_second']:.2f} per second, {found['mpx_per_second']:.3f} Mpx per second"),
            ("  ratio", f"{found['median']:.3f} ({found['least']:.3f}..{found['most']:.3f})"),
        ]
    )  # fmt: skip


def _print_parts(found: dict[str, Any]) -> None:
    rows = [("  PART", "WALL S", "CPU S", "CPU SHARE", "CALLS")]
    rows += [
        (
            f"  {part['part']}", f"{part['wall']:.2f}", f"{part['cpu']:.2f}", f"{part['cpu'] / found['cpu']:.1%}",
            str(part["calls"]),
        )
        for part in found["parts"]
    ]  # fmt: skip
    rest = found["cpu"] - sum(part["cpu"] for part in found["parts"])
    rows.append(("  all else", "", f"{rest:.2f}", f"{rest / found['cpu']:.1%}", ""))
    rows.append(("  end to end", f"{found['seconds']:.2f}", f"{found['cpu']:.2f}", "", ""))
    print_table(rows)
    click.echo("  Wall seconds are added over threads and hold waiting; all else holds the math library's own threads.")


def _print_memory(found: dict[str, Any]) -> None:
    rows = [("  MPX", "SIDE", "PEAK MB")]
    rows += [(f"  {row['mpx']:.1f}", str(row["side"]), f"{row['peak_memory_mb']:.0f}") for row in found["rows"]]
    print_table(rows)


def _print_scaling(found: dict[str, Any]) -> None:
    rows = [("  MPX", "SIDE", "TILES", "SECONDS", "S/MPX", "TILES/S", "PEAK MB")]
    rows += [
        (
            f"  {row['mpx']:.1f}", str(row["side"]), str(row["tiles"]), f"{row['seconds']:.1f}",
            f"{row['seconds_per_mpx']:.2f}", f"{row['tiles_per_second']:.2f}", f"{row['peak_memory_mb']:.0f}",
        )
        for row in found["rows"]
    ]  # fmt: skip
    print_table(rows)
    if found["flatness"] is not None:
        click.echo(f"  From 4 Mpx on, most by least seconds per Mpx: {found['flatness']:.3f}")


def _print_baseline(found: dict[str, Any]) -> None:
    factor, side = found["factor"], found["side"]
    print_table(
        [
            ("  scene", f"{side} x {side} pixels, a GeoTIFF with deflate, {found['tiles']} tiles"),
            ("  plain loop", f"{_seconds(found['loop'])} s"),
            ("  per tile", f"{found['network_ms']:.1f} ms network, {found['rest_ms']:.1f} ms all else"),
            ("  encode", f"{_seconds(found['encode'])} s in fast mode"),
            ("  factor", f"{factor['median']:.2f} ({factor['least']:.2f}..{factor['most']:.2f})"),
        ]
    )


def _seconds(timing: dict[str, Any]) -> str:
    return f"{timing['median']:.2f} ({timing['least']:.2f}..{timing['most']:.2f})"
