# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding the backend's command, and the environment that is safe for another Python than QGIS's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ssl4eo_plugin import settings
from ssl4eo_plugin.engine import environment
from ssl4eo_plugin.engine.environment import clean_environment, find_backend, split_command
from ssl4eo_plugin.engine.errors import EngineError


def test_another_python_starts_in_spite_of_the_variables_that_qgis_exports(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/nowhere/too")
    command = [sys.executable, "-c", "import sys; print(sys.flags.utf8_mode, '/nowhere/too' in sys.path)"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    done = subprocess.run(command, env=clean_environment(), capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.parametrize(
    "name",
    ["PYTHONEXECUTABLE", "PYTHONUSERBASE", "VIRTUAL_ENV", "QGIS_PREFIX_PATH", "QGIS_PLUGINPATH", "PROJ_LIB",
     "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PIP_TARGET",
     "PIP_USER", "PIP_PREFIX"],
)  # fmt: skip
def test_what_belongs_to_qgis_is_left_out(name):
    assert name not in clean_environment({name: "/opt/qgis"})


def test_what_belongs_to_the_user_stays(tmp_path):
    bundle = tmp_path / "company.pem"
    bundle.touch()
    kept = {"HOME": "/home/u", "https_proxy": "http://proxy:3128", "SSL_CERT_FILE": str(bundle), "LANG": "de_DE"}
    assert kept.items() <= clean_environment(kept).items()


def test_certificates_that_are_gone_or_belong_to_qgis_are_left_out(tmp_path):
    own = tmp_path / "qgis" / "cert.pem"
    own.parent.mkdir()
    own.touch()
    source = {"SSL_CERT_FILE": str(own), "REQUESTS_CA_BUNDLE": str(tmp_path / "gone.pem")}
    assert not source.keys() & clean_environment(source, [own.parent]).keys()


def test_the_programs_of_a_self_contained_qgis_leave_the_path(tmp_path):
    root = tmp_path / "OSGeo4W"
    entries = [str(root / "bin"), str(tmp_path / "bin"), str(root)]
    source = {"PATH": os.pathsep.join(entries), "OSGEO4W_ROOT": str(root)}
    assert clean_environment(source)["PATH"] == str(tmp_path / "bin")


def _program(folder, name="ssl4eo"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n", encoding="ascii")
    path.chmod(0o755)
    return str(path)


def test_the_setting_comes_first_then_the_variable_the_file_and_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PACKAGE", tmp_path)
    programs = {place: _program(tmp_path / place) for place in ("setting", "variable", "file", "path")}
    settings.set_backend_command(programs["setting"])
    monkeypatch.setenv("SSL4EO_BACKEND", programs["variable"])
    (tmp_path / "backend.json").write_text(json.dumps({"command": [programs["file"], "--x"]}), encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_backend() == [programs["setting"]]
    settings.set_backend_command("")
    assert find_backend() == [programs["variable"]]
    monkeypatch.delenv("SSL4EO_BACKEND")
    assert find_backend() == [programs["file"], "--x"]
    (tmp_path / "backend.json").unlink()
    assert find_backend() == [programs["path"]]


def test_a_command_in_parts_survives_the_settings(tmp_path):
    command = [_program(tmp_path / "with space"), "-m", "ssl4eo"]
    settings.set_backend_command(command)
    assert find_backend() == command
    settings.set_backend_command(command[:1])
    assert find_backend() == command[:1]


def test_no_backend_anywhere_is_one_sentence_that_tells_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PACKAGE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"not installed.*ssl4eo/backend_command"):
        find_backend()


def test_a_command_that_does_not_exist_is_named_with_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("SSL4EO_BACKEND", "/no/such/ssl4eo")
    with pytest.raises(EngineError, match=r"/no/such/ssl4eo.*SSL4EO_BACKEND"):
        find_backend()


@pytest.mark.parametrize("content", ["{", "[]", '{"command": "ssl4eo"}', '{"command": [1]}', '{"cmd": []}'])
def test_a_spoilt_backend_file_is_named(tmp_path, monkeypatch, content):
    monkeypatch.setattr(environment, "PACKAGE", tmp_path)
    (tmp_path / "backend.json").write_text(content, encoding="utf-8")
    with pytest.raises(EngineError, match=r"backend\.json.*command"):
        find_backend()


def test_a_command_line_is_split_like_a_shell_would(tmp_path):
    spaced = _program(tmp_path / "my programs")
    assert split_command(spaced) == [spaced]
    assert split_command(f'"{spaced}" -m ssl4eo') == [spaced, "-m", "ssl4eo"]
    assert split_command("  ") == []
    with pytest.raises(EngineError, match="quotes"):
        split_command('"ssl4eo')


def test_encoder_and_device_are_remembered():
    assert (settings.encoder(), settings.device()) == (settings.BUNDLED_ENCODER, "auto")
    settings.set_encoder("moco-resnet50-s2")
    settings.set_device("cuda:1")
    assert (settings.encoder(), settings.device()) == ("moco-resnet50-s2", "cuda:1")
    settings.set_encoder("")
    assert settings.encoder() == settings.BUNDLED_ENCODER
