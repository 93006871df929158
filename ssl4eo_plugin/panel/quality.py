# SPDX-License-Identifier: GPL-2.0-or-later
"""How much work an encoder spends on a pixel: the modes that the chosen one has, with what each costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal

from ssl4eo_plugin import settings
from ssl4eo_plugin.panel import encoder_words as words

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox, QLabel

    from ssl4eo_plugin.panel.encoder_library import EncoderLibrary

__all__ = ["STANDARD", "QualityBox"]

# Every encoder has it.
STANDARD = "standard"


class QualityBox(QObject):
    """A label and a combo box, hidden while there is nothing to choose; the choice is remembered per user."""

    changed = pyqtSignal()

    def __init__(self, library: EncoderLibrary, label: QLabel, box: QComboBox, parent: QObject) -> None:
        """Take the two widgets over; `set_encoder` fills them."""
        super().__init__(parent)
        self._library, self._label, self._box = library, label, box
        self._wanted = settings.mode()
        box.currentIndexChanged.connect(self._chosen)
        self.set_encoder("")

    def mode(self) -> str:
        """Return the chosen mode, which the encoder has."""
        return self._box.currentData() or STANDARD

    def choose(self, mode: str) -> None:
        """Choose as if by hand; a mode that the encoder lacks comes into force with one that has it."""
        self._wanted = mode
        settings.set_mode(mode)
        self._select()
        self.changed.emit()

    def set_encoder(self, encoder_id: str) -> None:
        """Offer the modes of an encoder; none before it is known which it has."""
        card = self._library.cards.get(encoder_id)
        modes = card["modes"] if card is not None else []
        self._box.blockSignals(True)
        self._box.clear()
        for mode in modes:
            self._box.addItem(words.quality(mode, card["mode_costs"][mode]), mode)
            self._box.setItemData(self._box.count() - 1, self._explained(mode), Qt.ItemDataRole.ToolTipRole)
        self._box.blockSignals(False)
        self._select()
        for widget in (self._label, self._box):
            widget.setVisible(len(modes) > 1)

    def _explained(self, mode: str) -> str:
        fast = self.tr("Each place is seen once; where the network's windows meet, values may step.")
        return {"fast": fast}.get(mode, "")

    def _select(self) -> None:
        index = self._box.findData(self._wanted)
        self._box.blockSignals(True)
        self._box.setCurrentIndex(index if index >= 0 else self._box.findData(STANDARD))
        self._box.blockSignals(False)

    def _chosen(self, _index: int) -> None:
        self._wanted = self.mode()
        settings.set_mode(self._wanted)
        self.changed.emit()
