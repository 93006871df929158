# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of the project's feature sets, and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QObject, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QIcon, QPixmap
from qgis.PyQt.QtWidgets import QFileDialog, QTreeWidget, QTreeWidgetItem

from ssl4eo_plugin.panel.scene_facts import pixels

if TYPE_CHECKING:
    from pathlib import Path

    from qgis.PyQt.QtWidgets import QLabel, QPushButton

    from ssl4eo_plugin.canvas.feature_folder import FeatureFolder
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["SetsChooser", "chosen_set", "fill_sets"]

# Rows shown before the list scrolls.
_MOST_ROWS = 5
_PATH = Qt.ItemDataRole.UserRole


class SetsChooser(QObject):
    """Four widgets of the Features page: the list, its label, Use, and a way to a folder that is not in the list."""

    # The folder of a feature set.
    chosen = pyqtSignal(str)

    def __init__(
        self, state: PanelState, label: QLabel, tree: QTreeWidget, use: QPushButton, other: QPushButton, parent: QObject
    ) -> None:
        """Take the widgets over; `show` fills them."""
        super().__init__(parent)
        self._state, self._label, self._tree, self._use, self._other = state, label, tree, use, other
        tree.itemDoubleClicked.connect(self._use_chosen)
        tree.currentItemChanged.connect(self._show_buttons)
        use.clicked.connect(self._use_chosen)
        other.clicked.connect(self._choose_folder)
        state.featuresChanged.connect(self.show)

    def show(self) -> None:
        """Look at the disk again and list what is there."""
        sets = self._state.feature_sets()
        for widget in (self._label, self._tree, self._use):
            widget.setVisible(bool(sets))
        self._other.setText(self.tr("Add…") if sets else self.tr("Use an existing feature set…"))
        used = self._state.features.path if self._state.features is not None else None
        fill_sets(self._tree, sets, used)
        self._show_buttons()

    def _show_buttons(self, *_: object) -> None:
        chosen, used = chosen_set(self._tree), self._state.features
        self._use.setEnabled(chosen is not None and (used is None or chosen != str(used.path)))

    def _use_chosen(self, *_: object) -> None:
        chosen = chosen_set(self._tree)
        if chosen is not None:
            self.chosen.emit(chosen)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self._tree.window(), self.tr("Choose a feature set"), str(self._state.home())
        )
        if folder:
            self.chosen.emit(folder)


def fill_sets(tree: QTreeWidget, sets: list[FeatureFolder], used: Path | None) -> None:
    """Show the feature sets, the one in use ticked and in bold."""
    tree.clear()
    tick = QgsApplication.getThemeIcon("/mIconSuccess.svg")
    # As wide as the tick, so that the names stand in line.
    gap = QPixmap(tree.iconSize() if tree.iconSize().isValid() else QSize(16, 16))
    gap.fill(Qt.GlobalColor.transparent)
    for features in sets:
        size = pixels(features.width, features.height)
        item = QTreeWidgetItem([f"{features.name}\n{size}, {features.crs.authid()}"])
        item.setData(0, _PATH, str(features.path))
        item.setToolTip(0, f"{features.path}\n{features.encoder_title} ({features.encoder})\n{features.scene}")
        in_use = features.path == used
        item.setIcon(0, tick if in_use else QIcon(gap))
        font = item.font(0)
        font.setBold(in_use)
        item.setFont(0, font)
        tree.addTopLevelItem(item)
    rows = min(max(1, len(sets)), _MOST_ROWS)
    row = tree.sizeHintForRow(0) if sets else 2 * tree.fontMetrics().height()
    tree.setFixedHeight(rows * row + 2 * tree.frameWidth() + 2)


def chosen_set(tree: QTreeWidget) -> str | None:
    """Return the folder of the chosen row."""
    item = tree.currentItem()
    return item.data(0, _PATH) if item is not None else None
