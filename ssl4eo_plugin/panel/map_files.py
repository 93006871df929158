# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of maps may be deleted: not those that the project on disk shows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from qgis.PyQt.QtCore import QObject

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.map_layers import file_of

if TYPE_CHECKING:
    from pathlib import Path

    from qgis.core import QgsProject

__all__ = ["MapFiles", "copy_map"]

_KINDS = (layers.MAP, layers.POLYGONS, layers.CERTAINTY)


class MapFiles(QObject):
    """Deletes maps that were replaced, at once or when the project that shows them is saved again."""

    def __init__(self, project: QgsProject, parent: QObject) -> None:
        """Watch a project."""
        super().__init__(parent)
        self._project = project
        self._superseded: list[Path] = []
        self._saved: set[Path] = set()
        project.projectSaved.connect(self._project_saved)

    def retire(self, paths: list[Path]) -> None:
        """Delete files that were replaced, unless the project on disk still shows them."""
        for path in paths:
            if path in self._saved:
                self._superseded.append(path)
            else:
                layers.remove_raster(path)

    def project_read(self) -> None:
        """Note which files the project on disk shows."""
        self._superseded = []
        self._saved = self._shown()

    def _project_saved(self) -> None:
        shown = self._shown()
        for path in self._superseded:
            if path not in shown:
                layers.remove_raster(path)
        self._superseded = []
        self._saved = shown

    def _shown(self) -> set[Path]:
        return {file_of(layer) for kind in _KINDS for layer in layers.find_layers(self._project, kind)}


def copy_map(source: Path, target: Path) -> None:
    """Copy a map with the file that holds its names.

    Raises:
        OSError: when it cannot be written, or is to be written over itself.
    """
    shutil.copyfile(source, target)
    beside = source.with_name(f"{source.name}.aux.xml")
    if beside.exists():
        shutil.copyfile(beside, target.with_name(f"{target.name}.aux.xml"))
