# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the main job in the real QGIS, and leaves in build/demo what came of it and what it took.

With a screen (DISPLAY) QGIS opens there and stays open; without one it runs the same on a screen of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import demo_samples
import qgis_window
from ssl4eo.encoders.cards import DEFAULT_ENCODER
from ssl4eo.errors import Ssl4eoError

REPOSITORY = Path(__file__).resolve().parent.parent
BACKEND = REPOSITORY / ".venv" / "bin" / "ssl4eo"
# What the demo leaves; everything else in the folder is a log.
OUTCOME = ("features", "map.tif", "window.png", "summary.json")
SAMPLES_PER_CLASS = 5
# Seconds for the whole run in QGIS, the start of both programs included.
LIMIT = 600


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, help="your Sentinel-2 image; a simulated scene when not given")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "demo", help="folder for the outcome")
    options = parser.parse_args()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    (out / "screenshots").mkdir(parents=True)
    try:
        summary = demo(options.scene, out)
    except (qgis_window.QgisFailedError, Ssl4eoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    report(summary, out)
    return 0


def demo(scene: Path | None, out: Path) -> dict[str, Any]:
    """Do the job on the user's image, or on a simulated scene; return the summary."""
    began = time.monotonic()
    truth = None
    if scene is None:
        scene, truth = out / "scene.tif", out / "scene_classes.tif"
        print("Simulating a Sentinel-2 L1C scene ...", flush=True)
        subprocess.run(
            [BACKEND, "simulate", scene, "--classes", truth, "--json"], check=True, stdout=subprocess.DEVNULL
        )
        lesson = demo_samples.from_truth(scene, truth, SAMPLES_PER_CLASS)
    else:
        scene = scene.resolve()
        lesson = demo_samples.from_indices(scene, SAMPLES_PER_CLASS)
    prepared = time.monotonic() - began
    result = in_qgis(plan(scene, truth, lesson, out), out)
    source = Path(result["classified"]["map"])
    if not (out / "map.tif").exists():
        shutil.copyfile(source, out / "map.tif")
    shutil.copyfile(out / "screenshots" / "4-map.png", out / "window.png")
    seconds = {"prepare_scene": round(prepared, 2), **result["seconds"]}
    summary = {
        "scene": str(scene),
        "simulated": truth is not None,
        "samples_from": "the true class map" if truth else "NDVI and NDWI, so there is no truth to compare with",
        "samples": len(lesson.samples),
        "pixels": [lesson.window.width, lesson.window.height],
        "qgis": result["qgis"],
        "encoder": result["encoded"]["encoder"],
        "device": result["encoded"]["device"],
        "seconds": {**seconds, "main_job": round(seconds["encode"] + seconds["classify"], 2)},
        "backend_peak_memory_mb": result["backend_peak_mb"],
        "accuracy": demo_samples.accuracy(out / "map.tif", truth, lesson) if truth else None,
        "errors": result["failed"] + result["exceptions"],
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    return summary


def plan(scene: Path, truth: Path | None, lesson: demo_samples.Lesson, out: Path) -> dict[str, Any]:
    """Write down for the driver inside QGIS what to do."""
    on_screen = bool(os.environ.get("DISPLAY"))
    notice = "This scene is SIMULATED: an invented landscape, no satellite image."
    return {
        "scene": str(scene),
        "layer_name": "Simulated Sentinel-2 scene (no real place)" if truth else scene.stem,
        "title": "SIMULATED SCENE, SSL4EO demo" if truth else "SSL4EO demo",
        "notice": notice if truth else None,
        "extent": lesson.extent,
        "features": str(out / "features"),
        "map": str(out / "map.tif"),
        "classes": lesson.classes,
        "samples": lesson.samples,
        "encoder": DEFAULT_ENCODER,
        "mouse": "qt" if on_screen else "x11",
        "screenshots": str(out / "screenshots"),
        "stay_open": on_screen,
        "limit": LIMIT,
        "result": str(out / "result.json"),
    }


def in_qgis(plan: dict[str, Any], out: Path) -> dict[str, Any]:
    """Run the plan in QGIS: on the user's screen, where it stays open, or on one of its own."""
    backend = [str(BACKEND)]
    if not plan["stay_open"]:
        print("Starting QGIS on a screen of its own (no DISPLAY here) ...", flush=True)
        return qgis_window.run(plan, out, backend, LIMIT + 60)
    print("Starting QGIS on your screen; it stays open ...", flush=True)
    process = qgis_window.start(plan, out, backend, dict(os.environ))
    return qgis_window.wait_for_result(process, plan, out, LIMIT + 60)


def report(summary: dict[str, Any], out: Path) -> None:
    """Print what the demo did and what it took."""
    if summary["simulated"]:
        print("\nThe scene is SIMULATED: an invented landscape, no satellite image.")
    width, height = summary["pixels"]
    print(f"Encoded {width}x{height} pixels with {summary['encoder']} on {summary['device']}, QGIS {summary['qgis']}.")
    print(f"{summary['samples']} samples by mouse; places chosen by {summary['samples_from']}.\n")
    for name, seconds in summary["seconds"].items():
        print(f"  {name.replace('_', ' '):<28}{seconds:8.2f} s")
    print(f"  {'peak memory of the backend':<28}{summary['backend_peak_memory_mb']:8.0f} MB")
    score = summary["accuracy"]
    if score is not None:
        print(f"\nAccuracy at the {score['pixels']} pixels more than {demo_samples.GIVEN_AWAY} pixels from any sample:")
        print(f"  overall {score['overall']:.1%} (always saying the largest class: {score['chance']:.1%})")
        print(
            "  recall  "
            + ", ".join(f"{name} {value:.0%}" for name, value in score["recall"].items() if value is not None)
        )
    for sentence in summary["errors"]:
        print(f"  the panel said: {sentence}")
    print("\nLeft in " + os.path.relpath(out) + ": " + ", ".join(name for name in OUTCOME if (out / name).exists()))


if __name__ == "__main__":
    raise SystemExit(main())
