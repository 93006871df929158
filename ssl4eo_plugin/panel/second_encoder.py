# SPDX-License-Identifier: GPL-2.0-or-later
"""A second encoder on the same grid, such as one for Sentinel-1 beside one for Sentinel-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsMapLayerProxyModel
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.panel import encoder_words as words
from ssl4eo_plugin.panel.encoders import fill_encoders
from ssl4eo_plugin.panel.overrules import overrules_of
from ssl4eo_plugin.panel.scene_facts import needs, title, values
from ssl4eo_plugin.processing.sources import raster_path

if TYPE_CHECKING:
    from qgis.core import QgsRasterLayer
    from qgis.gui import QgsMapLayerComboBox
    from qgis.PyQt.QtWidgets import QComboBox, QLabel

    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["SecondEncoder"]


class SecondEncoder(QObject):
    """Three widgets of the Features page: the encoder, the layer of its image, and what is found there."""

    changed = pyqtSignal()

    def __init__(
        self, state: PanelState, box: QComboBox, layer_box: QgsMapLayerComboBox, facts: QLabel, parent: QObject
    ) -> None:
        """Take the widgets over; nothing is chosen."""
        super().__init__(parent)
        self._state, self._box, self._layers, self._facts = state, box, layer_box, facts
        self._first = ""
        self._info: dict[str, Any] | None = None
        self._refusal = ""
        self._asked: object = None
        # What the user knew better of the image when it was looked at; None when no answer counts.
        self._told: dict[str, Any] | None = None
        layer_box.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        layer_box.setAllowEmptyLayer(True, self.tr("The same image"))
        layer_box.setShowCrs(False)
        layer_box.setLayer(None)
        state.project.layersAdded.connect(self._hide_own_layers)
        self._hide_own_layers()
        layer_box.layerChanged.connect(self._layer_chosen)
        box.currentIndexChanged.connect(self._show)
        state.encoders.changed.connect(self._fill)
        state.sceneChanged.connect(self._look_again)
        self._fill()

    def encoder_id(self) -> str | None:
        """Return the second encoder, None when there is to be none."""
        return self._box.currentData()

    def layer(self) -> QgsRasterLayer | None:
        """Return the layer of its image, None for the first one's."""
        return self._layers.currentLayer()

    def choose(self, encoder_id: str | None, layer: QgsRasterLayer | None = None) -> None:
        """Choose as if by hand; None for no second encoder."""
        self._layers.setLayer(layer)
        self._box.setCurrentIndex(max(0, self._box.findData(encoder_id)) if encoder_id else 0)

    def set_first(self, encoder_id: str) -> None:
        """Say what the first encoder is; the same on the same image adds nothing."""
        self._first = encoder_id
        self._show()

    def problem(self) -> str:
        """Return why the second encoder cannot run, "" when it can or is not wanted."""
        card = self._state.encoders.cards.get(self.encoder_id() or "")
        if card is None:
            return ""
        if not card["available"]:
            # It was here when it was chosen.
            sentence = self.tr("{} is not on this computer; press “Encoders…” to download or import it.")
            return sentence.format(card["title"])
        if self.layer() is None:
            if card["id"] == self._first:
                return self.tr("It is the first encoder already; choose another one, or another image.")
            scene = self._state.scene
            misfit = words.misfit(card, scene.info if scene is not None else None)
            return self.tr("{} Choose another image for it.").format(misfit) if misfit else ""
        if self._info is None:
            return self._refusal or self.tr("Its image is still looked at; wait a moment.")
        return words.misfit(card, self._info) or next(iter(needs(self._info, elsewhere=True)[0]), "")

    def additions(self) -> list[dict[str, Any]]:
        """Return what the job `encode` takes as `add`: at most one encoder, its image, and what the user knows of it.

        Raises:
            CanvasError: when it cannot run; with the reason.
        """
        if self.encoder_id() is None:
            return []
        if self.problem():
            raise CanvasError(self.tr("Second encoder: {}").format(self.problem()))
        layer = self.layer()
        if layer is None:
            return [{"encoder": self.encoder_id(), "scene": None}]
        return [{"encoder": self.encoder_id(), "scene": raster_path(layer), **overrules_of(layer)}]

    def _fill(self) -> None:
        chosen = self.encoder_id()
        self._box.blockSignals(True)
        fill_encoders(self._box, list(self._state.encoders.cards.values()), {}, self.tr("{} (download first)"))
        self._box.insertItem(0, self.tr("None"), None)
        self._box.setCurrentIndex(max(0, self._box.findData(chosen)) if chosen else 0)
        self._box.blockSignals(False)
        self._show()

    def _hide_own_layers(self, *_: object) -> None:
        self._layers.setExceptedLayerList(self._state.own_rasters())

    def _layer_chosen(self, layer: QgsRasterLayer | None) -> None:
        self._info, self._refusal, self._asked, self._told = None, "", None, None
        if layer is not None and layer.providerType() != "gdal":
            sentence = self.tr("“{}” is a picture from a service, not an image file; choose another layer.")
            self._refusal = sentence.format(layer.name())
        elif layer is not None:
            self._inspect(layer)
        self._show()

    def _look_again(self) -> None:
        # Under Imagery the user may have said what the bands of this image are.
        layer = self.layer()
        if layer is not None and overrules_of(layer) != self._told:
            self._layer_chosen(layer)
        else:
            self._show()

    def _inspect(self, layer: QgsRasterLayer) -> None:
        asked = self._asked = object()
        path, overrules = raster_path(layer), overrules_of(layer)
        self._told = overrules

        def answered(info: dict[str, Any]) -> None:
            # Only the last question counts.
            if asked is self._asked:
                self._info = info
                self._show()

        def refused(sentence: str) -> None:
            if asked is self._asked:
                self._refusal, self._told = sentence, None
                self._show()

        description = self.tr("Looking at {}").format(layer.name())
        self._state.runner.ask(lambda client: client.inspect(path, **overrules), description, answered, refused)

    def _show(self, *_: object) -> None:
        card = self._state.encoders.cards.get(self.encoder_id() or "")
        if card is None:
            text = self.tr("None: the feature set holds the levels of one encoder.")
        elif self.problem():
            text = self.problem()
        elif self._info is not None and self.layer() is not None:
            text = f"{words.facts(card)} {title(self._info)}, {values(self._info)}."
        else:
            text = words.facts(card)
        self._facts.setText(text)
        self.changed.emit()
