# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo evaluate fewshot` on all labelled scenes, and its tables as in docs/accuracy.md.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/measure_accuracy.py ../shared/data build/heads [--draws 50]

Results are kept as JSON beside the feature sets in `build/heads/accuracy`; a scene that is there is not measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from measure_heads import SOURCES, Source
from ssl4eo.features import encode
from ssl4eo.files import atomic_file
from ssl4eo.labels.fewshot.evaluate import SHOTS, evaluate_fewshot

_METRICS = {
    "balanced_accuracy": "Balanced accuracy",
    "miou": "Mean intersection over union",
    "near_borders": "Accuracy within 2 pixels of another class",
}


@dataclasses.dataclass(frozen=True)
class Labels:
    """What `evaluate fewshot` is told of the labels of a scene."""

    class_field: str = "class"
    ignore: tuple[str, ...] = ()
    background: str | None = None


_BOADELLA = Source("boadella/Boadella_2020-01-13.tif", "boadella/Boadella_2020-01-13_labels.geojson", "labels")
SCENES = {**SOURCES, "boadella": _BOADELLA}
LABELS = {
    "havel": Labels("fclass"),
    "boadella": Labels("labels", background="land"),
    # Flooded vegetation has 90 pixels in one corner.
    "terramesh-433D": Labels(ignore=("3",)),
}


def measure(name: str, data: Path, build: Path, draws: int) -> dict[str, Any]:
    """Return the result for a scene, measured unless it is there."""
    source, result = SCENES[name], build / "accuracy" / f"{name}.json"
    if not result.exists():
        if not (build / name).exists():
            encode(data / source.scene, build / name, device="cpu", precision="fp32", **source.options)
        told = dataclasses.asdict(LABELS.get(name, Labels()))
        found = evaluate_fewshot(build / name, data / source.labels, draws=draws, **told)
        result.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(result) as partial:
            partial.write_text(json.dumps(found, indent=1), encoding="utf-8")
    found = json.loads(result.read_text(encoding="utf-8"))
    return dict(found)


def _cell(value: dict[str, float] | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value['mean']:.1f} ({100 * value['low']:.1f} to {100 * value['high']:.1f})"


def table(result: dict[str, Any], metric: str) -> str:
    """Return a table of a metric in percent: a row per head, a column per number of samples per class."""
    rows = {(row["head"], row["shots"]): row for row in result["scores"]}
    heads = list(dict.fromkeys(head for head, _ in rows))
    lines = [f"| head | {' | '.join(map(str, SHOTS))} |", "|---" * (len(SHOTS) + 1) + "|"]
    lines += [f"| {head} | {' | '.join(_cell(rows[head, shots][metric]) for shots in SHOTS)} |" for head in heads]
    return "\n".join(lines)


def summary(results: dict[str, dict[str, Any]], metric: str) -> str:
    """Return a table of the differences to our head on the pixel levels, in points: mean over scenes (worst scene)."""
    heads = list(dict.fromkeys(row["head"] for row in next(iter(results.values()))["scores"]))
    lines = [f"| head | {' | '.join(map(str, SHOTS))} |", "|---" * (len(SHOTS) + 1) + "|"]
    for head in heads:
        cells = []
        for shots in SHOTS:
            gains = [
                100 * row["against_base"][metric]["mean"]
                for result in results.values()
                for row in result["scores"]
                if row["head"] == head and row["shots"] == shots and row["against_base"][metric] is not None
            ]
            cells.append(f"{sum(gains) / len(gains):+.1f} ({min(gains):+.1f})")
        lines.append(f"| {head} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the scenes and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("build", type=Path, help="where feature sets and results are kept")
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--scenes", nargs="+", choices=list(SCENES), default=list(SCENES))
    arguments = parser.parse_args()
    arguments.build.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in arguments.scenes:
        results[name] = measure(name, arguments.data, arguments.build, arguments.draws)
        about = ", ".join(f"{label} {pixels}" for label, pixels in results[name]["classes"].items())
        print(f"\n## {name}\n\n{about} labelled pixels; {results[name]['blocks']} blocks.", flush=True)
        for metric, title in _METRICS.items():
            if any(row[metric] for row in results[name]["scores"]):
                print(f"\n{title}\n\n{table(results[name], metric)}", flush=True)
    for metric, title in _METRICS.items():
        print(f"\n## All scenes: {title.lower()}, against our head on the pixel levels\n\n{summary(results, metric)}")


if __name__ == "__main__":
    main()
