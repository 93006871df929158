# SPDX-License-Identifier: GPL-2.0-or-later
"""Results that appear whole or not at all: written to a temporary sibling, then renamed."""

from __future__ import annotations

import errno
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ssl4eo.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic_file", "atomic_folder", "output_errors", "require_space"]

_MEGABYTE = 1_000_000

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file is larger than this system allows; choose a smaller extent or another disk",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "permission is denied; choose a folder that you may write to",
    errno.EPERM: "permission is denied; choose a folder that you may write to",
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what a write to `path` can raise into one sentence.

    Raises:
        OutputError: for a full, read-only or forbidden disk, and for a raster driver that could not write.
    """
    # rasterio wraps libtiff's write errors, which carry no errno, in RasterioIOError and CPLE_BaseError.
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except OSError as error:
        if error.errno in _CAUSES:
            raise OutputError(f"Cannot write {path}: {_CAUSES[error.errno]}.") from error
        if isinstance(error, RasterioError):
            raise OutputError(_driver_sentence(path, error)) from error
        raise
    except (RasterioError, CPLE_BaseError) as error:
        raise OutputError(_driver_sentence(path, error)) from error


def _driver_sentence(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".")
    return f"Cannot write {path}: {reason}; check that the disk is neither full nor read-only."


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; rename it to `path` on success, remove it otherwise.

    The suffix is kept, so that drivers which choose by suffix still do.

    Raises:
        InputError: when the folder of `path` does not exist or `path` is a folder.
        OutputError: when the disk is full, read-only or forbidden.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; name a file in it.")
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another.")
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.part{target.suffix}")
    try:
        with output_errors(target):
            yield temporary
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling folder; rename it to `path` on success, remove it otherwise.

    Raises:
        InputError: when `path` exists and is not an empty folder, or its parent does not exist.
        OutputError: when the disk is full, read-only or forbidden.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already; choose a new folder or remove it first.")
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another.")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with output_errors(target):
            temporary.mkdir()
            yield temporary
            if target.exists():
                target.rmdir()
            temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_space(folder: str | Path, bytes_needed: int) -> None:
    """Refuse before the work starts when the disk of `folder` cannot hold the result.

    Raises:
        OutputError: when less than `bytes_needed` is free.
    """
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise OutputError(
            f"The result needs about {bytes_needed / _MEGABYTE:.0f} MB but {folder} has only "
            f"{free / _MEGABYTE:.0f} MB free; free some space or choose another folder."
        )
