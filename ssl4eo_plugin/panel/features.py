# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 2, Features: an encoder turns the image, or a part of it, into a feature set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsRectangle, QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QFileDialog

from ssl4eo_plugin import settings
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.panel.encoders import EncoderBox
from ssl4eo_plugin.panel.extent import DRAWN, LAYER, VIEW, ExtentPicker
from ssl4eo_plugin.panel.page import Page
from ssl4eo_plugin.panel.scene_facts import area, pixels
from ssl4eo_plugin.panel.sets_list import chosen_set, fill_sets

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.panel.state import PanelState, SceneState

__all__ = ["FeaturesPage"]

# Pixels per second of the last run, by encoder.
_SPEED = "ssl4eo/speed/"


class FeaturesPage(Page):
    """Choose encoder, extent and folder; encode; choose among the feature sets there are."""

    encoded = pyqtSignal(dict)
    modelsLoaded = pyqtSignal(list)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form; the encoders are asked for when the page is first shown."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        self._picker = ExtentPicker(
            state, {LAYER: self.layerExtent, VIEW: self.viewExtent, DRAWN: self.drawnExtent}, self
        )
        self._picker.changed.connect(self._show_extent)
        self._encoders = EncoderBox(state, self.encoderBox, self.encoderFacts, self)
        self._encoders.failed.connect(self.fail)
        self._encoders.loaded.connect(self.modelsLoaded)
        self._encoders.chosen.connect(self._show_extent)
        for text, device in (
            (self.tr("The GPU if there is one"), "auto"),
            (self.tr("The processor (CPU)"), "cpu"),
            (self.tr("An NVIDIA GPU (CUDA)"), "cuda"),
            (self.tr("An Apple GPU (MPS)"), "mps"),
        ):
            self.deviceBox.addItem(text, device)
        self.deviceBox.setCurrentIndex(max(0, self.deviceBox.findData(settings.device())))
        self.folderBox.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self.folderBox.setDialogTitle(self.tr("Name a new folder for the feature set"))
        self.job.set_action(self.tr("Encode"), QgsApplication.getThemeIcon("/mActionStart.svg"))
        self.job.started.connect(self.encode)
        self.setsList.itemDoubleClicked.connect(self._use_chosen)
        self.setsList.currentItemChanged.connect(self._show_buttons)
        self.useButton.clicked.connect(self._use_chosen)
        self.otherButton.clicked.connect(self._choose_folder)
        state.sceneChanged.connect(self._scene_changed)
        state.featuresChanged.connect(self._show_sets)
        self._scene_changed()
        self._show_sets()

    def set_encoder(self, encoder_id: str) -> None:
        """Choose an encoder, also before the backend has said which there are."""
        self._encoders.choose(encoder_id)

    def encoder_id(self) -> str:
        """Return the chosen encoder."""
        return self._encoders.encoder_id()

    def set_extent(self, mode: str, rect: QgsRectangle | None = None) -> None:
        """Choose `layer`, `view` or `drawn`; `rect`, in the scene's CRS, is what would be drawn."""
        self._picker.choose(mode, rect)

    def extent(self) -> QgsRectangle | None:
        """Return the extent in the scene's CRS on whole pixels; None when it does not touch the scene."""
        return self._picker.extent()

    def set_output(self, folder: str | Path) -> None:
        """Choose the folder to make; "" goes back to the default."""
        self.folderBox.setFilePath(str(folder))

    def running(self) -> bool:
        """Return whether an encode runs."""
        return bool(self.job.running())

    def cancel(self) -> None:
        """Stop the encode that runs; nothing is left of it."""
        self.job.cancel()

    def encode(self) -> None:
        """Start to encode; `encoded` or `failed` follows."""
        if self.running():
            return
        try:
            params = self._params()
            Path(params["out"]).parent.mkdir(parents=True, exist_ok=True)
        except CanvasError as error:
            self.fail(str(error))
            return
        except OSError as error:
            sentence = self.tr("The folder “{}” cannot be made ({}); choose another one under “Device and folder”.")
            self.fail(sentence.format(error.filename, error.strerror))
            return
        settings.set_encoder(params["encoder"])
        settings.set_device(params["device"])
        self.note.say("")
        size = self._picker.size() or (0, 0)
        description = self.tr("Encoding {}").format(self.state.scene.layer.name())
        session = self.state.session

        def succeeded(result: dict[str, Any]) -> None:
            self._encoded(result, size, same_project=session is self.state.session)

        task = self.state.runner.job("encode", params, description, succeeded, self.fail)
        task.cancelled.connect(lambda: self.note.say(self.tr("Cancelled; nothing was written.")))
        self.job.follow(task)

    def use(self, folder: str | Path) -> bool:
        """Take a feature set into use; False, and `failed`, when the folder holds none."""
        try:
            self.state.use_features(folder)
        except CanvasError as error:
            self.fail(str(error))
            return False
        self.note.say("")
        return True

    def set_shown(self, shown: bool) -> None:
        """Ask for the encoders when the page comes up; take the outline off when it goes."""
        self._picker.set_visible(shown)
        if shown:
            self._encoders.load()
            self._show_sets()

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self._picker.dispose()

    def _params(self) -> dict[str, Any]:
        scene = self.state.scene
        if scene is None:
            raise CanvasError(self.tr("There is no image yet; choose one under Imagery."))
        if not scene.ready:
            raise CanvasError(scene.info["needs"][0])
        extent = self.extent()
        if extent is None:
            raise CanvasError(self._no_extent())
        params: dict[str, Any] = {
            "scene": scene.path,
            "out": str(self._folder(scene)),
            "encoder": self.encoder_id(),
            "device": self.deviceBox.currentData(),
            **scene.overrules,
        }
        if self._picker.mode != LAYER:
            params["bbox"] = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
        return params

    def _folder(self, scene: SceneState) -> Path:
        chosen = self.folderBox.filePath().strip()
        if not chosen:
            return self._default_folder(scene)
        if Path(chosen).exists():
            sentence = self.tr("“{}” exists already and is not written over; choose a folder that is new.")
            raise CanvasError(sentence.format(chosen))
        return Path(chosen)

    def _default_folder(self, scene: SceneState) -> Path:
        image = re.sub(r"[^\w.-]+", "_", Path(scene.path).stem).strip("_") or "image"
        number, home = 1, self.state.home() / "ssl4eo"
        while (folder := home / f"{image}-{self.encoder_id()}-{number}").exists():
            number += 1
        return folder

    def _encoded(self, result: dict[str, Any], size: tuple[int, int], *, same_project: bool) -> None:
        seconds = max(result["seconds"], 0.1)
        QgsSettings().setValue(_SPEED + result["encoder"], size[0] * size[1] / seconds)
        # What was chosen exists now, so the next run needs another folder.
        self.set_output("")
        if same_project and not self.use(result["features"]):
            return
        words = self.tr("Encoded {} in {:.0f} s on {}.").format(pixels(*size), seconds, result["device"].upper())
        warnings = result.get("warnings", [])
        self.note.say("\n".join([words, *warnings]), "warning" if warnings else "info")
        self._show_extent()
        self.encoded.emit(result)

    def _scene_changed(self) -> None:
        scene = self.state.scene
        self.job.button.setEnabled(scene is not None and scene.ready)
        self._encoders.set_level(scene.info["level"] if scene is not None else None)
        self._show_extent()

    def _show_extent(self) -> None:
        scene, size = self.state.scene, self._picker.size()
        default = self._default_folder(scene) if scene is not None else ""
        self.folderBox.lineEdit().setPlaceholderText(str(default))
        self.folderBox.setToolTip(str(default))
        if scene is None:
            self.extentFacts.setText(self.tr("Choose an image under Imagery first."))
        elif size is None:
            self.extentFacts.setText(self._no_extent())
        else:
            self.extentFacts.setText(self._size_words(scene, size))

    def _size_words(self, scene: SceneState, size: tuple[int, int]) -> str:
        words = pixels(*size)
        if scene.crs.isValid() and not scene.crs.isGeographic():
            across, down = scene.info["resolution"]
            words += f" ({area(size[0] * across, size[1] * down)})"
        speed = float(QgsSettings().value(_SPEED + self.encoder_id(), 0) or 0)
        if speed:
            words += ", " + self.tr("about {} as in the last run").format(_duration(size[0] * size[1] / speed))
        return words

    def _no_extent(self) -> str:
        if self._picker.mode == DRAWN:
            return self.tr("Drag a rectangle over the image.")
        return self.tr("The map does not show the image; zoom to it or choose Layer.")

    def _show_sets(self) -> None:
        sets = self.state.feature_sets()
        for widget in (self.setsLabel, self.setsList, self.useButton):
            widget.setVisible(bool(sets))
        self.otherButton.setText(self.tr("Add…") if sets else self.tr("Use an existing feature set…"))
        used = self.state.features.path if self.state.features is not None else None
        fill_sets(self.setsList, sets, used)
        self._show_buttons()

    def _show_buttons(self, *_: object) -> None:
        chosen, used = chosen_set(self.setsList), self.state.features
        self.useButton.setEnabled(chosen is not None and (used is None or chosen != str(used.path)))

    def _use_chosen(self, *_: object) -> None:
        chosen = chosen_set(self.setsList)
        if chosen is not None:
            self.use(chosen)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Choose a feature set"), str(self.state.home()))
        if folder:
            self.use(folder)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1.5:
        return f"{max(1, round(seconds))} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
