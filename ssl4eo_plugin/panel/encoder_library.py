# SPDX-License-Identifier: GPL-2.0-or-later
"""The encoders that the backend knows, and what brings their weights here or takes them away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin.panel.downloads import Downloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssl4eo_plugin.engine.tasks import JobTask
    from ssl4eo_plugin.panel.runner import Runner

__all__ = ["EncoderLibrary"]


class EncoderLibrary(QObject):
    """One list for the whole panel; every change asks the backend for it again."""

    # The cards came, anew or for the first time.
    changed = pyqtSignal()
    # They did not come; a sentence.
    failed = pyqtSignal(str)

    def __init__(self, runner: Runner, parent: QObject | None = None) -> None:
        """Know nothing yet; `load` asks."""
        super().__init__(parent)
        self._runner = runner
        self._asking = False
        self._again = False
        self.cards: dict[str, dict[str, Any]] = {}
        self.downloads = Downloads(runner, self)
        self.downloads.succeeded.connect(self.refresh)
        self.downloads.failed.connect(self.refresh)
        self.downloads.cancelled.connect(self.refresh)

    def load(self) -> None:
        """Ask the backend, unless it has answered; `changed` or `failed` follows."""
        if not self.cards and not self._asking:
            self.refresh()

    def refresh(self, *_: object) -> None:
        """Ask the backend again; what changes while it answers is asked for once more."""
        if self._asking:
            self._again = True
            return
        self._asking, self._again = True, False
        self._runner.ask(lambda client: client.models(), self.tr("Listing the encoders"), self._answered, self._refused)

    def title(self, encoder_id: str) -> str:
        """Return what an encoder is called; its identifier when it is not known."""
        card = self.cards.get(encoder_id)
        return card["title"] if card is not None else encoder_id

    def download(self, encoder_id: str) -> None:
        """Queue a download; `downloads` tells how it goes."""
        self.downloads.start(encoder_id, self.title(encoder_id))

    def recognise(
        self, file: str, answered: Callable[[list[dict[str, Any]]], None], failed: Callable[[str], None]
    ) -> JobTask:
        """Find out which encoders a weight file may belong to, best first: `encoder`, `confidence`, `because`."""
        description = self.tr("Looking at {}").format(Path(file).name)
        return self._runner.job(
            "weights_recognise", {"file": file}, description, lambda result: answered(result["matches"]), failed
        )

    def import_file(
        self,
        file: str,
        encoder_id: str,
        succeeded: Callable[[dict[str, Any]], None],
        failed: Callable[[str], None],
    ) -> JobTask:
        """Copy a weight file to where the backend keeps those of an encoder."""
        params = {"file": file, "encoder": encoder_id}
        return self._job("weights_import", params, self.tr("Importing {}").format(Path(file).name), succeeded, failed)

    def verify(
        self,
        encoder_id: str | None,
        succeeded: Callable[[dict[str, Any]], None],
        failed: Callable[[str], None],
    ) -> JobTask:
        """Compare the weights of one encoder, or of all that are here, with what they were."""
        params = {"encoder": encoder_id} if encoder_id else {}
        return self._job("weights_verify", params, self.tr("Verifying weights"), succeeded, failed)

    def remove(
        self, encoder_id: str, succeeded: Callable[[dict[str, Any]], None], failed: Callable[[str], None]
    ) -> None:
        """Delete the weights of an encoder."""

        def removed(answer: dict[str, Any]) -> None:
            self.refresh()
            succeeded(answer)

        description = self.tr("Removing {}").format(self.title(encoder_id))
        self._runner.ask(lambda client: client.remove(encoder_id), description, removed, failed)

    def _job(
        self,
        kind: str,
        params: dict[str, Any],
        description: str,
        succeeded: Callable[[dict[str, Any]], None],
        failed: Callable[[str], None],
    ) -> JobTask:
        task = self._runner.job(kind, params, description, succeeded, failed)
        task.succeeded.connect(self.refresh)
        task.failed.connect(self.refresh)
        return task

    def _answered(self, cards: list[dict[str, Any]]) -> None:
        self._asking = False
        self.cards = {card["id"]: card for card in cards}
        self.changed.emit()
        if self._again:
            self.refresh()

    def _refused(self, sentence: str) -> None:
        self._asking = self._again = False
        self.failed.emit(sentence)
