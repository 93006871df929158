# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of classes: colour, name, number of samples, and the key that chooses it on the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.gui import QgsColorButton
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ClassTable"]

_COLOR, _NAME, _COUNT, _KEY = range(4)
_KEYS = 9
_FEWEST_ROWS, _MOST_ROWS = 4, 12
_NAME_ROLE = Qt.ItemDataRole.UserRole


class ClassTable(QTableWidget):
    """Shows classes and tells what the user wants changed; changes nothing itself."""

    renamed = pyqtSignal(str, str)
    recolored = pyqtSignal(str, QColor)
    # The class that new samples get; "" when there is none.
    chosen = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(0, 4, parent)
        self.setHorizontalHeaderLabels(["", self.tr("Class"), self.tr("Samples"), self.tr("Key")])
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
        for column in (_COLOR, _COUNT, _KEY):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.horizontalHeaderItem(_NAME).setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.itemChanged.connect(self._item_changed)
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

    def show_classes(self, colors: Mapping[str, QColor], counts: Mapping[str, int]) -> None:
        """Show the classes; the chosen one stays chosen, the first is when none was."""
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
        title.setToolTip(self.tr("{} (double click to rename)").format(name))
        self.setItem(row, _NAME, title)
        for column, text in ((_COUNT, ""), (_KEY, str(row + 1) if row < _KEYS else "")):
            item = QTableWidgetItem(text)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.setItem(row, column, item)

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
