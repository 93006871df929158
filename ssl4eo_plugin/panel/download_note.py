# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells on the Features page of downloads that go on, also while the window of encoders is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QLabel

    from ssl4eo_plugin.panel.encoder_library import EncoderLibrary
    from ssl4eo_plugin.panel.widgets import Note

__all__ = ["DownloadNote"]


class DownloadNote(QObject):
    """A line while something is downloaded, and a sentence in the page's note when it is here."""

    def __init__(self, library: EncoderLibrary, line: QLabel, note: Note, parent: QObject) -> None:
        """Take the line over; nothing shows while nothing is downloaded."""
        super().__init__(parent)
        self._library, self._line, self._note = library, line, note
        library.downloads.changed.connect(self._show)
        library.downloads.succeeded.connect(self._downloaded)
        self._show()

    def _show(self, *_: object) -> None:
        downloads = self._library.downloads
        queue, current = downloads.queue(), downloads.current()
        self._line.setVisible(bool(queue))
        if current is None:
            return
        fraction, message = downloads.progress(current)
        text = self.tr("Downloading {}: {:.0f} %").format(self._library.title(current), 100 * fraction)
        if len(queue) > 1:
            text += ", " + self.tr("{} more to come").format(len(queue) - 1)
        self._line.setText(text)
        self._line.setToolTip(message)

    def _downloaded(self, encoder_id: str, _result: dict[str, Any]) -> None:
        self._note.say(self.tr("{} was downloaded and can be used.").format(self._library.title(encoder_id)))
