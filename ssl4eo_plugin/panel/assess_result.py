# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of an assessment with their 95 % intervals, as a sentence and a table."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

__all__ = ["ResultTable", "overall_words"]

_CLASS, _USERS, _PRODUCERS, _AREA = range(4)
_MOST_ROWS = 12
# Hectares in a square kilometre; areas over ten of them are given in these.
_KM2, _LARGE = 100.0, 1000.0

translate = QCoreApplication.translate


def overall_words(result: dict[str, Any]) -> str:
    """Return the overall accuracy in one sentence."""
    sentence = translate("Assess", "Overall accuracy {} from {} points (95 % interval).")
    return sentence.format(_percent(result["overall"]), result["points"])


class ResultTable(QTableWidget):
    """One row per class: user's and producer's accuracy, and its area on the ground."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty table."""
        super().__init__(0, 4, parent)
        self.setHorizontalHeaderLabels([self.tr("Class"), self.tr("User's"), self.tr("Producer's"), self.tr("Area")])
        tips = {
            _USERS: self.tr("Of what the map calls this class, the share that is it"),
            _PRODUCERS: self.tr("Of what is this class, the share that the map calls so"),
            _AREA: self.tr("Estimated from the points, which corrects for what the map gets wrong"),
        }
        for column, tip in tips.items():
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.verticalHeader().setVisible(False)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_CLASS, QHeaderView.ResizeMode.Stretch)

    def show_result(self, result: dict[str, Any]) -> None:
        """Show what the job `assess` answered."""
        classes = result["classes"]
        self.setRowCount(len(classes))
        large = any((row["area_ha"] or {"value": 0})["value"] > _LARGE for row in classes.values())
        unit = self.tr("km²") if large else self.tr("ha")
        self.horizontalHeaderItem(_AREA).setText(self.tr("Area ({})").format(unit))
        for number, (name, row) in enumerate(classes.items()):
            area = _figure(row["area_ha"], 1 / _KM2 if large else 1.0)
            for column, text in enumerate((name, _percent(row["users"]), _percent(row["producers"]), area)):
                item = QTableWidgetItem(text)
                item.setToolTip(name if column == _CLASS else "")
                if column != _CLASS:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(number, column, item)
        rows = min(len(classes), _MOST_ROWS)
        height = self.horizontalHeader().sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height + rows * self.verticalHeader().defaultSectionSize())


def _percent(figure: dict[str, float | None] | None) -> str:
    if figure is None:
        return "–"
    value, half = figure["value"], figure["interval"]
    return f"{value:.0%}" if half is None else f"{value * 100:.0f} ± {half * 100:.0f} %"


def _figure(figure: dict[str, float | None] | None, factor: float) -> str:
    if figure is None:
        return "–"
    value, half = figure["value"] * factor, figure["interval"]
    # As many decimals as the smaller areas need.
    decimals = 0 if value >= 100 else 1
    words = f"{value:.{decimals}f}"
    return words if half is None else f"{words} ± {half * factor:.{decimals}f}"
