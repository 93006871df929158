# SPDX-License-Identifier: GPL-2.0-or-later
"""A combo box of encoders: those that are here first, what does not fit the image greyed with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QModelIndex, QObject, Qt, pyqtSignal
from qgis.PyQt.QtGui import QPalette
from qgis.PyQt.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ssl4eo_plugin import settings
from ssl4eo_plugin.panel import encoder_words as words

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox, QLabel

    from ssl4eo_plugin.panel.encoder_library import EncoderLibrary

__all__ = ["EncoderBox", "fill_encoders"]

_TIP = Qt.ItemDataRole.ToolTipRole
_ID = Qt.ItemDataRole.UserRole
# Opacity of what cannot be chosen.
_FAINT = 130


def fill_encoders(box: QComboBox, cards: list[dict[str, Any]], reasons: dict[str, str], download_first: str) -> None:
    """Fill a combo box with a heading per group of encoders; item data is the identifier, None for a heading.

    Args:
        box: Emptied first.
        cards: In the order of each group.
        reasons: Why an encoder that is here cannot be chosen, by identifier; "" or absent when it can.
        download_first: How to name one that is not here, with `{}` for its title.
    """
    box.clear()
    if not isinstance(box.itemDelegate(), _Delegate):
        box.setItemDelegate(_Delegate(box))
    # Else some styles show all rows at once, over the whole height of the screen.
    box.setStyleSheet("QComboBox { combobox-popup: 0; }")
    groups: dict[tuple[bool, str], list[dict[str, Any]]] = {}
    for available in (True, False):
        for card in cards:
            if card["available"] == available:
                groups.setdefault((available, words.group(card)), []).append(card)
    for (available, name), members in groups.items():
        _add_heading(box, name)
        for card in members:
            reason = reasons.get(card["id"], "")
            box.addItem(card["title"] if available else download_first.format(card["title"]), card["id"])
            row = box.count() - 1
            box.model().item(row).setEnabled(available and not reason)
            box.setItemData(row, reason or words.facts(card), _TIP)
    view = box.view()
    # The list may be wider than the box, which is as narrow as the panel.
    view.setMinimumWidth(view.sizeHintForColumn(0) + view.verticalScrollBar().sizeHint().width())


def _add_heading(box: QComboBox, name: str) -> None:
    box.addItem(name)
    heading = box.model().item(box.count() - 1)
    heading.setEnabled(False)
    font = heading.font()
    font.setBold(True)
    heading.setFont(font)


class _Delegate(QStyledItemDelegate):
    """Draws headings as clearly as what can be chosen; some themes draw disabled rows in the colour of the ground."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        super().initStyleOption(option, index)
        if index.flags() & Qt.ItemFlag.ItemIsEnabled:
            return
        option.state |= QStyle.StateFlag.State_Enabled
        if index.data(_ID) is not None:
            color = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Text)
            color.setAlpha(_FAINT)
            option.palette.setColor(QPalette.ColorRole.Text, color)


class EncoderBox(QObject):
    """Fills a combo box with encoders and a label with what the chosen one is."""

    chosen = pyqtSignal(str)

    def __init__(self, library: EncoderLibrary, box: QComboBox, facts: QLabel, parent: QObject) -> None:
        """Take the two widgets over; the library fills them."""
        super().__init__(parent)
        self._library, self._box, self._facts = library, box, facts
        self._wanted = settings.encoder()
        self._info: dict[str, Any] | None = None
        box.currentIndexChanged.connect(self._index_changed)
        library.changed.connect(self._fill)
        library.failed.connect(self._refused)
        self._facts.setText(self.tr("The backend is asked which encoders there are…"))

    def encoder_id(self) -> str:
        """Return the chosen encoder; before the list came, and when none fits, the one that is wanted."""
        return self._box.currentData() or self._wanted

    def choose(self, encoder_id: str) -> None:
        """Choose an encoder, now or when the list comes."""
        self._wanted = encoder_id
        if self._library.cards:
            self._select()

    def set_image(self, info: dict[str, Any] | None) -> None:
        """Say what the backend found in the image, so that only what fits can be chosen."""
        self._info = info
        if self._library.cards:
            self._fill()

    def problem(self) -> str:
        """Return why there is nothing to encode with, "" when there is or when it is not known yet."""
        if not self._library.cards or self._box.currentData() is not None:
            return ""
        wanted = self._library.cards.get(self._wanted)
        if wanted is not None and not self._misfit(wanted):
            sentence = self.tr("{} is not on this computer; press “Encoders…” to download or import it.")
            return sentence.format(wanted["title"])
        return self.tr("No encoder on this computer fits the image; press “Encoders…” to download one that does.")

    def _misfit(self, card: dict[str, Any]) -> str:
        return words.misfit(card, self._info)

    def _fill(self) -> None:
        cards = list(self._library.cards.values())
        reasons = {card["id"]: self._misfit(card) for card in cards}
        self._box.blockSignals(True)
        fill_encoders(self._box, cards, reasons, self.tr("{} (download first)"))
        self._box.blockSignals(False)
        self._select()

    def _select(self) -> None:
        usable = [card["id"] for card in self._library.cards.values() if card["available"] and not self._misfit(card)]
        # What the user wants comes back with an image that it fits.
        encoder_id = self._wanted if self._wanted in usable else next(iter(usable), None)
        wanted, index = self._wanted, self._box.findData(encoder_id) if encoder_id else -1
        self._box.blockSignals(True)
        self._box.setCurrentIndex(index)
        self._box.blockSignals(False)
        self._wanted = wanted
        self._show()
        self.chosen.emit(self.encoder_id())

    def _refused(self, _sentence: str) -> None:
        if not self._library.cards:
            self._facts.setText(self.tr("The encoders are not known yet; come back to this page to ask again."))

    def _index_changed(self, _index: int) -> None:
        self._wanted = self._box.currentData() or self._wanted
        self._show()
        self.chosen.emit(self.encoder_id())

    def _show(self) -> None:
        card = self._library.cards.get(self._box.currentData() or "")
        if card is None:
            self._facts.setText(self.problem())
            self._facts.setToolTip("")
            return
        text = words.facts(card)
        level = self._info["level"] if self._info is not None else None
        # The levels of Sentinel-1 differ by terrain, not by what the encoder can read.
        if card["sensor"] == "S2" and level is not None and level != card["level"]:
            text += " " + self.tr("The image is {}: expect poorer features.").format(words.level_name(level))
        self._facts.setText(text)
        self._facts.setToolTip(f"{card['id']}\n{card['license']}\n{card['attribution']}\n{card['citation']}")
