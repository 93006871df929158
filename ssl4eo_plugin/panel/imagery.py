# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 1, Imagery: which raster layer, and what the backend finds in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsMapLayer, QgsMapLayerProxyModel, QgsRasterLayer, QgsSettings
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QFileDialog, QLabel, QMenu, QSizePolicy, QVBoxLayout, QWidget

from ssl4eo_plugin.canvas.styles import style_image
from ssl4eo_plugin.panel.band_folder import BandFolder
from ssl4eo_plugin.panel.bands import BandsForm
from ssl4eo_plugin.panel.findings import doubts, why
from ssl4eo_plugin.panel.overrules import keep_overrules, overrules_of
from ssl4eo_plugin.panel.page import Page
from ssl4eo_plugin.panel.scene_facts import Fact, facts, needs, title
from ssl4eo_plugin.panel.state import SceneState
from ssl4eo_plugin.panel.widgets import fade
from ssl4eo_plugin.processing.sources import raster_path

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["ImageryPage"]

_FOLDER = "ssl4eo/image_folder"


class ImageryPage(Page):
    """Choose a raster layer; the backend says what it is."""

    inspected = pyqtSignal(dict)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the raster layers of the project; the first is taken up when the page is first shown."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        self.info: dict[str, Any] | None = None
        self._asked: object = None
        self._opened: set[str] = set()
        self.bands = BandsForm(self)
        self.bandsColumn.addWidget(self.bands)
        self.bands.applied.connect(lambda overrules: self.set_overrules(**overrules))
        self._folder = BandFolder(state, self.job, self)
        self._folder.said.connect(self.note.say)
        self._folder.failed.connect(self.fail)
        self._folder.made.connect(self.open_file)
        self._dress_open_button()
        self.layerBox.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.layerBox.setAllowEmptyLayer(True, self.tr("Choose a raster layer"))
        self.layerBox.setShowCrs(False)
        self.layerBox.setLayer(None)
        state.project.layersAdded.connect(self._hide_own_layers)
        self._hide_own_layers()
        self.layerBox.layerChanged.connect(self._layer_chosen)
        self._show()

    def layer(self) -> QgsRasterLayer | None:
        """Return the chosen layer."""
        return self.layerBox.currentLayer()

    def set_layer(self, layer: QgsRasterLayer | None) -> None:
        """Choose a layer of the project and ask the backend what it is; `inspected` or `failed` follows."""
        if layer is not None and layer is self.layer():
            self._layer_chosen(layer)
        else:
            self.layerBox.setLayer(layer)

    def open_file(self, path: str) -> QgsRasterLayer | None:
        """Add an image file to the project and choose it; None, and `failed`, when QGIS cannot read it."""
        layer = QgsRasterLayer(path, Path(path).stem, "gdal")
        if not layer.isValid():
            self.fail(self.tr("“{}” is not a raster that QGIS can read; choose a GeoTIFF or a VRT.").format(path))
            return None
        self._opened.add(layer.id())
        self.state.project.addMapLayer(layer)
        self.set_layer(layer)
        return layer

    def open_folder(self, path: str) -> None:
        """Put a folder of band files on one grid, add the result to the project and choose it."""
        self._folder.open(path)

    def set_overrules(
        self,
        bands: dict[str, str] | None = None,
        scale: float | None = None,
        offset: float | None = None,
        nodata: float | None = None,
        level: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Say what the file does not: band names by number ("1": "B02") and what values mean; then inspect again."""
        given = {
            "bands": bands or None, "scale": scale, "offset": offset, "nodata": nodata, "level": level, "unit": unit
        }  # fmt: skip
        overrules = {name: value for name, value in given.items() if value is not None}
        if self.layer() is not None:
            self._inspect(self.layer(), overrules)

    def choose_by_path(self, path: str) -> None:
        """Choose the layer of a file when the project has it; the image of a feature set, for example."""
        for layer in self.state.project.mapLayers().values():
            if isinstance(layer, QgsRasterLayer) and layer.isValid() and layer.source() == path:
                self.set_layer(layer)
                return

    def _hide_own_layers(self, *_: object) -> None:
        self.layerBox.setExceptedLayerList(self.state.own_rasters())

    def _dress_open_button(self) -> None:
        menu = QMenu(self)
        menu.addAction(QgsApplication.getThemeIcon("/mIconRaster.svg"), self.tr("Image file…"), self._choose_file)
        folder = menu.addAction(
            QgsApplication.getThemeIcon("/mIconFolder.svg"), self.tr("Folder of band files…"), self._choose_folder
        )
        folder.setToolTip(self.tr("One file per band, such as a SAFE folder: made into one image at 10 m"))
        menu.setToolTipsVisible(True)
        self.openButton.setIcon(QgsApplication.getThemeIcon("/mActionFileOpen.svg"))
        self.openButton.setMenu(menu)

    def _choose_folder(self) -> None:
        settings = QgsSettings()
        path = QFileDialog.getExistingDirectory(
            self, self.tr("Open a folder of band files"), settings.value(_FOLDER, "")
        )
        if path:
            settings.setValue(_FOLDER, str(Path(path).parent))
            self.open_folder(path)

    def _choose_file(self) -> None:
        settings = QgsSettings()
        kinds = self.tr("Images") + " (*.tif *.tiff *.vrt *.jp2 *.img);;" + self.tr("All files") + " (*)"
        path, _kind = QFileDialog.getOpenFileName(
            self, self.tr("Open a Sentinel image"), settings.value(_FOLDER, ""), kinds
        )
        if path:
            settings.setValue(_FOLDER, str(Path(path).parent))
            self.open_file(path)

    def _layer_chosen(self, layer: QgsMapLayer | None) -> None:
        self.layerBox.setToolTip(f"{layer.name()}\n{layer.source()}" if layer is not None else "")
        overrules = overrules_of(layer) if layer is not None else {}
        self.info = None
        self._asked = None
        self.state.set_scene(None)
        self.note.say("")
        self._show()
        if layer is not None:
            self._inspect(layer, overrules)

    def _inspect(self, layer: QgsMapLayer, overrules: dict[str, Any]) -> None:
        path = self._path(layer)
        if path is None:
            return
        self.note.say(self.tr("Looking at the image…"))
        asked = self._asked = object()

        def answered(info: dict[str, Any]) -> None:
            # Only the last question counts.
            if asked is self._asked:
                self._answered(layer, path, overrules, info)

        def refused(sentence: str) -> None:
            if asked is self._asked:
                self.fail(sentence)

        self.state.runner.ask(
            lambda client: client.inspect(path, **overrules),
            self.tr("Looking at {}").format(layer.name()),
            answered,
            refused,
        )

    def _path(self, layer: QgsMapLayer) -> str | None:
        if layer.providerType() != "gdal":
            sentence = self.tr(
                "“{}” is a picture from a service ({}), without the measured values an encoder needs; "
                "choose a Sentinel image file."
            )
            self.fail(sentence.format(layer.name(), layer.providerType()))
            return None
        return raster_path(layer)

    def _answered(self, layer: QgsMapLayer, path: str, overrules: dict[str, Any], info: dict[str, Any]) -> None:
        self.note.say("")
        self.info = info
        keep_overrules(layer, overrules)
        if layer.id() in self._opened and style_image(layer, info["bands"]):
            self._opened.discard(layer.id())
        self._show()
        self.state.set_scene(SceneState(layer, path, info, overrules))
        self.inspected.emit(info)

    def _show(self) -> None:
        info = self.info
        self.card.setVisible(info is not None)
        self.bandsGroup.setVisible(info is not None)
        while self.facts.rowCount():
            self.facts.removeRow(0)
        if info is None:
            if self.layer() is None:
                sentence = self.tr("Choose a Sentinel-2 or Sentinel-1 image, or open a file or a folder of band files.")
                self.note.say(sentence)
            return
        self.title.setText(f"<b>{title(info)}</b>")
        self.titleMark.setText(doubts(info, "sensor", "level"))
        self.titleMark.setToolTip(why(info, "sensor", "level"))
        self.titleMark.setVisible(bool(self.titleMark.text()))
        fade(self.titleMark)
        self.simulated.say(self.tr("Simulated scene: not a real place.") if info["simulated"] else "")
        for row in facts(info):
            self.facts.addRow(_cell(row.name, faint=True), _value(row, info))
        self.warnings.say("\n".join(info["warnings"]), "warning")
        sentences, bands_unknown = needs(info)
        self.needs.say("\n".join(sentences), "error")
        self.bands.set_info(info)
        # Opened by itself only when nothing goes on without it.
        self.bandsGroup.setCollapsed(not bands_unknown)


def _value(row: Fact, info: dict[str, Any]) -> QWidget:
    """Make the cell of a value; beneath it, fainter, what is to be doubted, and the reason where the mouse rests."""
    value, doubt = _cell(row.value), doubts(info, *row.fields) if row.fields else ""
    value.setToolTip(why(info, *row.fields))
    if not doubt:
        return value
    cell, mark = QWidget(), _cell(doubt)
    column = QVBoxLayout(cell)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(1)
    for label in (value, mark):
        column.addWidget(label)
    fade(mark)
    mark.setToolTip(value.toolTip())
    return cell


def _cell(text: str, *, faint: bool = False) -> QLabel:
    label = QLabel(text)
    if faint:
        label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        fade(label)
    else:
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
