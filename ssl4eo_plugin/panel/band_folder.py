# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes one image at 10 m of a folder with a file per band, such as a SAFE folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ssl4eo_plugin.panel.scene_facts import title

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.job_bar import JobBar
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["BandFolder"]


class BandFolder(QObject):
    """First looks at the folder, then writes the image; the job bar shows how far it is and offers Cancel."""

    # What is being done, "" when nothing is.
    said = pyqtSignal(str)
    failed = pyqtSignal(str)
    # The GeoTIFF that was written.
    made = pyqtSignal(str)

    def __init__(self, state: PanelState, job: JobBar, parent: QObject | None = None) -> None:
        """Use a job bar that shows nothing else."""
        super().__init__(parent)
        self._state, self._job = state, job
        self._asked: object = None

    def open(self, folder: str) -> None:
        """Look at a folder and write its image; `made` or `failed` follows unless it is cancelled."""
        if self._job.running():
            self.failed.emit(self.tr("A folder is being opened already; wait for it, or press Cancel."))
            return
        name = Path(folder).name
        self.said.emit(self.tr("Looking at the folder {}…").format(name))
        asked, session = object(), self._state.session
        self._asked = asked

        def answered(info: dict[str, Any]) -> None:
            # Only the last question counts, and only in its own project.
            if asked is self._asked and session is self._state.session:
                self._write(folder, info)

        def refused(sentence: str) -> None:
            if asked is self._asked:
                self.failed.emit(sentence)

        self._state.runner.ask(
            lambda client: client.inspect(folder), self.tr("Looking at {}").format(name), answered, refused
        )

    def target(self, folder: str) -> Path:
        """Return a file that is not there yet for the image of a folder."""
        name = re.sub(r"[^\w.-]+", "_", Path(folder).name.removesuffix(".SAFE")).strip("_") or "image"
        home = self._state.home(folder) / "ssl4eo"
        path, number = home / f"{name}-10m.tif", 2
        while path.exists():
            path, number = home / f"{name}-10m-{number}.tif", number + 1
        return path

    def _write(self, folder: str, info: dict[str, Any]) -> None:
        if info["needs"]:
            sentence = self.tr("“{}” cannot be made into one image yet: {}")
            self.failed.emit(sentence.format(Path(folder).name, info["needs"][0]))
            return
        out = self.target(folder)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sentence = self.tr("The folder “{}” cannot be made ({}); save the project where you may write.")
            self.failed.emit(sentence.format(error.filename, error.strerror))
            return
        self.said.emit(self.tr("{}, {} files: putting its bands on one grid…").format(title(info), len(info["files"])))
        session = self._state.session

        def written(result: dict[str, Any]) -> None:
            self.said.emit("")
            if session is self._state.session:
                self.made.emit(result["scene"])

        task = self._state.runner.job(
            "harmonise",
            {"scene": folder, "out": str(out)},
            self.tr("Opening {}").format(Path(folder).name),
            written,
            self.failed.emit,
        )
        task.cancelled.connect(self._stopped)
        self._job.follow(task)

    def _stopped(self) -> None:
        self.said.emit(self.tr("Cancelled; nothing was written."))
