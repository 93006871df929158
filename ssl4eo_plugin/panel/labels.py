# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 3, Labels: classes, and the samples that clicks on the map make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeySequence
from qgis.PyQt.QtWidgets import QAction, QDialog, QMenu, QMessageBox

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.sample_tool import BRUSH, DELETE, GROW, PICK, POINT, POLYGON
from ssl4eo_plugin.panel.class_import import ClassImportDialog, ask_csv
from ssl4eo_plugin.panel.class_table import ClassTable
from ssl4eo_plugin.panel.guidance import Guidance
from ssl4eo_plugin.panel.labeller import Labeller
from ssl4eo_plugin.panel.live_bar import LiveBar
from ssl4eo_plugin.panel.page import Page
from ssl4eo_plugin.panel.widgets import breakable, mark_checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.canvas.class_import import Classes
    from ssl4eo_plugin.canvas.samples_store import SamplesStore
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["LabelsPage"]

# Milliseconds that a message stays in the status bar.
_MESSAGE_TIME = 4000
_REDO = (QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y"))


class LabelsPage(Page):
    """The class table, and the tools that label the map."""

    changed = pyqtSignal()

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form; the samples file is made with the first class or sample."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        # Not in the form: uic empties every table it loads, columns included.
        self.table = ClassTable(self)
        self.tablePlace.addWidget(self.table)
        self.live_bar = LiveBar(state)
        self.livePlace.addWidget(self.live_bar)
        self.guidance = Guidance(state, self)
        self.guidancePlace.addWidget(self.guidance)
        self.labeller = Labeller(state, self.table, self.guidance, self)
        self._buttons = {
            POINT: self.pointButton,
            POLYGON: self.polygonButton,
            BRUSH: self.brushButton,
            GROW: self.growButton,
            DELETE: self.deleteButton,
            PICK: self.pickButton,
        }
        self._complaining: SamplesStore | None = None
        self._dress_buttons()
        self._connect()
        self._add_shortcut(QKeySequence(QKeySequence.StandardKey.Undo), action=self.undo)
        self._add_shortcut(*_REDO, action=self.redo)
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

    def merge_class(self, name: str, into: str) -> None:
        """Give the samples of a class to another one and take it off the list."""
        self._change(lambda store: store.merge_class(name, into))
        self.table.select(into)

    def reorder_classes(self, names: list[str]) -> None:
        """Put the classes into another order, which is that of their codes in the map and of their keys."""
        self._change(lambda store: store.reorder_classes(names))

    def hide_class(self, name: str, hide: bool = True) -> None:
        """Let the live map draw a class or not."""
        self._change(lambda store: store.hide_class(name, hide))

    def import_classes(self, classes: Classes) -> None:
        """Add the classes of a list that are not there yet."""
        try:
            added = self.state.ensure_store().import_classes(classes)
        except CanvasError as error:
            self.fail(str(error))
            return
        words = self.tr("Added {} of {} classes; the others were there already.")
        self.note.say(words.format(added, len(classes)) if added < len(classes) else "")

    def activate_tool(self, mode: str = POINT) -> None:
        """Take the map tool, in a mode of `SampleTool`; without a class the first is added."""
        if mode not in (DELETE, PICK) and not self.classes() and not self.add_class():
            self._show_tool()
            return
        self.labeller.activate(mode)

    def deactivate_tool(self) -> None:
        """Give the map back to the tool that had it before."""
        self.labeller.deactivate()

    def tool_mode(self) -> str:
        """Return the mode of the map tool, "" when it is not active."""
        return self.labeller.mode()

    def undo(self) -> None:
        """Take back the last step, one on samples or classes."""
        self._change(lambda store: store.undo())

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._change(lambda store: store.redo())

    def dispose(self) -> None:
        """Give the canvas back as it was."""
        self.labeller.dispose()
        self.guidance.dispose()

    def _dress_buttons(self) -> None:
        icons = {
            self.pointButton: "/mActionCapturePoint.svg",
            self.polygonButton: "/mActionCapturePolygon.svg",
            self.brushButton: "/propertyicons/symbology.svg",
            self.growButton: "/mActionFillRing.svg",
            self.deleteButton: "/mActionDeleteSelectedFeatures.svg",
            self.pickButton: "/mIconColorPicker.svg",
            self.undoButton: "/mActionUndo.svg",
            self.redoButton: "/mActionRedo.svg",
        }
        for button, icon in icons.items():
            button.setIcon(QgsApplication.getThemeIcon(icon))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setAutoRaise(True)
        for button in (self.undoButton, self.redoButton):
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        for mode, button in self._buttons.items():
            button.setCheckable(True)
            mark_checked(button)
            button.clicked.connect(
                lambda checked, mode=mode: self.activate_tool(mode) if checked else self.deactivate_tool()
            )
        self.addButton.setIcon(QgsApplication.getThemeIcon("/symbologyAdd.svg"))
        self.removeButton.setIcon(QgsApplication.getThemeIcon("/symbologyRemove.svg"))
        self.moreButton.setMenu(QMenu(self.moreButton))

    def _connect(self) -> None:
        self.table.renamed.connect(self.rename_class)
        self.table.recolored.connect(self.recolor_class)
        self.table.chosen.connect(self._class_chosen)
        self.table.reordered.connect(self.reorder_classes)
        self.table.hideAsked.connect(self.hide_class)
        self.table.mergeAsked.connect(self.merge_class)
        self.table.removeAsked.connect(self.remove_class)
        self.addButton.clicked.connect(self._add_and_rename)
        self.removeButton.clicked.connect(lambda: self.remove_class(self.current_class()))
        self.moreButton.menu().aboutToShow.connect(self._fill_menu)
        self.undoButton.clicked.connect(self.undo)
        self.redoButton.clicked.connect(self.redo)
        labeller = self.labeller
        labeller.failed.connect(self.fail)
        labeller.settled.connect(lambda: self.note.say(""))
        labeller.changed.connect(self._show_tool)
        labeller.hovered.connect(self._say_hover)
        labeller.tool.radiusChanged.connect(self.tipSlider.setValue)
        self.tipSlider.setValue(labeller.tool.radius)
        self.tipSlider.valueChanged.connect(labeller.tool.set_radius)
        self.guidance.indicated.connect(self.table.show_indications)
        # Class keys go to the tool, so that it needs the map.
        self.guidance.arrived.connect(lambda: self.activate_tool() if not self.tool_mode() else None)
        self.state.samplesChanged.connect(self._show)
        self.state.featuresChanged.connect(self._show)

    def _add_shortcut(self, *keys: QKeySequence, action: Callable[[], None]) -> None:
        shortcut = QAction(self)
        shortcut.setShortcuts(list(keys))
        shortcut.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.triggered.connect(action)
        self.addAction(shortcut)

    def _change(self, change: Callable[[SamplesStore], object]) -> None:
        if self.store is not None and not self.labeller.change(change):
            # What the table shows may be what was refused.
            self._show()

    def _fill_menu(self) -> None:
        menu = self.moreButton.menu()
        menu.clear()
        name = self.current_class()
        if name:
            # Copied into this one, which has its place under the button.
            menu.addActions(self.table.menu(name).actions())
            menu.addSeparator()
        menu.addAction(self.tr("Import classes from a layer…"), self._import_layer)
        menu.addAction(self.tr("Import classes from a table (CSV)…"), self._import_csv)

    def _import_layer(self) -> None:
        dialog = ClassImportDialog(self)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return
        try:
            self.import_classes(dialog.classes())
        except CanvasError as error:
            self.fail(str(error))

    def _import_csv(self) -> None:
        kinds = self.tr("Tables") + " (*.csv *.txt *.tsv);;" + self.tr("All files") + " (*)"
        try:
            classes = ask_csv(self, self.tr("Import classes from a table"), kinds)
        except CanvasError as error:
            self.fail(str(error))
            return
        if classes is not None:
            self.import_classes(classes)

    def _say_hover(self, words: str) -> None:
        self.hoverLabel.setText(self.tr("Under the cursor: {}").format(words or "–"))
        window = self.state.iface.mainWindow()
        if words and hasattr(window, "statusBar"):
            window.statusBar().showMessage(words, _MESSAGE_TIME)

    def _add_and_rename(self) -> None:
        name = self.add_class()
        if name:
            self.table.start_renaming(name)

    def _confirmed(self, name: str, samples: int) -> bool:
        question = self.tr("Remove the class “{}” and its {} samples?").format(name, samples)
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(self, self.tr("Remove class"), question, buttons.Yes | buttons.No, buttons.No)
        return answer == buttons.Yes

    def _class_chosen(self, name: str) -> None:
        self.labeller.set_color(self.classes().get(name, QColor("white")))
        self.state.live_map.set_class(name)
        self._show_tool()

    def _show(self) -> None:
        store = self.store
        if store is not self._complaining:
            self._complaining = store
            if store is not None:
                store.complained.connect(self.fail)
        self.table.show_classes(self.classes(), self.counts(), store.hidden() if store is not None else ())
        self.table.setVisible(bool(self.classes()))
        self.addButton.setEnabled(self.state.features is not None)
        self.removeButton.setVisible(bool(self.classes()))
        self.moreButton.setEnabled(self.state.features is not None)
        self.undoButton.setEnabled(store is not None and store.can_undo())
        self.redoButton.setEnabled(store is not None and store.can_redo())
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
        self.tipRow.setVisible(mode in (BRUSH, DELETE))
        self.hoverLabel.setVisible(bool(mode) and self.state.live is not None)
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
            BRUSH: self.tr("Hold the left button and paint over “{}”; the space bar held pans the map.").format(name),
            GROW: self.tr("Click a place that is “{}”; what looks like it around becomes an area.").format(name),
            DELETE: self.tr("Click a sample to delete it, or drag to rub out what lies under the ring."),
            PICK: self.tr("Click a sample or the live map to choose the class there."),
        }.get(mode, self.tr("Choose a tool, then label the map. A few samples per class are enough to start."))
