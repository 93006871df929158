# SPDX-License-Identifier: GPL-2.0-or-later
"""The panel: a dock with the steps Imagery, Features, Labels, Map and Assess.

What plugin.py, the demo and the tests may rely on (everything runs on the GUI thread and returns at once;
results arrive by signal):

``dock = Ssl4eoDock(iface, backend)``; ``dock.show_step("labels")``, ``dock.step()``, ``dock.shutdown()``
    (call it in ``unload``: cancels what runs, gives the canvas its old map tool back).
``dock.failed(str)``: every sentence that any page shows in red.

``dock.imagery``
    ``set_layer(QgsRasterLayer | None)``, ``open_file(path) -> QgsRasterLayer | None``, ``open_folder(path)``,
    ``layer()``, ``info`` (dict of POST /inspect or None),
    ``set_overrules(bands=None, scale=None, offset=None, nodata=None, level=None, unit=None)``;
    signals ``inspected(dict)``, ``failed(str)``.
``dock.features``
    ``set_encoder(id)``, ``encoder_id()``, ``set_mode("fast" | "standard")``, ``mode()``,
    ``set_components(64 | "full")``, ``set_projection(folder | None) -> bool``,
    ``set_second_encoder(id | None, layer=None)``,
    ``open_encoders() -> EncoderTable`` (``choose(id)``, ``download()``, ``import_file(path)``, ``use()``),
    ``set_extent("layer" | "view" | "drawn", rect=None)`` (``rect`` is a QgsRectangle in the scene's CRS),
    ``extent() -> QgsRectangle | None`` (scene's CRS, snapped to its pixels), ``set_output(folder)``,
    ``encode()``, ``cancel()``, ``use(folder)``, ``running()``;
    signals ``encoded(dict)``, ``failed(str)``, ``modelsLoaded(list)``.
``dock.labels``
    ``add_class(name=None, color=None) -> str``, ``select_class(name)``, ``current_class()``,
    ``rename_class(old, new)``, ``recolor_class(name, color)``, ``remove_class(name, ask=True)``,
    ``classes() -> dict[str, QColor]``, ``counts() -> dict[str, int]``,
    ``merge_class(name, into)``, ``reorder_classes(names)``, ``hide_class(name, hide=True)``,
    ``activate_tool("point" | "polygon" | "brush" | "grow" | "delete" | "pick")``, ``deactivate_tool()``,
    ``undo()``, ``redo()``, ``guidance`` (``next()``, ``place()``, ``disagreeing()``),
    ``store`` (SamplesStore or None; ``store.path`` is the GeoPackage);
    signals ``changed()``, ``failed(str)``.
``dock.map``
    ``set_head("auto" | "lda" | "logistic")``, ``classify()``, ``cancel()``, ``layer()``, ``result`` (dict or
    None), ``save_as(path)``, ``running()``; signals ``classified(dict)``, ``failed(str)``.
``dock.assess``
    ``draw(ask=True)``, ``assess()``, ``stepper`` (``begin()``, ``answer(class)``, ``skip()``, ``back()``,
    ``pause()``), ``result`` (dict or None); signals ``drawn(dict)``, ``assessed(dict)``, ``failed(str)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import Qgis, QgsRasterLayer
from qgis.gui import QgsDockWidget
from qgis.PyQt import uic
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QFrame, QScrollArea, QWidget

from ssl4eo_plugin.panel.assess import AssessPage
from ssl4eo_plugin.panel.features import FeaturesPage
from ssl4eo_plugin.panel.imagery import ImageryPage
from ssl4eo_plugin.panel.labels import LabelsPage
from ssl4eo_plugin.panel.map import MapPage
from ssl4eo_plugin.panel.state import PanelState

if TYPE_CHECKING:
    from qgis.gui import QgisInterface
    from qgis.PyQt.QtGui import QHideEvent, QShowEvent

    from ssl4eo_plugin.engine.process import BackendProcess
    from ssl4eo_plugin.panel.page import Page

__all__ = ["Ssl4eoDock"]

_STEPS = ("imagery", "features", "labels", "map", "assess")
_IMAGERY, _FEATURES, _LABELS, _MAP, _ASSESS = range(5)
# Pixels at 96 dpi; the narrowest panel that every page is laid out for.
_NARROWEST = 424
_MESSAGE_SECONDS = 10


class Ssl4eoDock(QgsDockWidget):
    """From image to land-cover map, and how right it is, step by step."""

    failed = pyqtSignal(str)

    def __init__(self, iface: QgisInterface, backend: BackendProcess, parent: QWidget | None = None) -> None:
        """Make the panel; nothing is asked of the backend before it is shown."""
        super().__init__(parent)
        self.setObjectName("ssl4eo_dock")
        self.setWindowTitle(self.tr("SSL4EO land cover"))
        self.setAllowedAreas(Qt.DockWidgetArea.LeftDockWidgetArea | Qt.DockWidgetArea.RightDockWidgetArea)
        self._ended = False
        self.state = PanelState(iface, backend, self)
        contents = QWidget(self)
        uic.loadUi(str(Path(__file__).with_suffix(".ui")), contents)
        contents.setMinimumWidth(_NARROWEST)
        self.setWidget(contents)
        self._steps, self._stack, self._back, self._next = (
            contents.steps, contents.stack, contents.backButton, contents.nextButton
        )  # fmt: skip
        self.imagery = ImageryPage(self.state)
        self.features = FeaturesPage(self.state)
        self.labels = LabelsPage(self.state)
        self.map = MapPage(self.state)
        self.assess = AssessPage(self.state)
        self._names = [
            self.tr("Imagery"), self.tr("Features"), self.tr("Labels"), self.tr("Map"), self.tr("Assess")
        ]  # fmt: skip
        self._pages: list[Page] = [self.imagery, self.features, self.labels, self.map, self.assess]
        for page in self._pages:
            self._stack.addWidget(_scrolled(page))
            page.failed.connect(lambda sentence, page=page: self._page_failed(page, sentence))
        self._steps.set_steps(self._names)
        self._steps.chosen.connect(self._enter)
        self._back.clicked.connect(lambda: self._enter(self._stack.currentIndex() - 1))
        self._next.clicked.connect(lambda: self._enter(self._stack.currentIndex() + 1))
        self.features.encoded.connect(lambda result: self._tell(self.tr("Encoded: {}").format(result["features"])))
        self.map.classified.connect(lambda result: self._tell(self.tr("Classified: {}").format(result["map"])))
        self.map.classified.connect(self._update)
        self.map.classified.connect(self.assess.refresh)
        self.assess.assessed.connect(self._update)
        self.assess.drawn.connect(self._update)
        for changed in (self.state.sceneChanged, self.state.featuresChanged, self.state.samplesChanged):
            changed.connect(self._update)
        project = self.state.project
        project.readProject.connect(self._project_opened)
        project.cleared.connect(self._project_opened)
        project.layersRemoved.connect(self._update)
        self.state.restore()
        self.map.project_read()
        self._go(_IMAGERY)

    def step(self) -> str:
        """Return the step that is shown."""
        return _STEPS[self._stack.currentIndex()]

    def show_step(self, name: str) -> bool:
        """Show a step: `imagery`, `features`, `labels`, `map` or `assess`; False when it makes no sense yet."""
        index = _STEPS.index(name)
        if not self._steps.enabled(index):
            return False
        self._enter(index)
        return True

    def shutdown(self) -> None:
        """Cancel what runs and give the canvas back; the dock is of no use afterwards."""
        if self._ended:
            return
        self._ended = True
        project = self.state.project
        for signal in (project.readProject, project.cleared):
            signal.disconnect(self._project_opened)
        project.layersRemoved.disconnect(self._update)
        self.features.dispose()
        self.labels.dispose()
        self.assess.dispose()
        self.state.shutdown()

    def showEvent(self, event: QShowEvent) -> None:
        """Take up the image of the feature set in use, or the layer that is chosen in QGIS."""
        super().showEvent(event)
        self._take_up_image()
        self.features.set_shown(self.step() == "features")

    def hideEvent(self, event: QHideEvent) -> None:
        """Give the map back when the panel is closed; behind another one in a tab it goes on."""
        super().hideEvent(event)
        if self.isHidden() and not self._ended:
            self.labels.deactivate_tool()
            self.assess.leave()
            self.features.set_shown(False)

    def _enter(self, index: int) -> None:
        self._go(index)
        if index == _LABELS:
            # Only when the user comes here: a project that is being closed must not get its samples back.
            self.labels.find_samples()

    def _go(self, index: int) -> None:
        self._stack.setCurrentIndex(index)
        self._steps.set_current(index)
        self.features.set_shown(index == _FEATURES and self.isVisible())
        if index in (_IMAGERY, _FEATURES):
            self.labels.deactivate_tool()
        if index != _ASSESS:
            self.assess.leave()
        self._update()

    def _update(self, *_: object) -> None:
        scene, features = self.state.scene, self.state.features
        labelled = not self.map.missing()
        mapped = self.map.layer() is not None
        ready = scene is not None and scene.ready
        states = (
            (True, ready, self.tr("Choose the image")),
            (ready or features is not None, features is not None, self.tr("Encode the image")),
            (features is not None, labelled, self.tr("Label places")),
            (features is not None and (labelled or mapped), mapped, self.tr("Classify")),
            (mapped, self.assess.result is not None, self.tr("Say how right the map is")),
        )
        for index, (enabled, done, tip) in enumerate(states):
            self._steps.set_state(index, enabled=enabled, done=done, tip=tip)
        current = self._stack.currentIndex()
        if not states[current][0]:
            self._go(next(index for index in range(current, -1, -1) if states[index][0]))
            return
        self._back.setVisible(current > 0)
        self._next.setVisible(current < _ASSESS)
        if current < _ASSESS:
            self._next.setText(self.tr("Next: {}").format(self._names[current + 1]))
            self._next.setEnabled(states[current + 1][0])

    def _project_opened(self, *_: object) -> None:
        for page in self._pages:
            page.note.say("")
        self.state.restore()
        self.map.project_read()
        self.assess.refresh()
        if self.state.features is not None:
            self._go(_MAP if self.map.layer() is not None else _LABELS)
        if self.isVisible():
            self._take_up_image()

    def _take_up_image(self) -> None:
        if self.imagery.layer() is not None:
            return
        if self.state.features is not None:
            self.imagery.choose_by_path(self.state.features.scene)
            return
        active = self.state.iface.activeLayer()
        if isinstance(active, QgsRasterLayer) and active.providerType() == "gdal":
            self.imagery.set_layer(active)

    def _page_failed(self, page: Page, sentence: str) -> None:
        if not self.isVisible() or self._pages[self._stack.currentIndex()] is not page:
            self._push(sentence, Qgis.MessageLevel.Warning)
        self.failed.emit(sentence)

    def _tell(self, sentence: str) -> None:
        if not self.isVisible():
            self._push(sentence, Qgis.MessageLevel.Success)

    def _push(self, sentence: str, level: Qgis.MessageLevel) -> None:
        self.state.iface.messageBar().pushMessage("SSL4EO", sentence, level, _MESSAGE_SECONDS)


def _scrolled(page: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(page)
    return area
