# SPDX-License-Identifier: GPL-2.0-or-later
"""Notices when another program writes, locks, deletes or replaces the samples file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from qgis.PyQt.QtCore import QFileSystemWatcher, QObject, QTimer, pyqtSignal

from ssl4eo_plugin.canvas.errors import CanvasError

__all__ = ["FileWatch"]

# Milliseconds of quiet after a file changed before it is looked at: one save is many writes.
_QUIET = 300
# Seconds that a click waits for another program to finish writing. QGIS itself waits 15 s for each write.
_PATIENCE = 0.5


class FileWatch(QObject):
    """Watches a GeoPackage and its write-ahead log; our own writes are noticed too."""

    # The file was written, or is no longer the one that was opened.
    touched = pyqtSignal()

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        """Watch a file that exists."""
        super().__init__(parent)
        self._path = path
        self._watcher = QFileSystemWatcher(self)
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(_QUIET)
        self._quiet.timeout.connect(self._look)
        self._watcher.fileChanged.connect(lambda _path: self._quiet.start())
        self._log = Path(f"{path}-wal")
        self._identity: tuple[int, int] | None = None
        self._log_identity: tuple[int, int] | None = None
        self.renew()

    def renew(self) -> None:
        """Take the file that is there now for the one to watch."""
        self._identity = _identity(self._path)
        self._watch()

    def gone(self) -> bool:
        """Return whether there is no file any more."""
        try:
            # A map that is being drawn opens the file by its name, and SQLite then makes an empty one.
            return self._path.stat().st_size == 0
        except OSError:
            return True

    def replaced(self) -> bool:
        """Return whether another file lies in its place; what is written to the old one would be lost."""
        return not self.gone() and _identity(self._path) != self._identity

    def raise_if_locked(self) -> None:
        """Raise CanvasError when another program has the file locked against writing."""
        # Opened to write, but never made.
        name = f"{self._path.as_uri()}?mode=rw"
        try:
            with contextlib.closing(
                sqlite3.connect(name, uri=True, timeout=_PATIENCE, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            sentence = self.tr(
                "The samples file “{}” cannot be written now ({}); close it in the program that uses it."
            )
            raise CanvasError(sentence.format(self._path, error)) from error

    def drop_log(self) -> None:
        """Delete the write-ahead log of a file that is gone: SQLite would play it into the one that takes its place."""
        if self._log_identity is not None and _identity(self._log) == self._log_identity:
            for file in (self._log, Path(f"{self._path}-shm")):
                with contextlib.suppress(OSError):
                    file.unlink()

    def stop(self) -> None:
        """Notice nothing more."""
        self._quiet.stop()
        self._watcher.blockSignals(True)

    def _look(self) -> None:
        self._watch()
        self.touched.emit()

    def _watch(self) -> None:
        # A file that was deleted and made anew is watched no longer, and the log comes and goes.
        if _identity(self._path) == self._identity:
            self._log_identity = _identity(self._log)
        wanted = [str(file) for file in (self._path, self._log) if file.exists()]
        missing = [file for file in wanted if file not in self._watcher.files()]
        if missing:
            self._watcher.addPaths(missing)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
