# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 2, Features: an encoder turns the image, or a part of it, into a feature set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsRectangle
from qgis.PyQt.QtCore import pyqtSignal

from ssl4eo_plugin import settings
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.panel.download_note import DownloadNote
from ssl4eo_plugin.panel.encoder_table import EncoderTable
from ssl4eo_plugin.panel.encoder_words import quality
from ssl4eo_plugin.panel.encoders import EncoderBox
from ssl4eo_plugin.panel.extent import DRAWN, LAYER, VIEW, ExtentPicker
from ssl4eo_plugin.panel.outcome import outcome
from ssl4eo_plugin.panel.output import OutputForm
from ssl4eo_plugin.panel.page import Page
from ssl4eo_plugin.panel.quality import QualityBox
from ssl4eo_plugin.panel.reduction import ReductionForm
from ssl4eo_plugin.panel.scene_facts import area, pixels
from ssl4eo_plugin.panel.second_encoder import SecondEncoder
from ssl4eo_plugin.panel.sets_list import SetsChooser
from ssl4eo_plugin.panel.speed import duration, estimate, remember

if TYPE_CHECKING:
    from qgis.core import QgsRasterLayer
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.panel.state import PanelState, SceneState

__all__ = ["FeaturesPage"]


class FeaturesPage(Page):
    """Choose encoder, quality, extent and folder; encode; choose among the feature sets there are."""

    encoded = pyqtSignal(dict)
    modelsLoaded = pyqtSignal(list)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form; the encoders are asked for when the page is first shown."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        self._picker = ExtentPicker(
            state, {LAYER: self.layerExtent, VIEW: self.viewExtent, DRAWN: self.drawnExtent}, self
        )
        self._picker.changed.connect(self._show_extent)
        self._connect_encoders()
        self._output = OutputForm(state, self.deviceBox, self.folderBox)
        self._reduction = ReductionForm(state, self.componentsBox, self.projectionBox)
        self.job.set_action(self.tr("Encode"), QgsApplication.getThemeIcon("/mActionStart.svg"))
        self.job.started.connect(self.encode)
        self._sets = SetsChooser(state, self.setsLabel, self.setsList, self.useButton, self.otherButton, self)
        self._sets.chosen.connect(self.use)
        state.sceneChanged.connect(self._scene_changed)
        self._scene_changed()
        self._sets.show()

    def set_encoder(self, encoder_id: str) -> None:
        """Choose an encoder, also before the backend has said which there are."""
        self._encoders.choose(encoder_id)

    def encoder_id(self) -> str:
        """Return the chosen encoder."""
        return self._encoders.encoder_id()

    def set_mode(self, mode: str) -> None:
        """Choose `fast` or `standard`; what the encoder lacks waits for one that has it."""
        self._quality.choose(mode)

    def mode(self) -> str:
        """Return the quality in which the chosen encoder runs."""
        return self._quality.mode()

    def set_components(self, components: int | str) -> None:
        """Choose how many values are kept per level and place; "full" for all channels."""
        self._reduction.choose_components(components)

    def set_projection(self, folder: str | Path | None) -> bool:
        """Choose a feature set whose components are taken, None for the image's own; False when it does not fit."""
        return self._reduction.choose_projection(folder)

    def set_second_encoder(self, encoder_id: str | None, layer: QgsRasterLayer | None = None) -> None:
        """Choose a second encoder and the layer of its image, None for the same image; None for no second one."""
        self._second.choose(encoder_id, layer)

    def open_encoders(self) -> EncoderTable:
        """Bring up the window of encoders, which stays open beside QGIS."""
        if self._table is None:
            self._table = EncoderTable(self.state, self.state.iface.mainWindow())
            self._table.used.connect(self.set_encoder)
        self._table.open_at(self.encoder_id())
        return self._table

    def set_extent(self, mode: str, rect: QgsRectangle | None = None) -> None:
        """Choose `layer`, `view` or `drawn`; `rect`, in the scene's CRS, is what would be drawn."""
        self._picker.choose(mode, rect)

    def extent(self) -> QgsRectangle | None:
        """Return the extent in the scene's CRS on whole pixels; None when it does not touch the scene."""
        return self._picker.extent()

    def set_output(self, folder: str | Path) -> None:
        """Choose the folder to make; "" goes back to the default."""
        self._output.choose(folder)

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
        self.note.say("")
        size, encoders = self._picker.size() or (0, 0), self._encoder_ids()
        description = self.tr("Encoding {}").format(self.state.scene.layer.name())
        session = self.state.session

        def succeeded(result: dict[str, Any]) -> None:
            # Of a run that found a part of its work done, the time says nothing of the next.
            if not result["cached"] and not result["resumed"]:
                remember(encoders, params["mode"], size[0] * size[1], result["seconds"])
            self._encoded(result, params, size, same_project=session is self.state.session)

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
            self.state.encoders.load()
            self._sets.show()
            self._reduction.show()

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self._picker.dispose()
        if self._table is not None:
            self._table.close()
            self._table.deleteLater()
            self._table = None

    def _connect_encoders(self) -> None:
        library = self.state.encoders
        self._table: EncoderTable | None = None
        self._encoders = EncoderBox(library, self.encoderBox, self.encoderFacts, self)
        self._quality = QualityBox(library, self.qualityLabel, self.qualityBox, self)
        self._second = SecondEncoder(self.state, self.secondBox, self.secondLayer, self.secondFacts, self)
        self._downloads = DownloadNote(library, self.downloadFacts, self.note, self)
        library.failed.connect(self.fail)
        library.downloads.failed.connect(self._download_failed)
        library.changed.connect(lambda: self.modelsLoaded.emit(list(library.cards.values())))
        self._encoders.chosen.connect(self._encoder_chosen)
        self._second.changed.connect(self._show_choice)
        self._quality.changed.connect(self._show_choice)
        self.encodersButton.clicked.connect(self.open_encoders)

    def _params(self) -> dict[str, Any]:
        scene = self.state.scene
        if scene is None:
            raise CanvasError(self.tr("There is no image yet; choose one under Imagery."))
        if not scene.ready:
            raise CanvasError(scene.info["needs"][0])
        if self._encoders.problem():
            raise CanvasError(self._encoders.problem())
        extent = self.extent()
        if extent is None:
            raise CanvasError(self._no_extent())
        params: dict[str, Any] = {
            "scene": scene.path,
            "out": str(self._output.folder(scene, self._encoder_ids(), self.mode())),
            "encoder": self.encoder_id(),
            "mode": self.mode(),
            "reuse": True,
            **self._reduction.params(),
            "device": self._output.device(),
            **scene.overrules,
        }
        if additions := self._second.additions():
            params["add"] = additions
        if self._picker.mode != LAYER:
            params["bbox"] = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
        return params

    def _encoder_ids(self) -> list[str]:
        second = self._second.encoder_id()
        return [self.encoder_id()] + ([second] if second else [])

    def _encoder_chosen(self, encoder_id: str) -> None:
        self._quality.set_encoder(encoder_id)
        # It tells that it changed, which shows the rest.
        self._second.set_first(encoder_id)

    def _show_choice(self) -> None:
        self._reduction.set_encoders(self._encoder_ids(), self.mode())
        self._show_extent()

    def _download_failed(self, _encoder_id: str, sentence: str) -> None:
        # The window says it where the user looks; while it is closed, the panel does.
        if self._table is None or not self._table.isVisible():
            self.fail(sentence)

    def _encoded(
        self, result: dict[str, Any], params: dict[str, Any], size: tuple[int, int], *, same_project: bool
    ) -> None:
        # What was chosen exists now, so the next run needs another folder.
        self.set_output("")
        if same_project and not self.use(result["features"]):
            return
        warnings = result.get("warnings", [])
        self.note.say(
            "\n".join([*outcome(result, size, params["device"]), *warnings]), "warning" if warnings else "info"
        )
        self._show_extent()
        self.encoded.emit(result)

    def _scene_changed(self) -> None:
        scene = self.state.scene
        self.job.button.setEnabled(scene is not None and scene.ready)
        self._encoders.set_image(scene.info if scene is not None else None)
        self._show_extent()

    def _show_extent(self) -> None:
        scene, size = self.state.scene, self._picker.size()
        self._output.show_default(scene, self._encoder_ids(), self.mode())
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
        guess = estimate(self.state.encoders.cards, self._encoder_ids(), self.mode(), size[0] * size[1])
        if guess is None:
            return words
        time, judged_by = duration(guess[0]), guess[1]
        if judged_by == self.mode():
            return f"{words}, " + self.tr("about {} as in the last run").format(time)
        return f"{words}, " + self.tr("about {}, by the last run in {}").format(time, quality(judged_by, 1))

    def _no_extent(self) -> str:
        if self._picker.mode == DRAWN:
            return self.tr("Drag a rectangle over the image.")
        return self.tr("The map does not show the image; zoom to it or choose Layer.")
