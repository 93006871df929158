# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of classes: colour, name, samples, how well they are told apart, and the key that chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.gui import QgsColorButton
from qgis.PyQt.QtCore import QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QDropEvent
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["ClassTable"]

_COLOR, _NAME, _COUNT, _HIT, _KEY, _EYE = range(6)
_KEYS = 9
_FEWEST_ROWS, _MOST_ROWS = 4, 12
_NAME_ROLE = Qt.ItemDataRole.UserRole


class ClassTable(QTableWidget):
    """Shows classes and tells what the user wants changed; changes nothing itself."""

    renamed = pyqtSignal(str, str)
    recolored = pyqtSignal(str, QColor)
    # The class that new samples get; "" when there is none.
    chosen = pyqtSignal(str)
    # All names, in the order the user dragged them to.
    reordered = pyqtSignal(list)
    hideAsked = pyqtSignal(str, bool)
    # The class that goes, and the one that gets its samples.
    mergeAsked = pyqtSignal(str, str)
    removeAsked = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(0, 6, parent)
        self._hidden: set[str] = set()
        titles = ["", self.tr("Class"), self.tr("Samples"), self.tr("Indication"), self.tr("Key"), ""]
        self.setHorizontalHeaderLabels(titles)
        self.verticalHeader().setVisible(False)
        self.setShowGrid(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        for column in (_COLOR, _COUNT, _HIT, _KEY, _EYE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.horizontalHeaderItem(_NAME).setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.horizontalHeaderItem(_HIT).setToolTip(
            self.tr(
                "How many of the samples of a class get their own class when their place is left out. Not an accuracy: "
                "clicks are no random sample; the accuracy comes from step Assess."
            )
        )
        self.setColumnHidden(_HIT, True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDragDropOverwriteMode(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.itemChanged.connect(self._item_changed)
        self.cellClicked.connect(self._cell_clicked)
        self.currentCellChanged.connect(lambda *_: self.chosen.emit(self.current()))
        self._fit()

    def current(self) -> str:
        """Return the chosen class, "" when there is none."""
        item = self.item(self.currentRow(), _NAME)
        return item.data(_NAME_ROLE) if item is not None else ""

    def select(self, name: str) -> bool:
        """Choose a class; False when there is none of that name."""
        row = self._row(name)
        if row < 0:
            return False
        self.setCurrentCell(row, _NAME)
        return True

    def name_of_key(self, key: int) -> str:
        """Return the class that a key (1 to 9) chooses, "" when there is none."""
        item = self.item(key - 1, _NAME)
        return item.data(_NAME_ROLE) if item is not None else ""

    def start_renaming(self, name: str) -> None:
        """Open the editor on a class's name."""
        row = self._row(name)
        if row >= 0:
            self.setFocus()
            self.editItem(self.item(row, _NAME))

    def show_indications(self, shares: Mapping[str, float]) -> None:
        """Show the share of each class's samples that is called right, 0 to 1; without any the column is hidden."""
        self.setColumnHidden(_HIT, not shares)
        self.blockSignals(True)
        for row, name in enumerate(self._names()):
            share = shares.get(name)
            self.item(row, _HIT).setText("–" if share is None else f"{share:.0%}")
        self.blockSignals(False)

    def show_classes(
        self, colors: Mapping[str, QColor], counts: Mapping[str, int], hidden: Collection[str] = ()
    ) -> None:
        """Show the classes; the chosen one stays chosen, the first is when none was."""
        self._hidden = set(hidden)
        current, same = self.current(), list(colors) == self._names()
        self.blockSignals(True)
        if not same:
            self.setRowCount(0)
            self.setRowCount(len(colors))
        for row, (name, color) in enumerate(colors.items()):
            if not same:
                self._make_row(row, name)
            button = self.cellWidget(row, _COLOR).findChild(QgsColorButton)
            button.blockSignals(True)
            button.setColor(color)
            button.blockSignals(False)
            # Shows the name as stored after one that was refused.
            self.item(row, _NAME).setText(name)
            self.item(row, _COUNT).setText(str(counts.get(name, 0)))
            self._show_eye(row, name)
        self.blockSignals(False)
        if not same:
            self._fit()
            if not self.select(current) and colors:
                self.setCurrentCell(0, _NAME)
            self.chosen.emit(self.current())

    def _make_row(self, row: int, name: str) -> None:
        button = QgsColorButton(None, self.tr("Colour of “{}”").format(name))
        button.setShowMenu(False)
        button.setFixedSize(38, 22)
        button.setToolTip(self.tr("Change the colour"))
        button.colorChanged.connect(lambda color: self.recolored.emit(name, color))
        cell = QWidget()
        layout = QHBoxLayout(cell)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addWidget(button)
        self.setCellWidget(row, _COLOR, cell)
        title = QTableWidgetItem(name)
        title.setData(_NAME_ROLE, name)
        title.setToolTip(self.tr("{} (double click to rename, drag to reorder, right click for more)").format(name))
        self.setItem(row, _NAME, title)
        for column, text in ((_COUNT, ""), (_HIT, "–"), (_KEY, str(row + 1) if row < _KEYS else ""), (_EYE, "")):
            item = QTableWidgetItem(text)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDragEnabled)
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.setItem(row, column, item)

    def _show_eye(self, row: int, name: str) -> None:
        hidden = name in self._hidden
        eye = self.item(row, _EYE)
        icon = "/mActionHideAllLayers.svg" if hidden else "/mActionShowAllLayers.svg"
        eye.setIcon(QgsApplication.getThemeIcon(icon))
        eye.setToolTip(
            self.tr("The live map does not draw “{}”; click to draw it").format(name)
            if hidden
            else self.tr("The live map draws “{}”; click to hide it").format(name)
        )
        font = self.item(row, _NAME).font()
        font.setItalic(hidden)
        self.item(row, _NAME).setFont(font)

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell the order that the user wants; the table follows when the classes have it."""
        place = event.position().toPoint() if hasattr(event, "position") else event.pos()
        names, moved = self._names(), self.current()
        row = self.rowAt(place.y())
        if row < 0:
            row = len(names)
        elif place.y() > self.rowViewportPosition(row) + self.rowHeight(row) // 2:
            row += 1
        before = [name for name in names[:row] if name != moved]
        order = [*before, moved, *(name for name in names[row:] if name != moved)]
        # Else Qt would move the cells itself, and leave the colour behind.
        event.setDropAction(Qt.DropAction.IgnoreAction)
        event.accept()
        if moved and order != names:
            self.reordered.emit(order)

    def menu(self, name: str) -> QMenu:
        """Return the menu of a class."""
        menu = QMenu(self)
        names, hidden = self._names(), name in self._hidden
        menu.addAction(self.tr("Rename"), lambda: self.start_renaming(name))
        shown = self.tr("Draw in the live map") if hidden else self.tr("Hide in the live map")
        menu.addAction(shown, lambda: self.hideAsked.emit(name, not hidden))
        place = names.index(name)
        up, down = ([*names], [*names])
        up.insert(max(0, place - 1), up.pop(place))
        down.insert(place + 1, down.pop(place))
        menu.addAction(self.tr("Move up"), lambda: self.reordered.emit(up)).setEnabled(place > 0)
        menu.addAction(self.tr("Move down"), lambda: self.reordered.emit(down)).setEnabled(place < len(names) - 1)
        merge = menu.addMenu(self.tr("Merge into"))
        merge.setEnabled(len(names) > 1)
        for other in names:
            if other != name:
                merge.addAction(other, lambda other=other: self.mergeAsked.emit(name, other))
        menu.addSeparator()
        menu.addAction(self.tr("Remove with its samples…"), lambda: self.removeAsked.emit(name))
        return menu

    def _show_menu(self, place: QPoint) -> None:
        item = self.item(self.rowAt(place.y()), _NAME)
        if item is not None:
            self.menu(item.data(_NAME_ROLE)).popup(self.viewport().mapToGlobal(place))

    def _cell_clicked(self, row: int, column: int) -> None:
        if column == _EYE:
            name = self.item(row, _NAME).data(_NAME_ROLE)
            self.hideAsked.emit(name, name not in self._hidden)

    def _names(self) -> list[str]:
        return [self.item(row, _NAME).data(_NAME_ROLE) for row in range(self.rowCount())]

    def _row(self, name: str) -> int:
        names = self._names()
        return names.index(name) if name in names else -1

    def _item_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == _NAME and item.text() != item.data(_NAME_ROLE):
            self.renamed.emit(item.data(_NAME_ROLE), item.text())

    def _fit(self) -> None:
        rows = min(max(self.rowCount(), _FEWEST_ROWS), _MOST_ROWS)
        height = self.horizontalHeader().sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height + rows * self.verticalHeader().defaultSectionSize())
