# SPDX-License-Identifier: GPL-2.0-or-later
"""Results that appear whole or not at all: written to a temporary sibling, then renamed."""

from __future__ import annotations

import errno
import shutil
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssl4eo.errors import Cancelled, InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Unfinished", "atomic_file", "output_errors", "require_space", "resumable_folder"]

_MEGABYTE = 1_000_000
# In a folder of unfinished work: what it is for.
_PURPOSE = "purpose"

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


@dataclass
class Unfinished:
    """A folder in which long work leaves what it has done; `keep` says that it is worth going on with."""

    folder: Path
    keep: bool = False


@contextmanager
def resumable_folder(path: str | Path, purpose: str | None) -> Iterator[Unfinished]:
    """Yield a hidden sibling folder of `path`; rename it to `path` on success.

    What the block leaves in it when it fails, or when the process is killed, is there again when the same purpose comes
    next, if it is worth keeping; a cancel removes it.

    Args:
        path: the folder to make.
        purpose: what is made of what; work for another purpose is removed. None goes on with nothing.

    Raises:
        InputError: when `path` exists and is not an empty folder, its parent does not exist, or another run makes it.
        OutputError: when the disk is full, read-only or forbidden.
    """
    target = Path(path)
    _require_new(target)
    unfinished = Unfinished(target.with_name(f".{target.name}.part"))
    folder = unfinished.folder
    with output_errors(target), _alone(target.with_name(f"{folder.name}.lock"), target):
        # Another run may have finished while this one came to the lock.
        _require_new(target)
        _prepare(folder, purpose)
        try:
            yield unfinished
            (folder / _PURPOSE).unlink(missing_ok=True)
            if target.exists():
                target.rmdir()
            folder.replace(target)
        except BaseException as error:
            # A process that is killed comes by no such place, and leaves all.
            if isinstance(error, Cancelled) or not unfinished.keep or purpose is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise


def _require_new(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already; choose a new folder or remove it first.")
    if not target.parent.is_dir():
        raise InputError(f"The folder {target.parent} does not exist; create it or choose another.")


@contextmanager
def _alone(path: Path, target: Path) -> Iterator[None]:
    """Hold the lock `path` against other runs; the system lets it go when this process ends, however it ends.

    It lies beside the folder, so that it is still held when the folder gets its name.
    """
    import filelock

    try:
        with filelock.FileLock(path, timeout=0):
            try:
                yield
            finally:
                # On Windows the lock removes its file itself; elsewhere it does not count when it is won with the file
                # gone.
                if sys.platform != "win32":
                    path.unlink(missing_ok=True)
    except filelock.Timeout as error:
        raise InputError(f"Another run is writing {target} now; wait for it or choose another folder.") from error


def _prepare(folder: Path, purpose: str | None) -> None:
    """Make the folder, and empty it unless it was left by the same purpose."""
    folder.mkdir(exist_ok=True)
    try:
        left = (folder / _PURPOSE).read_text(encoding="utf-8")
    except OSError:
        left = None
    if purpose is not None and left == purpose:
        return
    for item in folder.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        else:
            item.unlink()
    if purpose is not None:
        (folder / _PURPOSE).write_text(purpose, encoding="utf-8")


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
