# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoders as a table that can be sorted and searched, with a progress bar where one is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QModelIndex, QObject, QSortFilterProxyModel, Qt
from qgis.PyQt.QtGui import QIcon, QPainter, QStandardItem, QStandardItemModel
from qgis.PyQt.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionProgressBar, QStyleOptionViewItem

from ssl4eo_plugin.panel import encoder_words as words

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.encoder_library import EncoderLibrary

__all__ = ["STATE", "EncoderFilter", "EncoderModel", "ProgressDelegate", "encoder_at"]

ENCODER, INPUT, METHOD, BACKBONE, SIZE, LICENCE, STATE = range(7)
_ID = Qt.ItemDataRole.UserRole
_SORT = Qt.ItemDataRole.UserRole + 1
_FITS = Qt.ItemDataRole.UserRole + 2
_PROGRESS = Qt.ItemDataRole.UserRole + 3
# What is here comes first when sorted by state.
_ORDER = ("bundled", "present", "damaged", "partial", "absent")


def encoder_at(index: QModelIndex) -> str | None:
    """Return the encoder of a row of the model or of a filter over it."""
    return index.sibling(index.row(), ENCODER).data(_ID) if index.isValid() else None


class EncoderModel(QStandardItemModel):
    """One row per encoder, in the order of the backend."""

    def __init__(self, library: EncoderLibrary, parent: QObject | None = None) -> None:
        """Make an empty table; `fill` takes the cards of the library."""
        super().__init__(parent)
        self._library = library
        self._info: dict[str, Any] | None = None
        self.setHorizontalHeaderLabels(
            [
                self.tr("Encoder"),
                self.tr("Input"),
                self.tr("Method"),
                self.tr("Backbone"),
                self.tr("Size"),
                self.tr("Licence"),
                self.tr("State"),
            ]
        )
        library.downloads.changed.connect(self._show_state)

    def fill(self, info: dict[str, Any] | None) -> None:
        """Show the library's cards; `info` is what the backend found in the image, or None."""
        self._info = info
        if [self.item(row, ENCODER).data(_ID) for row in range(self.rowCount())] != list(self._library.cards):
            self.setRowCount(0)
            for card in self._library.cards.values():
                self.appendRow(self._row(card))
        for encoder_id in self._library.cards:
            self._show_state(encoder_id)

    def _row(self, card: dict[str, Any]) -> list[QStandardItem]:
        texts = [
            card["title"], words.inputs(card), words.method(card), words.backbone(card), "", card["license"], ""
        ]  # fmt: skip
        row = [QStandardItem(text) for text in texts]
        for item in row:
            item.setEditable(False)
            item.setData(item.text().lower(), _SORT)
        row[ENCODER].setData(card["id"], _ID)
        row[SIZE].setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return row

    def _show_state(self, encoder_id: str) -> None:
        row = next((row for row in range(self.rowCount()) if self.item(row, ENCODER).data(_ID) == encoder_id), None)
        card = self._library.cards.get(encoder_id)
        if row is None or card is None:
            return
        misfit, running = words.misfit(card, self._info), self._library.downloads.progress(encoder_id)
        first, size, state = self.item(row, ENCODER), self.item(row, SIZE), self.item(row, STATE)
        first.setData(not misfit, _FITS)
        size.setText(words.size(card["size_mb"]))
        size.setData(card["size_mb"], _SORT)
        state.setData(_ORDER.index(card["state"]), _SORT)
        state.setText(words.state(card) if running is None else running[1])
        state.setData(running[0] if running is not None else None, _PROGRESS)
        state.setToolTip(state.text())
        icons = {"bundled": "/mIconSuccess.svg", "present": "/mIconSuccess.svg", "damaged": "/mIconWarning.svg"}
        icon = icons.get(card["state"])
        state.setIcon(QgsApplication.getThemeIcon(icon) if icon else QIcon())
        first.setToolTip(misfit or card["id"])


class EncoderFilter(QSortFilterProxyModel):
    """Keeps the rows that hold every word of a search, and on demand only those that fit the image."""

    def __init__(self, model: EncoderModel, parent: QObject | None = None) -> None:
        """Let everything through."""
        super().__init__(parent)
        self._words: list[str] = []
        self._fitting = False
        self.setSortRole(_SORT)
        self.setSourceModel(model)
        self.setDynamicSortFilter(True)

    def search(self, text: str) -> None:
        """Keep the rows that hold every word of a text in any column."""
        self._words = text.lower().split()
        self.invalidateFilter()

    def fit_only(self, fitting: bool) -> None:
        """Keep only what fits the image, or everything."""
        self._fitting = fitting
        self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Say whether a row of the model is kept."""
        model = self.sourceModel()
        first = model.index(row, ENCODER, parent)
        if self._fitting and not first.data(_FITS):
            return False
        texts = [str(model.index(row, column, parent).data() or "") for column in range(model.columnCount())]
        row_text = " ".join([*texts, str(first.data(_ID))]).lower()
        return all(word in row_text for word in self._words)


class ProgressDelegate(QStyledItemDelegate):
    """Draws a progress bar in the cells of what is downloaded."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw a cell."""
        fraction = index.data(_PROGRESS)
        if fraction is None:
            super().paint(painter, option, index)
            return
        bar = QStyleOptionProgressBar()
        bar.rect = option.rect.adjusted(2, 2, -2, -2)
        bar.state = option.state | QStyle.StateFlag.State_Horizontal
        bar.palette = option.palette
        bar.fontMetrics = option.fontMetrics
        bar.minimum, bar.maximum, bar.progress = 0, 100, round(100 * fraction)
        words = f"{100 * fraction:.0f} %" if fraction else str(index.data())
        bar.text = option.fontMetrics.elidedText(words, Qt.TextElideMode.ElideRight, bar.rect.width() - 8)
        bar.textVisible = True
        QApplication.style().drawControl(QStyle.ControlElement.CE_ProgressBar, bar, painter)
