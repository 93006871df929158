# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests in QGIS share: the real backend, clean settings, and no process left behind."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from qgis.core import QgsApplication, QgsProject, QgsRectangle, QgsSettings
from qgis.gui import QgsMapCanvas

from ssl4eo_plugin import classFactory
from ssl4eo_plugin.engine.environment import clean_environment
from ssl4eo_plugin.engine.process import BackendProcess
from ssl4eo_plugin.panel.dock import Ssl4eoDock
from ssl4eo_plugin.processing.provider import Ssl4eoProvider
from tests.qgis.canvas_helpers import show
from tests.qgis.helpers import PATCH_BBOX, ROOT, Outcome, is_running
from tests.qgis.panel_helpers import opened_dock
from tests.qgis.stand_in import StandIn


@pytest.fixture(scope="session")
def backend_command() -> list[str]:
    """The command of the real backend, which `make test` puts into `.venv`."""
    command = os.environ.get("SSL4EO_BACKEND") or shutil.which("ssl4eo", path=str(ROOT / ".venv" / "bin"))
    if not command:
        pytest.fail("These tests drive the real backend, and .venv/bin/ssl4eo is not there; run `make setup`.")
    return [command]


@pytest.fixture
def backend(backend_command, tmp_path):
    """A backend that starts on demand, and is gone after the test."""
    process = BackendProcess(backend_command, tmp_path / "logs")
    yield process
    pid = process.pid
    process.close()
    assert pid is None or not is_running(pid)


@pytest.fixture(scope="session")
def run_backend(backend_command):
    """Run a command of the backend to its end and return the JSON that it prints."""

    def run(*arguments) -> dict:
        command = [*backend_command, *map(str, arguments)]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def scene(shared_data, tmp_path_factory) -> str:
    """A copy of a real Sentinel-2 L1C scene, because QGIS writes statistics beside an image."""
    source = shared_data / "havel_l1c" / "s2l1c_13band_10m.tif"
    return str(shutil.copyfile(source, tmp_path_factory.mktemp("scene") / source.name))


@pytest.fixture(scope="session")
def osm(shared_data, tmp_path_factory) -> Path:
    """A copy of land-use polygons over the scene, class in `fclass`, because QGIS touches a GeoPackage it opens."""
    source = shared_data / "havel_l1c" / "osm_landuse.gpkg"
    return Path(shutil.copyfile(source, tmp_path_factory.mktemp("osm") / source.name))


@pytest.fixture(scope="session")
def features(run_backend, scene, tmp_path_factory) -> Path:
    """A feature set of a part of the scene, made by the command line."""
    folder = tmp_path_factory.mktemp("encoded") / "features"
    bbox = ",".join(map(str, PATCH_BBOX))
    run_backend("encode", scene, folder, "--bbox", bbox, "--device", "cpu", "--json")
    return folder


@pytest.fixture
def plugin(backend_command, qgis_processing):
    """The plugin as it runs without a window: its algorithms in the registry, its backend not yet started."""
    plugin = classFactory(None)
    plugin.backend = BackendProcess(backend_command)
    plugin.initProcessing()
    yield plugin
    plugin.unload()


@pytest.fixture(scope="module")
def algorithms(backend_command, qgis_processing):
    """The algorithms in the registry, over one backend for all tests of a file, which may run already."""
    provider = Ssl4eoProvider(BackendProcess(backend_command))
    QgsApplication.processingRegistry().addProvider(provider)
    yield provider
    backend = provider.backend
    QgsApplication.processingRegistry().removeProvider(provider)
    backend.close()


@pytest.fixture(autouse=True)
def _clean_settings(monkeypatch):
    """Run each test without the developer's own settings, and give them back after it."""
    monkeypatch.delenv("SSL4EO_BACKEND", raising=False)
    store = QgsSettings()
    store.beginGroup("ssl4eo")
    kept = {key: store.value(key) for key in store.allKeys()}
    store.endGroup()
    store.remove("ssl4eo")
    yield
    store.remove("ssl4eo")
    for key, value in kept.items():
        store.setValue(f"ssl4eo/{key}", value)


@pytest.fixture
def temp_root(tmp_path, monkeypatch) -> Path:
    """An empty folder where temporary files go during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def script(tmp_path):
    """Make an executable Python script that can stand where the backend's command stands."""

    def make(body: str, name: str = "program") -> list[str]:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport os, sys, time, json\n{body}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return [str(path)]

    return make


@pytest.fixture
def run_task():
    """Run a task of the plugin and return its `Outcome`."""
    return Outcome


@pytest.fixture(scope="module")
def panel_backend(backend_command):
    """One backend for the panel's tests of a file."""
    process = BackendProcess(backend_command)
    yield process
    process.close()


@pytest.fixture
def dock(qgis_iface, qgis_new_project, panel_backend):
    """The panel in an empty project."""
    with opened_dock(qgis_iface, panel_backend) as dock:
        yield dock


@pytest.fixture
def canvas(qgis_app):
    """A canvas over 6 km, 10 m per pixel."""
    canvas = QgsMapCanvas()
    show(canvas, QgsRectangle(330000, 5814000, 336000, 5820000))
    yield canvas
    canvas.hide()
    canvas.deleteLater()


@pytest.fixture(scope="session")
def image(scene, tmp_path_factory) -> str:
    """A copy of the real scene in a folder of its own, because QGIS writes statistics beside an image."""
    return str(shutil.copyfile(scene, tmp_path_factory.mktemp("image") / "havel.tif"))


@pytest.fixture
def encoded(features, tmp_path) -> Path:
    """A copy of the feature set, with room beside it for samples and maps."""
    return Path(shutil.copytree(features, tmp_path / "ssl4eo" / "havel-1"))


@pytest.fixture(scope="session")
def cards(run_backend):
    """The real cards, with no weights but the bundled ones."""
    listed = run_backend("models", "--json")["models"]
    absent = {"available": False, "state": "absent", "path": None}
    return [card if card["state"] == "bundled" else {**card, **absent} for card in listed]


@pytest.fixture
def stand_in(cards):
    """A backend that waits for the test."""
    return StandIn(cards)


@pytest.fixture
def panel(qgis_iface, qgis_new_project, stand_in):
    """The panel over that backend, in an empty project."""
    dock = Ssl4eoDock(qgis_iface, stand_in)
    dock.show()
    yield dock
    dock.shutdown()
    dock.close()
    dock.deleteLater()
    QgsProject.instance().clear()
