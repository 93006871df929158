# SPDX-License-Identifier: GPL-2.0-or-later
"""What an accuracy assessment found, as one HTML page that holds all it shows, and as a table."""

from __future__ import annotations

import base64
import csv
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from ssl4eo import __version__
from ssl4eo.files import atomic_file
from ssl4eo.labels.mapping.classmap import NODATA, PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rasterio.io import DatasetReader

__all__ = ["write_csv", "write_html"]

# Pixels of the longer side of the map's picture: sharp on a printed page.
_PICTURE = 900

_NOTE = (
    "From a random sample of the map, stratified by its classes; intervals are 95 % confidence intervals "
    "(Olofsson et al. 2014, doi:10.1016/j.rse.2014.02.015)."
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; margin: .5rem 0; } caption { text-align: left; color: #555; padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; } td.right { background: #e6f2e6; }
.overall { font-size: 1.3rem; margin: 1rem 0; } .note { color: #555; } .warning { color: #8a3b00; }
.map { display: flex; gap: 1.5rem; flex-wrap: wrap; align-items: flex-start; }
.map img { max-width: 40rem; width: 100%; border: 1px solid #ccc; image-rendering: auto; }
.legend { list-style: none; padding: 0; margin: 0; }
.legend span { display: inline-block; width: 1em; height: 1em; margin-right: .5em; border: 1px solid #999; }
.wide { overflow-x: auto; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { margin: 0; font-size: 11pt; } h2 { break-after: avoid; } table, .map { break-inside: avoid; }
* { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def write_html(path: Path, result: dict[str, Any]) -> None:
    """Write what `assess` found as one HTML file that needs no other.

    Raises:
        OutputError: when it cannot be written.
    """
    with rasterio.open(result["map"]) as dataset:
        picture, colors, settings = _picture(dataset), _colors(dataset), _provenance(dataset, result)
    overall = result["overall"]
    sections = [
        f"<h1>Accuracy of {escape(_file_name(result['map']))}</h1>",
        f'<p class="overall">Overall accuracy <strong>{_percent(overall)}</strong></p>',
        f'<p class="note">{_NOTE}</p>',
        *(f'<p class="warning">{escape(sentence)}</p>' for sentence in result["warnings"]),
        f'<div class="map">{picture}{_legend(result, colors)}</div>',
        "<h2>Accuracy by class</h2>",
        _table(
            ["Class", "Points", "User's accuracy", "Producer's accuracy"],
            (
                [name, str(row["points"]), _percent(row["users"]), _percent(row["producers"])]
                for name, row in result["classes"].items()
            ),
            "User's accuracy: of what is mapped as a class, the share that is it. "
            "Producer's accuracy: of what is a class, the share that is mapped as it.",
        ),
        "<h2>Area by class</h2>",
        _table(
            ["Class", "On the map (ha)", "Estimated (ha)", "Share of the area"],
            (
                [name, f"{row['map_area_ha']:,.1f}", _hectares(row["area_ha"]), _percent(row["area_share"])]
                for name, row in result["classes"].items()
            ),
            "The estimate corrects what is on the map by the errors that were found.",
        ),
        "<h2>Confusion matrix</h2>",
        _matrix(result, "confusion", "Points; rows are the map, columns what was found.", str),
        _matrix(result, "proportions", "Shares of the area.", lambda share: f"{share:.2%}"),
        "<h2>Settings and provenance</h2>",
        f"<dl>{''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in settings.items())}</dl>",
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Accuracy of {escape(_file_name(result['map']))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )
    with atomic_file(path) as final:
        final.write_text(page, encoding="utf-8")


def write_csv(path: Path, result: dict[str, Any]) -> None:
    """Write a table with a row per class and one for the whole map, and the points of the confusion matrix beside it.

    Raises:
        OutputError: when it cannot be written.
    """
    figures = ("users", "producers", "area_ha", "area_share")
    head = ["class", "code", "map_pixels", "map_area_ha", "points"]
    head += [f"{name}{part}" for name in figures for part in ("", "_interval95")]
    head += [f"points found {name}" for name in result["reference"]]
    with atomic_file(path) as final, final.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(head)
        for name, row in result["classes"].items():
            pairs = [value for figure in figures for value in _pair(row[figure])]
            found = result["confusion"].get(name, [0] * len(result["reference"]))
            code = "" if row["code"] is None else row["code"]
            table.writerow([_cell(name), code, row["map_pixels"], row["map_area_ha"], row["points"], *pairs, *found])
        overall = _pair(result["overall"])
        blank = [""] * (2 * len(figures) - 2 + len(result["reference"]))
        table.writerow(["overall accuracy", "", "", result["assessed_area_ha"], result["points"], *overall, *blank])


def _cell(text: str) -> str:
    # A spreadsheet would take such a name for a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text


def _pair(figure: dict[str, float | None] | None) -> tuple[Any, Any]:
    if figure is None:
        return "", ""
    return figure["value"], "" if figure["interval"] is None else figure["interval"]


def _percent(figure: dict[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    if figure["interval"] is None:
        return f"{100 * figure['value']:.1f} %"
    return f"{100 * figure['value']:.1f} ± {100 * figure['interval']:.1f} %"


def _hectares(figure: dict[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    return f"{figure['value']:,.1f}" + ("" if figure["interval"] is None else f" ± {figure['interval']:,.1f}")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _matrix(result: dict[str, Any], key: str, caption: str, write: Any) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("Map", *result["reference"]))
    rows = []
    for name, values in result[key].items():
        cells = "".join(
            f"<td{' class=right' if column == name else ''}>{escape(write(value))}</td>"
            for column, value in zip(result["reference"], values, strict=True)
        )
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _legend(result: dict[str, Any], colors: dict[int, str]) -> str:
    items = "".join(
        f'<li><span style="background:{colors.get(row["code"], "#999999")}"></span>{escape(name)}</li>'
        for name, row in result["classes"].items()
        if row["code"] is not None
    )
    return f'<ul class="legend">{items}</ul>'


def _colors(dataset: DatasetReader) -> dict[int, str]:
    try:
        table = dataset.colormap(1)
    except ValueError:
        # A map without colours: shades of grey, as its picture.
        return {code: f"#{code:02x}{code:02x}{code:02x}" for code in range(256)}
    return {code: "#{:02x}{:02x}{:02x}".format(*color[:3]) for code, color in table.items()}


def _picture(dataset: DatasetReader) -> str:
    """Return an image of the map, at most 900 pixels a side, as an element that holds its PNG."""
    step = max(1.0, max(dataset.width, dataset.height) / _PICTURE)
    height, width = max(1, round(dataset.height / step)), max(1, round(dataset.width / step))
    codes = dataset.read(1, out_shape=(height, width), resampling=Resampling.nearest)
    colors = np.zeros((256, 4), np.uint8)
    for code, color in _colors(dataset).items():
        colors[code] = (*bytes.fromhex(color[1:]), 255)
    colors[NODATA] = 0
    with MemoryFile() as memory:
        with memory.open(
            driver="PNG", width=width, height=height, count=4, dtype="uint8", transform=dataset.transform
        ) as picture:
            picture.write(np.moveaxis(colors[codes], 2, 0))
        data = base64.b64encode(memory.read()).decode("ascii")
    return f'<img alt="The class map" src="data:image/png;base64,{data}">'


def _provenance(dataset: DatasetReader, result: dict[str, Any]) -> dict[str, str]:
    return {
        "Map": str(result["map"]),
        "Points": str(result["samples"]),
        "Answered": f"{result['points']} (not answered {result['unanswered']}, outside {result['outside']})",
        **{
            key.removeprefix(PROVENANCE).replace("_", " ").capitalize(): value
            for key, value in dataset.tags().items()
            if key.startswith(PROVENANCE)
        },
        "Assessed area": f"{result['assessed_area_ha']:,.1f} ha",
        "Coordinate reference system": str(dataset.crs),
        "Size": f"{dataset.width} × {dataset.height} pixels",
        "Design": "stratified random, strata are the classes of the map",
        "Estimators": "Olofsson et al. 2014, equations 4 to 11; interval = 1.96 standard errors",
        "Assessed by": f"ssl4eo {__version__}",
        "Written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
