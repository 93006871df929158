# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a click takes until the canvas of the real QGIS shows the new map, over 100 clicks.

    .venv/bin/python scripts/measure_live.py ../shared/data build/live --clicks 100

Points of OpenStreetMap's polygons on the Havel scene are clicked again and again, class by class, on a canvas of 1024
x 1024 pixels; times run from the event of the mouse to `mapCanvasRefreshed`. QGIS and backend share the cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import qgis_window

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
from tests.e2e import havel  # noqa: E402 - found through the line above

SIDE = 1024
# Room for the canvas with QGIS's bars and docks around it.
SCREEN = (2000, 1400)
LIMIT = 900
STEPS = ("fitted", "repainted", "drawing", "drawn")


def main() -> None:
    """Encode, click, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder with havel_l1c")
    parser.add_argument("out", type=Path)
    parser.add_argument("--clicks", type=int, default=100)
    asked = parser.parse_args()
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    # A copy, because QGIS writes statistics beside an image.
    scene = shutil.copyfile(asked.data / "havel_l1c" / "s2l1c_13band_10m.tif", out / "havel.tif")
    backend = str(REPOSITORY / ".venv" / "bin" / "ssl4eo")
    shutil.rmtree(out / "features", ignore_errors=True)
    (out / "features_samples.gpkg").unlink(missing_ok=True)
    window = ",".join(map(str, (havel.COLUMN, 0, 768, 768)))
    subprocess.run([backend, "encode", str(scene), str(out / "features"), "--window", window], check=True)
    samples = havel.places(asked.data / "havel_l1c" / "osm_landuse.gpkg", 12).samples
    plan = {
        "driver": "qgis_live",
        "scene": str(scene),
        "layer_name": "Havel 2017-02-16",
        "title": "SSL4EO live map, timed",
        "notice": None,
        "extent": havel.EXTENT,
        "features": str(out / "features"),
        "classes": havel.CLASSES,
        "samples": samples,
        "measure": asked.clicks,
        "canvas": SIDE,
        "screen": SCREEN,
        "mouse": "qt",
        "screenshots": str(out),
        "stay_open": False,
        "limit": LIMIT,
        "result": str(out / "result.json"),
    }
    run = qgis_window.run(plan, out, [backend], LIMIT + 60)
    times = run["times"]
    print(f"{len(times)} clicks, canvas of {run['canvas'][0]} x {run['canvas'][1]} pixels, milliseconds:")
    for step in STEPS:
        values = np.array([one[step] for one in times if step in one]) * 1000
        low, high = np.percentile(values, [50, 95])
        print(f"  {step:10} p50 {low:6.1f}  p95 {high:6.1f}  least {values.min():6.1f}  most {values.max():6.1f}")
    (out / "times.json").write_text(json.dumps(times), "utf-8")


if __name__ == "__main__":
    main()
