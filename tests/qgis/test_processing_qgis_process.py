# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithms from `qgis_process`, with a fresh profile and the plugin as it is shipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from osgeo import gdal

from tests.qgis.helpers import PATCH_BBOX, ROOT, is_running, wait_until

# Debian's wrapper `qgis_process` passes an option that the program behind it refuses; that program is `.bin`.
QGIS_PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process")


@pytest.fixture(scope="module")
def qgis_process(backend_command, tmp_path_factory):
    """Run `qgis_process` in a profile of its own; return the finished process."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "QGIS", "SSL4EO"))
    }
    environment |= {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home),
        "QT_QPA_PLATFORM": "offscreen",
    }
    home.chmod(0o700)
    profile = home / "data" / "QGIS" / "QGIS3" / "profiles" / "default"
    plugins = profile / "python" / "plugins"
    stage = [sys.executable, ROOT / "scripts" / "stage_plugin.py", plugins, "--backend", *backend_command]
    subprocess.run(stage, check=True, capture_output=True)

    def run(*arguments):
        command = [QGIS_PROCESS, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)

    run.profile = profile
    assert "Enabled ssl4eo_plugin" in run("plugins", "enable", "ssl4eo_plugin").stdout
    return run


def test_both_algorithms_are_listed(qgis_process):
    listed = qgis_process("list").stdout
    assert "ssl4eo:encode" in listed
    assert "ssl4eo:classify" in listed


def test_encode_and_classify_give_the_pixels_of_the_command_line(
    qgis_process, backend_command, run_backend, features, scene, osm, tmp_path
):
    extent = "{0},{2},{1},{3} [EPSG:32633]".format(*PATCH_BBOX)
    encoded = tmp_path / "features"
    done = qgis_process(
        "run", "ssl4eo:encode", f"--INPUT={scene}", f"--EXTENT={extent}", "--DEVICE=cpu", f"--OUTPUT={encoded}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for level in sorted(features.glob("level_*.tif")):
        ours = gdal.Open(str(encoded / level.name)).ReadAsArray()
        np.testing.assert_array_equal(ours, gdal.Open(str(level)).ReadAsArray())

    theirs, ours = tmp_path / "cli.tif", tmp_path / "qgis.tif"
    told = run_backend("classify", encoded, osm, theirs, "--class-field", "fclass", "--json")
    done = qgis_process(
        "run",
        "ssl4eo:classify",
        f"--FEATURES={encoded}",
        f"--SAMPLES={osm}",
        "--CLASS_FIELD=fclass",
        f"--OUTPUT={ours}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    np.testing.assert_array_equal(gdal.Open(str(ours)).ReadAsArray(), gdal.Open(str(theirs)).ReadAsArray())
    assert json.dumps(told["classes"], ensure_ascii=False) in done.stdout
    # Their backends ended with them.
    logs = "".join(log.read_text(encoding="utf-8") for log in qgis_process.profile.glob("ssl4eo/logs/*.log"))
    pids = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", logs)]
    assert len(pids) >= 2
    wait_until(lambda: not any(map(is_running, pids)))


def test_a_failure_is_one_sentence_and_an_exit_code(qgis_process, features, osm, tmp_path):
    done = qgis_process(
        "run", "ssl4eo:classify", f"--FEATURES={tmp_path}", f"--SAMPLES={osm}", "--CLASS_FIELD=fclass",
        f"--OUTPUT={tmp_path / 'map.tif'}",
    )  # fmt: skip
    assert done.returncode != 0
    assert str(tmp_path) in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "map.tif").exists()
