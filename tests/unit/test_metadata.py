# SPDX-License-Identifier: GPL-2.0-or-later
"""What QGIS and the plugin site read: metadata.txt, the version in its three places, and the pinned requirements."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Required by the plugin site: qgis/QGIS-Plugins-Website, qgis-app/plugins/validator.py.
REQUIRED = ("name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository")
LOCKS = ("tools", "backend", "dev", "qgis")


@pytest.fixture(scope="module")
def metadata() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((REPOSITORY / "metadata.txt").read_text("utf-8"))
    return parser["general"]


@pytest.fixture(scope="module")
def distribution() -> dict[str, object]:
    return tomllib.loads((REPOSITORY / "backend" / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("key", REQUIRED)
def test_metadata_has_what_the_plugin_site_asks_for(metadata: configparser.SectionProxy, key: str) -> None:
    assert metadata.get(key, "").strip()


def test_metadata_values_pass_the_site_rules(metadata: configparser.SectionProxy) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["version"])
    assert (metadata["qgisMinimumVersion"], metadata["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert "plugin" not in metadata["name"].lower()
    assert "/" not in metadata["author"]
    assert metadata["hasProcessingProvider"] == "yes"
    assert all(metadata[key].startswith("https://") for key in ("homepage", "repository", "tracker"))
    assert (REPOSITORY / metadata["icon"]).read_bytes().startswith(b"\x89PNG")


def test_about_says_what_runs_and_what_is_sent(metadata: configparser.SectionProxy) -> None:
    about = metadata["about"]
    assert "torch" in about
    assert "Nothing is installed into QGIS's own Python" in about
    assert "Nothing is sent anywhere" in about
    assert "weights of further encoders are downloaded when you ask" in about
    assert "Sentinel-2 or Sentinel-1 image" in about


def test_the_version_is_the_same_everywhere(
    metadata: configparser.SectionProxy, distribution: dict[str, object]
) -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    package = (REPOSITORY / "backend" / "ssl4eo" / "__init__.py").read_text("utf-8")
    assert distribution["version"] == metadata["version"]
    assert f"## [{metadata['version']}]" in changelog
    assert f'"{metadata["version"]}"' in package or "importlib.metadata" in package


def test_the_distribution_asks_for_what_is_pinned(distribution: dict[str, object]) -> None:
    text = (REPOSITORY / "requirements" / "backend.in").read_text("utf-8")
    wanted = {line for line in text.splitlines() if line and not line.startswith("#")}
    # setuptools only builds the editable install.
    assert set(distribution["dependencies"]) == {line for line in wanted if not line.startswith("setuptools")}


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text("utf-8")
    assert not re.search(r"https?://|--(extra-)?index|--find-links|-f |@ file", text)
    # A requirement runs over continued lines: its pin, then one hash a line.
    for block in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines():
        assert re.match(r"[a-z0-9][\w.-]*(\[[\w,-]+\])?==[\w.+!]+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("name", LOCKS)
def test_every_input_has_its_pins(name: str) -> None:
    lines = (REPOSITORY / "requirements" / f"{name}.in").read_text("utf-8").splitlines()
    pins = (REPOSITORY / "requirements" / f"{name}.txt").read_text("utf-8")
    for line in lines:
        if line and not line.startswith(("#", "-")):
            package = re.match(r"[\w.-]+", line)
            assert package, line
            assert re.search(rf"(?m)^{re.escape(package[0])}==", pins), f"run `make lock`: {line} is not pinned"


def test_licence_is_the_full_text() -> None:
    text = (REPOSITORY / "LICENSE").read_text("utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 2, June 1991" in text
    assert "END OF TERMS AND CONDITIONS" in text
