# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the tables of docs/performance.md from what `ssl4eo bench --json` printed.

.venv/bin/ssl4eo bench --what ratio,parts --json > bench.json
.venv/bin/python scripts/tabulate_bench.py bench.json...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def spread(timing: dict[str, Any], digits: int = 2) -> str:
    """Return median and, in brackets, least to most."""
    return f"{timing['median']:.{digits}f} ({timing['least']:.{digits}f}–{timing['most']:.{digits}f})"


def named(run: dict[str, Any]) -> list[str]:
    """Return the first columns: encoder, mode, device, precision."""
    star = "" if run["weights"] == "own" else "*"
    return [f"{run['encoder']}{star}", run["mode"], run["device"], run["precision"]]


_FIRST = ["encoder", "mode", "device", "precision"]


def forward_rows(run: dict[str, Any]) -> list[list[str]]:
    """Return a row: images and megapixels per second, and the arrangement that gave them."""
    one = run["forward"]["arrangements"][run["forward"]["fastest"]]
    how = f"{one['streams']} x {one['threads']}, {one['batch']}"
    return [[*named(run), how, f"{one['images_per_second']:.1f}", f"{one['mpx_per_second']:.2f}"]]


def ratio_rows(run: dict[str, Any]) -> list[list[str]]:
    """Return a row: seconds of both, the time before the first tile, tiles per second and the ratio."""
    found = run["ratio"]
    return [
        [
            *named(run), spread(found["forward"]), spread(found["end_to_end"]), f"{found['before_first_tile']:.2f}",
            f"{found['tiles_per_second']:.1f}", f"**{found['median']:.3f}** ({found['least']:.3f}–{found['most']:.3f})",
        ]
    ]  # fmt: skip


def parts_rows(run: dict[str, Any]) -> list[list[str]]:
    """Return a row per part: seconds of a core, and their share."""
    found = run["parts"]
    parts = [(part["part"], part["cpu"]) for part in found["parts"]]
    parts.append(("all else", found["cpu"] - sum(cpu for _, cpu in parts)))
    return [[run["encoder"], part, f"{cpu:.2f}", f"{cpu / found['cpu']:.1%}"] for part, cpu in parts]


def scaling_rows(run: dict[str, Any]) -> list[list[str]]:
    """Return a row per size: tiles, seconds, seconds per megapixel, peak memory."""
    rows = [
        [
            run["encoder"], run["mode"], f"{row['side']} x {row['side']}", str(row["tiles"]), f"{row['seconds']:.1f}",
            f"{row['seconds_per_mpx']:.3f}", f"{row['peak_memory_mb']:.0f}",
        ]
        for row in run["scaling"]["rows"]
    ]  # fmt: skip
    flat = run["scaling"]["flatness"]
    return [
        *rows,
        [run["encoder"], run["mode"], "most / least from 4 Mpx", "", "", f"**{flat:.3f}**" if flat else "", ""],
    ]


def baseline_rows(run: dict[str, Any]) -> list[list[str]]:
    """Return a row: seconds of both, the loop's milliseconds per tile, and the factor."""
    found = run["baseline"]
    factor = found["factor"]
    return [
        [
            run["encoder"], spread(found["loop"]), f"{found['network_ms']:.1f}", f"{found['rest_ms']:.1f}",
            f"{spread(found['encode'])}, {run['precision']}",
            f"**{factor['median']:.2f}** ({factor['least']:.2f}–{factor['most']:.2f})",
        ]
    ]  # fmt: skip


_TABLES = {
    "forward": (forward_rows, [*_FIRST, "streams x threads, tiles at once", "images/s", "Mpx/s"], 5),
    "ratio": (
        ratio_rows,
        [*_FIRST, "forward (s)", "end to end (s)", "before the first tile (s)", "tiles/s", "ratio"],
        4,
    ),
    "parts": (parts_rows, ["encoder", "part", "seconds of a core", "share"], 2),
    "scaling": (
        scaling_rows,
        ["encoder", "mode", "pixels", "tiles", "seconds", "seconds per Mpx", "peak memory (MB)"],
        3,
    ),
    "baseline": (
        baseline_rows,
        [
            "encoder",
            "plain loop (s)",
            "network, ms per tile",
            "all else, ms per tile",
            "`encode --mode fast` (s)",
            "factor",
        ],
        1,
    ),
}


def main(paths: list[str]) -> None:
    """Print the machines and a table of each kind that is there."""
    results = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    for text in dict.fromkeys(_machine(result) for result in results):
        print(text)
    runs = [run for result in results for run in result["runs"]]
    for kind, (rows_of, columns, words) in _TABLES.items():
        rows = [row for run in runs if run.get(kind) for row in rows_of(run)]
        if rows:
            print(f"\n| {' | '.join(columns)} |\n|{'|'.join(['---'] * words + ['---:'] * (len(columns) - words))}|")
            print("\n".join(f"| {' | '.join(row)} |" for row in rows))


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {gpus}, {machine['system']}, "
        f"torch {machine['torch']}; load before {machine['load'][0]:.1f}; {result['pairs']} rounds"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
