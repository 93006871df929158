# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 3, Labels: classes, and the samples that clicks on the map make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsApplication, QgsGeometry, QgsPointXY
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeySequence
from qgis.PyQt.QtWidgets import QAction, QMessageBox

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.sample_tool import DELETE, POINT, POLYGON, SampleTool
from ssl4eo_plugin.panel.class_table import ClassTable
from ssl4eo_plugin.panel.page import Page
from ssl4eo_plugin.panel.widgets import breakable, mark_checked

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.canvas.samples_store import SamplesStore
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["LabelsPage"]


class LabelsPage(Page):
    """The class table, and the tool that labels the map."""

    changed = pyqtSignal()

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form; the samples file is made with the first class or sample."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        # Not in the form: uic empties every table it loads, columns included.
        self.table = ClassTable(self)
        self.tablePlace.addWidget(self.table)
        self._tool = SampleTool(state.canvas)
        self._tool_before = None
        self._buttons = {POINT: self.pointButton, POLYGON: self.polygonButton, DELETE: self.deleteButton}
        self._dress_buttons()
        self._connect_tool()
        self.table.renamed.connect(self.rename_class)
        self.table.recolored.connect(self.recolor_class)
        self.table.chosen.connect(self._class_chosen)
        self.addButton.clicked.connect(self._add_and_rename)
        self.removeButton.clicked.connect(lambda: self.remove_class(self.current_class()))
        self.undoButton.clicked.connect(self.undo)
        undo = QAction(self.undoButton.text(), self)
        undo.setShortcut(QKeySequence(QKeySequence.StandardKey.Undo))
        undo.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        undo.triggered.connect(self.undo)
        self.addAction(undo)
        state.samplesChanged.connect(self._show)
        state.featuresChanged.connect(self._show)
        self._show()

    @property
    def store(self) -> SamplesStore | None:
        """The samples file, None before the first class or sample."""
        return self.state.store

    def classes(self) -> dict[str, QColor]:
        """Return the colour of each class, in the order of the table."""
        return self.store.classes() if self.store is not None else {}

    def counts(self) -> dict[str, int]:
        """Return the number of samples of each class."""
        return self.store.counts() if self.store is not None else {}

    def current_class(self) -> str:
        """Return the class that new samples get, "" when there is none."""
        return str(self.table.current())

    def select_class(self, name: str) -> None:
        """Choose the class that new samples get."""
        if not self.table.select(name):
            self.fail(self.tr("There is no class “{}”; add it first.").format(name))

    def add_class(self, name: str | None = None, color: QColor | str | None = None) -> str:
        """Add a class, choose it and return its name; "" and `failed` when the name cannot be used."""
        try:
            color = QColor(color) if color is not None else None
            name = self.state.ensure_store().add_class(name, color)
        except CanvasError as error:
            self.fail(str(error))
            return ""
        self.note.say("")
        self.table.select(name)
        return name

    def rename_class(self, old: str, new: str) -> None:
        """Rename a class and its samples."""
        self._change(lambda store: store.rename_class(old, new))
        self.table.select(" ".join(new.split()))

    def recolor_class(self, name: str, color: QColor | str) -> None:
        """Give a class another colour."""
        self._change(lambda store: store.recolor_class(name, QColor(color)))

    def remove_class(self, name: str, ask: bool = True) -> None:
        """Remove a class and its samples, after asking when it has some."""
        samples = self.counts().get(name)
        if samples is None:
            return
        if samples and ask and not self._confirmed(name, samples):
            return
        self._change(lambda store: store.remove_class(name))

    def find_samples(self) -> None:
        """Take up the samples that lie where new ones would go, such as those of an earlier session."""
        try:
            found = self.state.open_found_store()
        except CanvasError as error:
            self.fail(str(error))
            return
        if found and self.counts():
            words = self.tr("Found {} samples in “{}”.")
            self.note.say(words.format(sum(self.counts().values()), self.store.path.name))

    def activate_tool(self, mode: str = POINT) -> None:
        """Take the map tool: `point`, `polygon` or `delete`; without a class the first is added."""
        if mode != DELETE and not self.classes() and not self.add_class():
            self._show_tool()
            return
        canvas = self.state.canvas
        self._tool.set_mode(mode)
        if canvas.mapTool() is not self._tool:
            self._tool_before = canvas.mapTool()
            canvas.setMapTool(self._tool)
        # The keys 1 to 9 go to the tool from now on.
        canvas.setFocus()
        self._show_tool()

    def deactivate_tool(self) -> None:
        """Give the map back to the tool that had it before."""
        canvas = self.state.canvas
        if canvas.mapTool() is self._tool:
            if self._tool_before is not None:
                canvas.setMapTool(self._tool_before)
            else:
                canvas.unsetMapTool(self._tool)
        self._show_tool()

    def tool_mode(self) -> str:
        """Return the mode of the map tool, "" when it is not active."""
        return self._tool.mode if self.state.canvas.mapTool() is self._tool else ""

    def undo(self) -> None:
        """Take back the last sample added, sample removed or class removed."""
        self._change(lambda store: store.undo())

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self.deactivate_tool()
        self._tool.dispose()

    def _dress_buttons(self) -> None:
        icons = {
            self.pointButton: "/mActionCapturePoint.svg",
            self.polygonButton: "/mActionCapturePolygon.svg",
            self.deleteButton: "/mActionDeleteSelectedFeatures.svg",
            self.undoButton: "/mActionUndo.svg",
        }
        for button, icon in icons.items():
            button.setIcon(QgsApplication.getThemeIcon(icon))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for mode, button in self._buttons.items():
            button.setCheckable(True)
            mark_checked(button)
            button.clicked.connect(
                lambda checked, mode=mode: self.activate_tool(mode) if checked else self.deactivate_tool()
            )
        self.addButton.setIcon(QgsApplication.getThemeIcon("/symbologyAdd.svg"))
        self.removeButton.setIcon(QgsApplication.getThemeIcon("/symbologyRemove.svg"))

    def _connect_tool(self) -> None:
        tool = self._tool
        tool.pointPlaced.connect(self._point_placed)
        tool.areaDrawn.connect(self._add_sample)
        tool.removeAsked.connect(self._remove_at)
        tool.classAsked.connect(lambda key: self.table.select(self.table.name_of_key(key)))
        tool.undoAsked.connect(self.undo)
        tool.complained.connect(lambda words: self.fail(words) if words else self.note.say(""))
        tool.deactivated.connect(self._show_tool)
        self.state.canvas.mapToolSet.connect(self._show_tool)

    def _change(self, change) -> None:  # noqa: ANN001 - a callable on the store
        if self.store is None:
            return
        try:
            change(self.store)
        except CanvasError as error:
            self.fail(str(error))
            self._show()
        else:
            self.note.say("")

    def _add_and_rename(self) -> None:
        name = self.add_class()
        if name:
            self.table.start_renaming(name)

    def _confirmed(self, name: str, samples: int) -> bool:
        question = self.tr("Remove the class “{}” and its {} samples?").format(name, samples)
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(self, self.tr("Remove class"), question, buttons.Yes | buttons.No, buttons.No)
        return answer == buttons.Yes

    def _point_placed(self, point: QgsPointXY) -> None:
        self._add_sample(QgsGeometry.fromPointXY(point))

    def _add_sample(self, geometry: QgsGeometry) -> None:
        name, features = self.current_class(), self.state.features
        crs = self.state.canvas.mapSettings().destinationCrs()
        if not name:
            self.fail(self.tr("There is no class to give to this sample; add one first."))
        elif features is None:
            self.fail(self.tr("There is no feature set in use; encode an image first."))
        elif not features.contains(geometry, crs):
            self.fail(self.tr("This place lies outside the encoded extent; click inside it or encode a larger one."))
        else:
            self._change(lambda store: store.add(geometry, crs, name))

    def _remove_at(self, point: QgsPointXY, radius: float) -> None:
        crs = self.state.canvas.mapSettings().destinationCrs()
        self._change(lambda store: store.remove_at(point, crs, radius))

    def _class_chosen(self, name: str) -> None:
        self._tool.set_color(self.classes().get(name, QColor("white")))
        self._show_tool()

    def _show(self) -> None:
        store = self.store
        self.table.show_classes(self.classes(), self.counts())
        self.table.setVisible(bool(self.classes()))
        self.addButton.setEnabled(self.state.features is not None)
        self.removeButton.setVisible(bool(self.classes()))
        self.undoButton.setEnabled(store is not None and store.can_undo())
        if store is None:
            self.stored.setText("")
        else:
            words = self.tr("{} samples in {}").format(sum(self.counts().values()), store.path.name)
            self.stored.setText(breakable(words))
            self.stored.setToolTip(str(store.path))
        self._show_tool()
        self.changed.emit()

    def _show_tool(self, *_: object) -> None:
        mode = self.tool_mode()
        for name, button in self._buttons.items():
            button.setChecked(name == mode)
            button.setEnabled(self.state.features is not None)
        self.hint.setText(breakable(self._hint(mode)))

    def _hint(self, mode: str) -> str:
        if self.state.features is None:
            return self.tr("Encode an image first; then label it here.")
        if not self.classes() and not mode:
            return self.tr("Add a class for each kind of land cover, then click places where you know it.")
        name = self.current_class()
        return {
            POINT: self.tr("Click places that are “{}”. Keys 1 to 9 choose the class.").format(name),
            POLYGON: self.tr(
                "Click the corners of an area that is “{}”; right click ends it, Backspace takes a corner back."
            ).format(name),
            DELETE: self.tr("Click a sample to delete it."),
        }.get(mode, self.tr("Choose Point or Area, then click the map. A few samples per class are enough to start."))
