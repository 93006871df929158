# SPDX-License-Identifier: GPL-2.0-or-later
"""The window of encoders: what there is, what is here, and Download, Import, Verify, Remove and Use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsSettings
from qgis.PyQt import uic
from qgis.PyQt.QtCore import QByteArray, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAbstractItemView, QDialog, QFileDialog, QHeaderView, QMessageBox

from ssl4eo_plugin import settings
from ssl4eo_plugin.panel import encoder_words as words
from ssl4eo_plugin.panel.encoder_details import details
from ssl4eo_plugin.panel.encoder_import import ask_match, settled
from ssl4eo_plugin.panel.encoder_model import STATE, EncoderFilter, EncoderModel, ProgressDelegate, encoder_at

if TYPE_CHECKING:
    from qgis.PyQt.QtGui import QHideEvent
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.engine.tasks import JobTask
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["EncoderTable"]

_GEOMETRY = "ssl4eo/encoder_table"
_FOLDER = "ssl4eo/weights_folder"
# Pixels at 96 dpi; longer titles are cut with dots so that the state is in sight.
_WIDEST = 230


class EncoderTable(QDialog):
    """Stays open beside QGIS; downloads go on when it is closed."""

    # The encoder to encode with.
    used = pyqtSignal(str)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show what the library holds; `open_at` brings the window up."""
        super().__init__(parent)
        uic.loadUi(str(Path(__file__).with_suffix(".ui")), self)
        self._state, self._library = state, state.encoders
        self._text = ""
        self._dress_table()
        self.mirrorBox.setText(settings.mirror())
        self.mirrorBox.editingFinished.connect(lambda: settings.set_mirror(self.mirrorBox.text()))
        self.searchBox.textChanged.connect(self.filter.search)
        self.fitBox.toggled.connect(self.filter.fit_only)
        self.table.selectionModel().currentChanged.connect(self._show)
        self.table.doubleClicked.connect(lambda _index: self.use())
        for button, action in (
            (self.downloadButton, self.download),
            (self.cancelButton, self.cancel),
            (self.importButton, self._choose_file),
            (self.verifyButton, self.verify),
            (self.removeButton, self.remove),
            (self.useButton, self.use),
            (self.closeButton, self.close),
        ):
            button.clicked.connect(lambda _checked=False, action=action: action())
        self._library.changed.connect(self._fill)
        self._library.failed.connect(self.fail)
        downloads = self._library.downloads
        downloads.changed.connect(self._show)
        downloads.succeeded.connect(self._downloaded)
        downloads.failed.connect(lambda _encoder, sentence: self.fail(sentence))
        downloads.cancelled.connect(self._stopped)
        state.sceneChanged.connect(self._fill)
        self.resize(980, 660)
        self.restoreGeometry(QgsSettings().value(_GEOMETRY, QByteArray()))
        self._fill()

    def open_at(self, encoder_id: str) -> None:
        """Bring the window up with an encoder chosen."""
        self._library.load()
        self.choose(encoder_id)
        self.show()
        self.raise_()
        self.activateWindow()

    def choose(self, encoder_id: str) -> bool:
        """Choose a row; False when it is not shown."""
        for row in range(self.filter.rowCount()):
            index = self.filter.index(row, 0)
            if encoder_at(index) == encoder_id:
                self.table.setCurrentIndex(index)
                self.table.scrollTo(index, QAbstractItemView.ScrollHint.EnsureVisible)
                return True
        return False

    def chosen(self) -> str | None:
        """Return the encoder of the chosen row."""
        return encoder_at(self.table.currentIndex())

    def fail(self, sentence: str) -> None:
        """Show a sentence in red."""
        self.note.say(sentence, "error")

    def download(self) -> None:
        """Queue the chosen encoder."""
        if self.downloadButton.isEnabled() and self.chosen() is not None:
            # Enter in the field is not needed first.
            settings.set_mirror(self.mirrorBox.text())
            self.note.say("")
            self._library.download(self.chosen())

    def cancel(self) -> None:
        """Stop the chosen encoder's download."""
        if self.chosen() is not None:
            self._library.downloads.cancel(self.chosen())

    def use(self) -> None:
        """Encode with the chosen encoder when its weights are here."""
        if self.useButton.isEnabled() and self.chosen() is not None:
            self.used.emit(self.chosen())
            self.note.say(self.tr("{} is chosen under Features.").format(self._library.title(self.chosen())))

    def verify(self) -> None:
        """Compare the chosen encoder's weights with their checksum."""
        task = self._library.verify(self.chosen(), self._verified, self.fail)
        self._follow(task, self.tr("Verifying…"), self.tr("Cancelled."))

    def remove(self) -> None:
        """Delete the chosen encoder's weights, after a question."""
        card = self._library.cards[self.chosen()]
        sentence = self.tr("Delete the weights of {} ({}) from this computer?")
        answer = QMessageBox.question(
            self, self.tr("Remove weights"), sentence.format(card["title"], words.size(card["size_mb"]))
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._library.remove(card["id"], self._removed, self.fail)

    def import_file(self, file: str) -> None:
        """Find out whose weights a file holds, ask when it is not certain, and import it."""
        task = self._library.recognise(file, lambda matches: self._recognised(file, matches), self.fail)
        doing = self.tr("Looking at {}…").format(Path(file).name)
        self._follow(task, doing, self.tr("Cancelled; nothing was imported."))

    def hideEvent(self, event: QHideEvent) -> None:
        """Remember size and place."""
        super().hideEvent(event)
        QgsSettings().setValue(_GEOMETRY, self.saveGeometry())

    def _dress_table(self) -> None:
        self.model = EncoderModel(self._library, self)
        self.filter = EncoderFilter(self.model, self)
        self.table.setModel(self.filter)
        self.table.setItemDelegateForColumn(STATE, ProgressDelegate(self.table))
        header = self.table.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        # The order of the backend, until a column is clicked.
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)

    def _fill(self) -> None:
        first, chosen = self.model.rowCount() == 0, self.chosen()
        scene = self._state.scene
        self.fitBox.setEnabled(scene is not None)
        self.model.fill(scene.info if scene is not None else None)
        self.filter.invalidateFilter()
        if first:
            for column in range(STATE):
                self.table.resizeColumnToContents(column)
                self.table.setColumnWidth(column, min(_WIDEST, self.table.columnWidth(column)))
        self.choose(chosen or settings.encoder())
        self._show()

    def _show(self, *_: object) -> None:
        card = self._library.cards.get(self.chosen() or "")
        running = card is not None and self._library.downloads.progress(card["id"]) is not None
        here = card is not None and card["state"] in ("present", "damaged", "bundled")
        self.downloadButton.setEnabled(
            card is not None and card["downloadable"] and not card["available"] and not running
        )
        self.cancelButton.setEnabled(running)
        # The bar beneath the table shows one job.
        free = not self.job.running()
        self.importButton.setEnabled(free)
        self.verifyButton.setEnabled(here and not running and free)
        self.removeButton.setEnabled(
            card is not None and card["state"] in ("present", "damaged", "partial") and not running
        )
        scene = self._state.scene
        misfit = words.misfit(card, scene.info if scene is not None else None) if card is not None else ""
        self.useButton.setEnabled(card is not None and card["available"] and not misfit)
        self.useButton.setToolTip(misfit or self.tr("Encode with the chosen encoder"))
        text = details(card, misfit) if card is not None else ""
        if running:
            # The bar in the table says how far, this says of how much and how fast.
            text += f"<p>{self._library.downloads.progress(card['id'])[1]}</p>"
        if text != self._text:
            self._text = text
            place = self.detailsView.verticalScrollBar().value()
            self.detailsView.setHtml(text)
            self.detailsView.verticalScrollBar().setValue(place)

    def _downloaded(self, encoder_id: str, result: dict[str, Any]) -> None:
        sentence = self.tr("{} is on this computer now; identified by {}.")
        self.note.say(sentence.format(self._library.title(encoder_id), result["verified"]))

    def _stopped(self, encoder_id: str) -> None:
        sentence = self.tr("The download of {} was cancelled; what was fetched is kept for the next time.")
        self.note.say(sentence.format(self._library.title(encoder_id)))

    def _verified(self, result: dict[str, Any]) -> None:
        bad = [row["sentence"] for row in result["rows"] if row["state"] != "ok"]
        self.note.say("\n".join(bad or [row["sentence"] for row in result["rows"]]), "error" if bad else "info")

    def _removed(self, answer: dict[str, Any]) -> None:
        self.note.say(self.tr("Removed; {} are free again.").format(words.size(answer["freed_mb"]) or "0 MB"))

    def _choose_file(self) -> None:
        kinds = self.tr("Weights") + " (*.pth *.pt *.tar *.ckpt *.safetensors);;" + self.tr("All files") + " (*)"
        folder = QgsSettings().value(_FOLDER, "")
        file, _kind = QFileDialog.getOpenFileName(self, self.tr("Import a weight file"), folder, kinds)
        if file:
            QgsSettings().setValue(_FOLDER, str(Path(file).parent))
            self.import_file(file)

    def _follow(self, task: JobTask, doing: str, cancelled: str) -> None:
        self.note.say(doing)
        self.job.follow(task)
        task.cancelled.connect(lambda: self.note.say(cancelled))
        for ended in (task.succeeded, task.failed, task.cancelled):
            ended.connect(self._show)
        self._show()

    def _recognised(self, file: str, matches: list[dict[str, Any]]) -> None:
        self.note.say("")
        if not matches:
            sentence = self.tr("“{}” holds the weights of none of these encoders; choose another file.")
            self.fail(sentence.format(Path(file).name))
            return

        def import_as(encoder_id: str) -> None:
            task = self._library.import_file(file, encoder_id, self._imported, self.fail)
            doing = self.tr("Importing {}…").format(Path(file).name)
            self._follow(task, doing, self.tr("Cancelled; nothing was imported."))

        certain = settled(matches)
        if certain is not None:
            import_as(certain)
        else:
            ask_match(self, file, matches, self._library.title, import_as)

    def _imported(self, result: dict[str, Any]) -> None:
        self.choose(result["encoder"])
        sentence = self.tr("Imported as {} ({}: {}).")
        because = result["because"].rstrip(".")
        self.note.say(sentence.format(self._library.title(result["encoder"]), result["confidence"], because))
