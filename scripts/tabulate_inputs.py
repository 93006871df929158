# SPDX-License-Identifier: GPL-2.0-or-later
"""Write what `inspect` finds in every raster of a folder of real scenes into the table of docs/inputs.md.

    .venv/bin/python scripts/tabulate_inputs.py ../shared/data

The folder is described in its README.md. EuroSAT's patches make one row as long as they agree.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ssl4eo.bands import S2_BANDS
from ssl4eo.files import atomic_file
from ssl4eo.scenes import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssl4eo.scenes import SceneInfo

PAGE = Path(__file__).resolve().parent.parent / "docs" / "inputs.md"
BEGIN, END = "<!-- table: scripts/tabulate_inputs.py -->", "<!-- end of table -->"
HEADER = ("Image", "Sensor, level", "Bands", "Values", "No data", "Not certain, or asked")
# What decides whether an encoder sees what it was trained on.
DECISIVE = ("bands", "level", "quantification", "offset", "unit")


def main(folder: str) -> None:
    """Replace the table between the two markers of the page."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with atomic_file(PAGE) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table(Path(folder))}\n{END}{after}", "utf-8")


def table(folder: Path) -> str:
    """Return the table in Markdown."""
    rows = [HEADER, tuple("---" for _ in HEADER), *merged([row(folder, path) for path in scenes(folder)])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def scenes(folder: Path) -> Iterator[Path]:
    """Yield every raster and every folder of band files, in the order of their names."""
    files = [path for suffix in ("*.tif", "*.jp2") for path in folder.rglob(suffix)]
    folders = {path.parent for path in files if path.stem.endswith("_B02")}
    yield from sorted([*folders, *(path for path in files if path.parent not in folders)])


def row(folder: Path, path: Path) -> tuple[str, ...]:
    """Return the cells of one scene."""
    info = inspect(path)
    return (
        f"`{path.relative_to(folder).as_posix()}{'/' if path.is_dir() else ''}`",
        " ".join(filter(None, (info.sensor, info.level))) or "unknown",
        bands(info),
        values(info) if info.sensor else "",
        "" if info.nodata is None else f"{info.nodata:g}",
        doubts(info),
    )


def bands(info: SceneInfo) -> str:
    """Return the names in file order, runs of ESA's order shortened."""
    if not any(info.bands):
        return f"{len(info.bands)}, unknown"
    runs: list[list[str]] = []
    for name in (name or "?" for name in info.bands):
        follows = (
            runs and name in S2_BANDS and S2_BANDS.index(name) and runs[-1][-1] == S2_BANDS[S2_BANDS.index(name) - 1]
        )
        runs[-1].append(name) if follows else runs.append([name])
    parts = (f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)
    return f"{len(info.bands)}: {', '.join(parts)}"


def values(info: SceneInfo) -> str:
    """Return how a stored value becomes reflectance or decibels."""
    stored = f"(DN - {-info.offset:g})" if info.offset else "DN"
    if info.sensor == "S1":
        return info.unit if info.quantification == 1 else f"{info.unit} = {stored} / {info.quantification:g}"
    return f"{stored} / {info.quantification:g}"


def doubts(info: SceneInfo) -> str:
    """Return which decisive findings are not certain, or what is asked."""
    if info.needs:
        return "asks which band it is" if len(info.bands) == 1 else "asks"
    unsure = [f for f in info.findings if f.field in DECISIVE and f.confidence != "certain"]
    return "; ".join(f"{'scale' if f.field == 'quantification' else f.field} {f.how}, {f.confidence}" for f in unsure)


def merged(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with those of EuroSAT's patches put together that differ in certainty at most."""
    others = [cells for cells in rows if not cells[0].startswith("`eurosat/")]
    patches: dict[tuple[str, ...], list[str]] = {}
    for cells in rows:
        if cells not in others:
            patches.setdefault(cells[1:-1], []).append(cells[-1])
    for answer, doubted in patches.items():
        counts = Counter(doubted).most_common()
        certainty = " / ".join(f"{count} patches: {text}" for text, count in counts)
        others.append((f"`eurosat/*/*.tif` ({len(doubted)} patches)", *answer, certainty))
    return sorted(others)


if __name__ == "__main__":
    main(sys.argv[1])
