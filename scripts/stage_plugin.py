# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the plugin folder that QGIS loads, and the zip that the plugin site takes, from the repository."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = "ssl4eo_plugin"
# What stands outside the package folder in the repository and inside it in QGIS.
BESIDE = ("metadata.txt", "LICENSE", "resources/icons")
# The same, where there is such a folder. The encoders stay out: they belong to the backend.
BESIDE_IF_THERE = ("resources/styles", "resources/translations")
# PLUGIN_MAX_UPLOAD_SIZE of the plugin site (qgis/QGIS-Plugins-Website, settings_docker.py).
ZIP_LIMIT = 25_000_000
# The earliest date that a zip entry can carry; a fixed one makes the archive the same for the same content.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def stage(out_dir: Path, backend: list[str] | None = None) -> Path:
    """Write `out_dir/ssl4eo_plugin`, in place of an older one, and return it.

    Args:
        out_dir: The folder to hold the plugin folder, such as `python/plugins` of a QGIS profile.
        backend: The command that starts the backend, for `backend.json`; None leaves it to the user's settings.

    Raises:
        FileNotFoundError: If the repository lacks a file that QGIS or the plugin site asks for.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    target = out_dir / PACKAGE
    fresh = Path(tempfile.mkdtemp(prefix=f".{PACKAGE}-", dir=out_dir))
    try:
        fresh.chmod(0o755)
        _copy(REPOSITORY / PACKAGE, fresh)
        for name in (*BESIDE, *(name for name in BESIDE_IF_THERE if (REPOSITORY / name).is_dir())):
            _copy(REPOSITORY / name, fresh / name)
        if backend is not None:
            (fresh / "backend.json").write_text(json.dumps({"command": backend}, indent=2) + "\n", "utf-8")
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return target


def pack(folder: Path, archive: Path) -> Path:
    """Write the staged plugin `folder` as the zip `archive` and return it.

    Raises:
        ValueError: If the archive is larger than the plugin site takes.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(f"{PACKAGE}/{path.relative_to(folder).as_posix()}", ZIP_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o100644 << 16
                out.writestr(entry, path.read_bytes())
    size = partial.stat().st_size
    if size > ZIP_LIMIT:
        partial.unlink()
        raise ValueError(f"{archive} would be {size} bytes, more than the {ZIP_LIMIT} that the plugin site takes.")
    partial.replace(archive)
    return archive


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder's content, leaving out what a run of Python or an editor left behind."""
    if not source.exists():
        raise FileNotFoundError(f"{source} is missing: the plugin folder cannot be built without it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        return
    leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyo", ".*", "*~", "backend.json", "*.aux.xml")
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=leave_out, copy_function=shutil.copyfile)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=Path, help="folder that gets ssl4eo_plugin/, e.g. a profile's python/plugins")
    parser.add_argument("--backend", nargs="+", metavar="COMMAND", help="command that starts the backend")
    parser.add_argument("--zip", type=Path, metavar="FILE", help="also write the folder as a zip for QGIS")
    options = parser.parse_args(arguments)
    try:
        folder = stage(options.out_dir, options.backend)
        print(f"staged {os.path.relpath(folder)}")
        if options.zip:
            archive = pack(folder, options.zip)
            print(f"packed {os.path.relpath(archive)} ({archive.stat().st_size / 1e6:.1f} MB)")
    except (OSError, ValueError) as error:
        print(f"stage_plugin: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
