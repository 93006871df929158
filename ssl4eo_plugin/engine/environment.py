# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the command that starts the backend and the environment it runs in, free of QGIS's own Python."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin import settings
from ssl4eo_plugin.engine.errors import EngineError
from ssl4eo_plugin.paths import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["clean_environment", "find_backend", "split_command"]

# QGIS's launchers export these for its own interpreter and libraries. In another interpreter they stop a
# virtual environment from being one (PYTHONEXECUTABLE), hide the standard library (PYTHONHOME) or mix
# QGIS's builds of PROJ, GDAL and Qt with its own.
_PREFIXES = ("PYTHON", "QGIS_", "DYLD_")
_NAMES = frozenset(
    {
        "GDAL_DATA",
        "GDAL_DRIVER_PATH",
        "GISBASE",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PIP_PREFIX",
        "PIP_TARGET",
        "PIP_USER",
        "PROJ_DATA",
        "PROJ_LIB",
        "VIRTUAL_ENV",
    }
)
# Certificates are kept where an administrator set them, and dropped where they are QGIS's own or gone.
_CERTIFICATES = frozenset({"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})

translate = QCoreApplication.translate


def find_backend() -> list[str]:
    """Return the command prefix of the backend, for example `["/opt/ssl4eo/bin/ssl4eo"]`.

    In this order: the QGIS setting `ssl4eo/backend_command`, the environment variable `SSL4EO_BACKEND`,
    `backend.json` in the plugin's folder, `ssl4eo` on the PATH.

    Raises:
        EngineError: When none is given, or the one given does not exist.
    """
    for origin, value in _candidates():
        command = split_command(value) if isinstance(value, str) else [str(part) for part in value]
        if not command:
            continue
        program = shutil.which(command[0], path=clean_environment().get("PATH"))
        if program is None:
            sentence = translate(
                "Engine",
                "The backend command “{}” ({}) does not exist; correct it, or remove it to use the PATH.",
            )
            raise EngineError(sentence.format(command[0], origin))
        return [program, *command[1:]]
    program = shutil.which("ssl4eo", path=clean_environment().get("PATH"))
    if program is None:
        sentence = translate(
            "Engine",
            "The SSL4EO backend is not installed: no command “ssl4eo” on the PATH; install it, "
            "or name its command in the QGIS setting ssl4eo/backend_command.",
        )
        raise EngineError(sentence)
    return [program]


def split_command(text: str) -> list[str]:
    """Return the parts of a command line; a path with spaces that exists is one part."""
    text = text.strip()
    if not text or Path(text).is_file():
        return [text] if text else []
    try:
        # On Windows a backslash separates folders and escapes nothing.
        parts = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        sentence = translate("Engine", "The backend command “{}” cannot be read ({}); close its quotes.")
        raise EngineError(sentence.format(text, error)) from error
    return [part.strip('"') for part in parts] if os.name == "nt" else parts


def clean_environment(
    environ: Mapping[str, str] | None = None, qgis_folders: Iterable[Path] | None = None
) -> dict[str, str]:
    """Return the environment for another Python than QGIS's own.

    Args:
        environ: What to start from; this process's environment when not given.
        qgis_folders: Folders of a self-contained QGIS, whose programs and certificates are left out.
    """
    source = dict(os.environ if environ is None else environ)
    folders = [folder.resolve() for folder in (_qgis_folders(source) if qgis_folders is None else qgis_folders)]
    kept = {
        name: value
        for name, value in source.items()
        if not name.upper().startswith(_PREFIXES)
        and name.upper() not in _NAMES
        and not (name.upper() in _CERTIFICATES and (not Path(value).exists() or _inside(value, folders)))
    }
    for name in [name for name in kept if name.upper() == "PATH"]:
        entries = kept[name].split(os.pathsep)
        kept[name] = os.pathsep.join(entry for entry in entries if entry and not _inside(entry, folders))
    # One line at a time in UTF-8, and no import from the folder the backend happens to start in.
    return kept | {
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUTF8": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _candidates() -> Iterator[tuple[str, str | list[str]]]:
    # One by one, so that a broken later place does not spoil an earlier one.
    yield translate("Engine", "from the QGIS setting ssl4eo/backend_command"), settings.backend_command()
    yield (
        translate("Engine", "from the environment variable SSL4EO_BACKEND"),
        os.environ.get("SSL4EO_BACKEND", ""),
    )
    yield translate("Engine", "from the plugin's backend.json"), _from_file(PACKAGE / "backend.json")


def _from_file(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        command = None
    if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
        sentence = translate("Engine", 'The file “{}” does not name the backend; it holds {{"command": ["…/ssl4eo"]}}.')
        raise EngineError(sentence.format(path))
    return command


def _qgis_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders of a QGIS that brings its own Python; on Linux it uses the system's."""
    folders = [Path(environ[name]) for name in ("OSGEO4W_ROOT",) if environ.get(name)]
    prefix = Path(QgsApplication.prefixPath() or ".")
    folders += [folder for folder in (prefix, *prefix.parents) if folder.suffix == ".app"]
    return folders


def _inside(entry: str, folders: list[Path]) -> bool:
    path = Path(entry).resolve()
    return any(path == folder or folder in path.parents for folder in folders)
