# SPDX-License-Identifier: GPL-2.0-or-later
"""How the whole-scene map is made and what comes beside it: a few widgets of the Map page, and the job they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QObject, pyqtSignal

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox

    from ssl4eo_plugin.panel.choices import MapChoices
    from ssl4eo_plugin.panel.map import MapPage

__all__ = ["CLASSIFIER_SUFFIX", "MapOptions"]

CLASSIFIER_SUFFIX = ".npz"
# Heads that are no linear maps of the features: they are not saved, and do not tell what is none of the classes.
_NONLINEAR = ("knn", "forest")


class MapOptions(QObject):
    """The classifier and the class balance, which the project keeps, and what to write beside the map."""

    # The saved classifier, or what it is chosen instead of.
    changed = pyqtSignal()

    def __init__(self, page: MapPage, choices: MapChoices) -> None:
        """Take over the widgets of the page."""
        super().__init__(page)
        self._page, self._choices = page, choices
        _fill(
            page.headBox,
            (self.tr("Automatic"), "auto"),
            (self.tr("Linear discriminant (LDA)"), "lda"),
            (self.tr("Logistic regression"), "logistic"),
            (self.tr("Nearest neighbours (not live)"), "knn"),
            (self.tr("Random forest (not live)"), "forest"),
        )
        page.headBox.setToolTip(
            self.tr("LDA asks for the fewest samples, logistic regression for more; Automatic chooses.")
        )
        _fill(page.balanceBox, (self.tr("alike"), "equal"), (self.tr("by the number of their samples"), "samples"))
        page.options.setCollapsed(True)
        page.savedFile.setFilter(self.tr("Classifiers") + f" (*{CLASSIFIER_SUFFIX})")
        page.savedFile.setDialogTitle(self.tr("Choose a saved classifier"))
        page.savedFile.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        page.savedFile.lineEdit().setPlaceholderText(self.tr("the samples (no saved classifier)"))
        page.headBox.activated.connect(lambda _row: choices.choose(head=page.headBox.currentData()))
        page.balanceBox.activated.connect(lambda _row: choices.choose(balance=page.balanceBox.currentData()))
        page.polygonsBox.toggled.connect(page.areaBox.setEnabled)
        page.savedFile.fileChanged.connect(self._show)
        choices.changed.connect(self._show)
        self._show()

    def saved(self) -> str:
        """Return the file of the classifier to apply, "" when the samples are to be learnt from."""
        return str(self._page.savedFile.filePath()).strip()

    def params(self, out: Path, samples: Path | None) -> dict[str, Any]:
        """Return what the job `classify` takes for a map `out`; what comes beside it is named like it."""
        page, choices = self._page, self._choices
        head, saved = choices["head"], self.saved()
        params = {
            "out": str(out),
            "confidence": _beside(out, "probability.tif") if page.certaintyBox.isChecked() else None,
            "polygons": _beside(out, "polygons.gpkg") if page.polygonsBox.isChecked() else None,
            "min_area_ha": page.areaBox.value(),
        }
        if saved:
            return {**params, "classifier": saved}
        linear = head not in _NONLINEAR
        return {
            **params,
            "samples": str(samples),
            "head": head,
            "balance": choices["balance"],
            "none_beyond": choices["none_beyond"] if linear else None,
            "classifier_out": _beside(out, f"classifier{CLASSIFIER_SUFFIX}") if linear else None,
        }

    def _show(self, *_: object) -> None:
        page = self._page
        for box, name in ((page.headBox, "head"), (page.balanceBox, "balance")):
            box.setCurrentIndex(max(0, box.findData(self._choices[name])))
            box.setEnabled(not self.saved())
        page.areaBox.setEnabled(page.polygonsBox.isChecked())
        self.changed.emit()


def _fill(box: QComboBox, *entries: tuple[str, str]) -> None:
    for text, data in entries:
        box.addItem(text, data)


def _beside(out: Path, ending: str) -> str:
    return str(out.with_name(f"{out.stem}-{ending}"))
