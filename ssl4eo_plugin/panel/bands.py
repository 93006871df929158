# SPDX-License-Identifier: GPL-2.0-or-later
"""The form where the user says what an image does not: which band is which, scale and offset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.PyQt import uic
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QHeaderView, QTableWidgetItem, QWidget

from ssl4eo_plugin.panel.scene_facts import S2_BANDS

__all__ = ["BandsForm"]

# Rows shown before the table scrolls.
_ROWS_SHOWN = 13


class BandsForm(QWidget):
    """One row per band of the file; nothing happens before Apply."""

    # Band names by number ("1": "B02") or None, scale or None, offset or None: None is "as in the file".
    applied = pyqtSignal(object, object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty form."""
        super().__init__(parent)
        uic.loadUi(str(Path(__file__).with_suffix(".ui")), self)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.applyButton.clicked.connect(self._apply)
        self.resetButton.clicked.connect(lambda: self.applied.emit(None, None, None))

    def set_info(self, info: dict[str, Any]) -> None:
        """Show what `inspect` said."""
        names = info["bands"]
        self.table.setRowCount(len(names))
        for row, name in enumerate(names):
            self.table.setItem(row, 0, QTableWidgetItem(self.tr("Band {}").format(row + 1)))
            self.table.setCellWidget(row, 1, self._choice(name))
        rows = min(len(names), _ROWS_SHOWN)
        height = self.table.horizontalHeader().sizeHint().height() + 2 * self.table.frameWidth()
        self.table.setFixedHeight(height + sum(self.table.rowHeight(row) for row in range(rows)))
        self.scale.setValue(info["quantification"])
        self.offset.setValue(info["offset"])

    def choose(self, names: list[str | None]) -> None:
        """Set the bands as if by hand."""
        for row, name in enumerate(names):
            box = self.table.cellWidget(row, 1)
            box.setCurrentIndex(max(0, box.findData(name)))

    def _choice(self, name: str | None) -> QComboBox:
        box = QComboBox()
        box.addItem(self.tr("not used"), None)
        for band in S2_BANDS:
            box.addItem(band, band)
        box.setCurrentIndex(max(0, box.findData(name)))
        # Else the wheel that scrolls the page changes a band.
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.wheelEvent = lambda event: event.ignore()
        return box

    def _apply(self) -> None:
        bands = {}
        for row in range(self.table.rowCount()):
            name = self.table.cellWidget(row, 1).currentData()
            if name is not None:
                bands[str(row + 1)] = name
        # A divisor; the backend takes one over 1 as such, and exactly 1 is reflectance.
        self.applied.emit(bands or None, self.scale.value(), self.offset.value())
