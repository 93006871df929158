# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of encoders that the backend has, those without weights greyed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin import settings

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox, QLabel

    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["EncoderBox"]

# As people in the field write them.
_METHODS = {"moco": "MoCo", "dino": "DINO", "mae": "MAE", "data2vec": "data2vec"}
_LEVELS = {"L1C": "Level-1C", "L2A": "Level-2A"}


class EncoderBox(QObject):
    """Fills a combo box with encoders and a label with what the chosen one is."""

    loaded = pyqtSignal(list)
    failed = pyqtSignal(str)
    chosen = pyqtSignal(str)

    def __init__(self, state: PanelState, box: QComboBox, facts: QLabel, parent: QObject) -> None:
        """Take the two widgets over; `load` fills them."""
        super().__init__(parent)
        self._state, self._box, self._facts = state, box, facts
        self._wanted = settings.encoder()
        self._level: str | None = None
        self._cards: dict[str, dict[str, Any]] = {}
        self._asking = False
        box.currentIndexChanged.connect(self._index_changed)
        self._facts.setText(self.tr("The backend is asked which encoders there are…"))

    def load(self) -> None:
        """Ask the backend, unless it has answered; `loaded` or `failed` follows."""
        if self._cards or self._asking:
            return
        self._asking = True
        self._state.runner.ask(
            lambda client: client.models(), self.tr("Listing the encoders"), self._fill, self._refused
        )

    def encoder_id(self) -> str:
        """Return the chosen encoder, or the one to choose when the list comes."""
        return self._box.currentData() or self._wanted

    def choose(self, encoder_id: str) -> None:
        """Choose an encoder, now or when the list comes."""
        self._wanted = encoder_id
        index = self._box.findData(encoder_id)
        if index >= 0:
            self._box.setCurrentIndex(index)

    def set_level(self, level: str | None) -> None:
        """Say which product level the image has, so that a mismatch can be told."""
        self._level = level
        self._show()

    def _fill(self, cards: list[dict[str, Any]]) -> None:
        self._asking = False
        wanted = self.encoder_id()
        self._cards = {card["id"]: card for card in cards}
        self._box.clear()
        for row, card in enumerate(cards):
            title = card["title"]
            if not card["available"]:
                title = self.tr("{} (weights missing)").format(title)
            self._box.addItem(title, card["id"])
            self._box.model().item(row).setEnabled(card["available"])
        usable = [card["id"] for card in cards if card["available"]]
        self.choose(wanted if wanted in usable else next(iter(usable), wanted))
        self._show()
        self.loaded.emit(cards)

    def _refused(self, sentence: str) -> None:
        self._asking = False
        self._facts.setText(self.tr("The encoders are not known yet; come back to this page to ask again."))
        self.failed.emit(sentence)

    def _index_changed(self, _index: int) -> None:
        self._show()
        self.chosen.emit(self.encoder_id())

    def _show(self) -> None:
        card = self._cards.get(self.encoder_id())
        if card is None:
            return
        level = _LEVELS.get(card["level"], card["level"])
        words = [f"{_METHODS.get(card['method'], card['method'])}, {card['backbone']}, {level}.", card["note"]]
        if self._level is not None and self._level != card["level"]:
            sentence = self.tr("The image is {}: expect poorer features.")
            words.append(sentence.format(_LEVELS.get(self._level, self._level)))
        self._facts.setText(" ".join(word for word in words if word))
        self._facts.setToolTip(f"{card['id']}\n{card['license']}\n{card['attribution']}\n{card['citation']}")
