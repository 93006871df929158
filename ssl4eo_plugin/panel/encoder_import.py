# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose weights a file holds: settled when it is certain, else a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout

if TYPE_CHECKING:
    from collections.abc import Callable

    from qgis.PyQt.QtWidgets import QWidget

__all__ = ["MatchQuestion", "ask_match", "settled"]

_ID = Qt.ItemDataRole.UserRole

translate = QCoreApplication.translate


def settled(matches: list[dict[str, Any]]) -> str | None:
    """Return the encoder when exactly one match is certain, else None."""
    certain = [match["encoder"] for match in matches if match["confidence"] == "certain"]
    return certain[0] if len(certain) == 1 else None


def ask_match(
    parent: QWidget,
    file: str,
    matches: list[dict[str, Any]],
    title: Callable[[str], str],
    chosen: Callable[[str], None],
) -> MatchQuestion:
    """Ask whose weights a file holds; `chosen` gets the answer, unless the user gives none."""
    question = MatchQuestion(file, matches, title, parent)
    question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    question.accepted.connect(lambda: chosen(question.chosen()))
    question.open()
    return question


class MatchQuestion(QDialog):
    """The candidates, how sure each is and why."""

    def __init__(
        self, file: str, matches: list[dict[str, Any]], title: Callable[[str], str], parent: QWidget | None = None
    ) -> None:
        """List the candidates, the best one chosen."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Whose weights are these?"))
        sentence = self.tr("“{}” may hold the weights of one of these encoders; choose the one it was published as.")
        question = QLabel(sentence.format(Path(file).name))
        question.setWordWrap(True)
        self.list = QTreeWidget()
        self.list.setRootIsDecorated(False)
        self.list.setHeaderLabels([self.tr("Encoder"), self.tr("How sure"), self.tr("Why")])
        sure = {
            "certain": self.tr("certain"),
            "likely": self.tr("likely"),
            "possible": self.tr("possible"),
        }
        for match in matches:
            item = QTreeWidgetItem(
                [title(match["encoder"]), sure.get(match["confidence"], match["confidence"]), match["because"]]
            )
            item.setData(0, _ID, match["encoder"])
            item.setToolTip(0, match["encoder"])
            item.setToolTip(2, match["because"])
            self.list.addTopLevelItem(item)
        self.list.setCurrentItem(self.list.topLevelItem(0))
        for column in range(2):
            self.list.resizeColumnToContents(column)
        self.list.itemDoubleClicked.connect(lambda *_: self.accept())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.import_button = buttons.addButton(self.tr("Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        for widget in (question, self.list, buttons):
            column.addWidget(widget)
        self.resize(720, 300)

    def chosen(self) -> str | None:
        """Return the encoder of the chosen row."""
        item = self.list.currentItem()
        return item.data(0, _ID) if item is not None else None
