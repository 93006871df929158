# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a feature set is made: the device and the folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QObject

from ssl4eo_plugin import settings
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.feature_folder import ITEM

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox

    from ssl4eo_plugin.panel.state import PanelState, SceneState

__all__ = ["OutputForm"]


class OutputForm(QObject):
    """Two widgets of the Features page; an empty folder field stands for a new folder beside the project or image."""

    def __init__(self, state: PanelState, devices: QComboBox, folders: QgsFileWidget) -> None:
        """Take the widgets over and choose the device that was used last."""
        super().__init__(devices)
        self._state, self._devices, self._folders = state, devices, folders
        for text, device in (
            (self.tr("The GPU if there is one"), "auto"),
            (self.tr("The processor (CPU)"), "cpu"),
            (self.tr("An NVIDIA GPU (CUDA)"), "cuda"),
            (self.tr("An Apple GPU (MPS)"), "mps"),
        ):
            devices.addItem(text, device)
        devices.setCurrentIndex(max(0, devices.findData(settings.device())))
        devices.currentIndexChanged.connect(lambda _index: settings.set_device(self.device()))
        folders.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        folders.setDialogTitle(self.tr("Name a new folder for the feature set"))

    def device(self) -> str:
        """Return the device to run on."""
        return self._devices.currentData()

    def choose(self, folder: str | Path) -> None:
        """Choose the folder to make; "" goes back to the default."""
        self._folders.setFilePath(str(folder))

    def folder(self, scene: SceneState, encoders: list[str], mode: str) -> Path:
        """Return the folder to make; the same again as long as none was made.

        Raises:
            CanvasError: when the chosen one exists and is no feature set; of those the backend knows what they hold.
        """
        chosen = self._folders.filePath().strip()
        if not chosen:
            return self._default(scene, encoders, mode)
        if Path(chosen).exists() and not (Path(chosen) / ITEM).is_file():
            sentence = self.tr("“{}” exists already and is not written over; choose a folder that is new.")
            raise CanvasError(sentence.format(chosen))
        return Path(chosen)

    def show_default(self, scene: SceneState | None, encoders: list[str], mode: str) -> None:
        """Show in the empty field which folder will be made."""
        default = str(self._default(scene, encoders, mode)) if scene is not None else ""
        self._folders.lineEdit().setPlaceholderText(default)
        self._folders.setToolTip(default)

    def _default(self, scene: SceneState, encoders: list[str], mode: str) -> Path:
        image = re.sub(r"[^\w.-]+", "_", Path(scene.path).stem).strip("_") or "image"
        parts = [image, "+".join(encoders), *([mode] if mode != "standard" else [])]
        number, home = 1, self._state.home() / "ssl4eo"
        while (folder := home / "-".join([*parts, str(number)])).exists():
            number += 1
        return folder
