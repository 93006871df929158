# SPDX-License-Identifier: GPL-2.0-or-later
"""The staged plugin folder and its zip: what is in them, what is not, and what happens when something is amiss."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import stage_plugin


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with everything that the plugin folder is made of, and litter that must stay out."""
    files = {
        "metadata.txt": "[general]\nname=SSL4EO\n",
        "LICENSE": "GNU GENERAL PUBLIC LICENSE\n",
        "resources/icons/ssl4eo.png": "png",
        "resources/styles/pca.qml": "<qgis/>",
        "resources/encoders/weights.pth": "not for QGIS",
        "ssl4eo_plugin/__init__.py": "",
        "ssl4eo_plugin/panel/dock.ui": "<ui/>",
        "ssl4eo_plugin/__pycache__/x.cpython-311.pyc": "",
        "ssl4eo_plugin/panel/.dock.ui.swp": "",
        "ssl4eo_plugin/backend.json": "{}",
    }
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.setattr(stage_plugin, "REPOSITORY", tmp_path / "house")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


EXPECTED = {
    "__init__.py",
    "panel/dock.ui",
    "metadata.txt",
    "LICENSE",
    "resources/icons/ssl4eo.png",
    "resources/styles/pca.qml",
}


def test_the_folder_holds_what_qgis_needs_and_no_litter(house: Path) -> None:
    folder = stage_plugin.stage(house / "plugins")
    assert folder == house / "plugins" / "ssl4eo_plugin"
    assert names(folder) == EXPECTED
    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_backend_command_is_written_when_asked(house: Path) -> None:
    assert stage_plugin.main([str(house / "plugins"), "--backend", "/opt/a b/ssl4eo", "x"]) == 0
    stored = json.loads((house / "plugins/ssl4eo_plugin/backend.json").read_text("utf-8"))
    assert stored == {"command": ["/opt/a b/ssl4eo", "x"]}


def test_staging_again_replaces_the_old_folder(house: Path) -> None:
    folder = stage_plugin.stage(house / "plugins")
    (folder / "old.py").touch()
    stage_plugin.stage(house / "plugins")
    assert names(folder) == EXPECTED
    assert [path.name for path in (house / "plugins").iterdir()] == ["ssl4eo_plugin"]


def test_a_link_is_replaced_and_what_it_points_at_stays(house: Path) -> None:
    (house / "plugins").mkdir()
    (house / "plugins/ssl4eo_plugin").symlink_to(house / "house/ssl4eo_plugin")
    folder = stage_plugin.stage(house / "plugins")
    assert not folder.is_symlink()
    assert (house / "house/ssl4eo_plugin/panel/dock.ui").exists()


def test_a_missing_file_is_named_and_nothing_is_left(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (house / "house/LICENSE").unlink()
    assert stage_plugin.main([str(house / "plugins")]) == 1
    assert "LICENSE is missing" in capsys.readouterr().err
    assert list((house / "plugins").iterdir()) == []


def test_the_zip_has_one_top_folder_and_the_same_bytes_each_time(house: Path) -> None:
    first, second = house / "a.zip", house / "b.zip"
    stage_plugin.pack(stage_plugin.stage(house / "plugins"), first)
    stage_plugin.pack(stage_plugin.stage(house / "plugins"), second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert set(archive.namelist()) == {f"ssl4eo_plugin/{name}" for name in EXPECTED}


def test_a_zip_over_the_limit_is_refused(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_plugin, "ZIP_LIMIT", 100)
    with pytest.raises(ValueError, match="more than the 100"):
        stage_plugin.pack(stage_plugin.stage(house / "plugins"), house / "a.zip")
    assert not list(house.glob("*.zip*"))
    assert not list(house.glob(".*.part"))
