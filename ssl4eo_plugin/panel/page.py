# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages have in common: their form, their note, and how they say what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.PyQt import uic
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QWidget

from ssl4eo_plugin.panel.widgets import Note

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["Page"]


class Page(QWidget):
    """A page whose form is the .ui file named like its module; the form has a `Note` called `note`."""

    failed = pyqtSignal(str)

    note: Note

    def __init__(self, state: PanelState, form: Path, parent: QWidget | None = None) -> None:
        """Load the form."""
        super().__init__(parent)
        uic.loadUi(str(form), self)
        # All room to spare goes below the last row, so that nothing moves apart in a tall window.
        self.layout().setStretch(self.layout().count() - 1, 1)
        self.state = state

    def fail(self, sentence: str) -> None:
        """Show a sentence in red and tell the dock."""
        self.note.say(sentence, "error")
        self.failed.emit(sentence)
