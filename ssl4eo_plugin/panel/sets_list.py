# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of the project's feature sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QIcon, QPixmap
from qgis.PyQt.QtWidgets import QTreeWidget, QTreeWidgetItem

from ssl4eo_plugin.panel.scene_facts import pixels

if TYPE_CHECKING:
    from pathlib import Path

    from ssl4eo_plugin.canvas.feature_folder import FeatureFolder

__all__ = ["chosen_set", "fill_sets"]

# Rows shown before the list scrolls.
_MOST_ROWS = 5
_PATH = Qt.ItemDataRole.UserRole


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
