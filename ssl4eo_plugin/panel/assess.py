# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 5, Assess: a random sample of the map, answered point by point, says how right the map is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsPalettedRasterRenderer
from qgis.PyQt.QtCore import Qt, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QColor, QDesktopServices, QIcon, QPixmap
from qgis.PyQt.QtWidgets import QFileDialog, QListWidgetItem, QMessageBox

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.answer_tool import answer_key
from ssl4eo_plugin.canvas.assessment import Assessment, assessment_path
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.panel.assess_result import ResultTable, overall_words
from ssl4eo_plugin.panel.assess_steps import Stepper
from ssl4eo_plugin.panel.page import Page

if TYPE_CHECKING:
    from qgis.core import QgsRasterLayer
    from qgis.PyQt.QtGui import QKeyEvent
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["AssessPage"]

_KEYS = 9
_LIST_ROWS = 12


class AssessPage(Page):
    """Draw points, answer them, read the figures."""

    drawn = pyqtSignal(dict)
    assessed = pyqtSignal(dict)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form, with the sample of the map that the project has of the feature set in use."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        self.table = ResultTable(self)
        self.tablePlace.addWidget(self.table)
        self.stepper = Stepper(state, self)
        self.result: dict[str, Any] | None = None
        self._shown: Path | None = None
        self.intro.setText(
            self.tr(
                "How right is the map? The clicks cannot tell, because you chose where to click. "
                "Draw places at random in each class and say what they are, without seeing what the map says."
            )
        )
        self.drawJob.set_action(self.tr("Draw the places"), QgsApplication.getThemeIcon("/mActionStart.svg"))
        self.drawJob.started.connect(self.draw)
        self.countJob.set_action(
            self.tr("Work out the accuracy"), QgsApplication.getThemeIcon("/mActionCalculateField.svg")
        )
        self.countJob.started.connect(self.assess)
        self.stepButton.clicked.connect(self._begin_or_pause)
        self.backButton.clicked.connect(self.stepper.back)
        self.skipButton.clicked.connect(self.stepper.skip)
        self.classList.itemClicked.connect(lambda item: self.stepper.answer(item.data(Qt.ItemDataRole.UserRole)))
        self.classList.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.reportButton.clicked.connect(self._open_report)
        self.csvButton.clicked.connect(self._save_csv)
        self.stepper.changed.connect(self._show)
        self.stepper.failed.connect(self.fail)
        self.stepper.completed.connect(self.assess)
        state.featuresChanged.connect(self.refresh)
        state.samplesChanged.connect(self._classes_changed)
        state.project.layersRemoved.connect(self.refresh)
        self.refresh()

    def layer(self) -> QgsRasterLayer | None:
        """Return the map of the feature set in use."""
        features = self.state.features
        found = layers.find_layers(self.state.project, layers.MAP, features.name) if features is not None else []
        return found[0] if found else None

    def refresh(self, *_: object) -> None:
        """Take up the map that is shown now, and the sample that was drawn of it."""
        layer = self.layer()
        shown = Path(layer.source()) if layer is not None else None
        if shown == self._shown and layer is self.stepper.layer:
            return
        self._shown, self.result = shown, None
        self._open(layer)

    def draw(self, ask: bool = True) -> None:
        """Draw a sample of the map; `drawn` or `failed` follows."""
        if self._shown is None or self.drawJob.running():
            return
        assessment = self.stepper.assessment
        if ask and assessment is not None and assessment.answered() and not self._confirmed(assessment.answered()):
            return
        self.stepper.take(None, None, [])
        params = {
            "map": str(self._shown),
            "out": str(assessment_path(self._shown)),
            "target_se": self.errorBox.value() / 100,
            "per_class": self.leastBox.value(),
        }
        self._run("assess_sample", params, self.tr("Drawing places"), self.drawJob, self._drawn)

    def assess(self) -> None:
        """Work out the figures from the answers; `assessed` or `failed` follows."""
        assessment = self.stepper.assessment
        if assessment is None or self.countJob.running():
            return
        params = {
            "map": str(self._shown),
            "samples": str(assessment.path),
            "report": str(assessment.path.with_suffix(".html")),
            "csv": str(assessment.path.with_suffix(".csv")),
        }
        self._run("assess", params, self.tr("Assessing the map"), self.countJob, self._assessed)

    def leave(self) -> None:
        """Give the map back to its tool and show what was hidden."""
        self.stepper.pause()

    def dispose(self) -> None:
        """Leave the canvas for good."""
        self.stepper.dispose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Answer with the keys when the panel has them, too."""
        answer = answer_key(event) if self.stepper.running else None
        if answer is None:
            super().keyPressEvent(event)
        else:
            self.stepper.key(answer)

    def _run(self, kind: str, params: dict[str, Any], description: str, bar: Any, done: Any) -> None:
        self.note.say("")
        session = self.state.session
        task = self.state.runner.job(
            kind, params, description, lambda result: done(result) if session is self.state.session else None, self.fail
        )
        bar.follow(task)

    def _open(self, layer: QgsRasterLayer | None) -> None:
        path = assessment_path(self._shown) if self._shown is not None else None
        assessment = None
        try:
            if path is not None and path.exists():
                assessment = Assessment(path)
        except CanvasError as error:
            self.fail(str(error))
        self.stepper.take(assessment, layer, self._class_names(layer))
        self._fill_list(layer)
        self._show()

    def _class_names(self, layer: QgsRasterLayer | None) -> list[str]:
        """Return the classes that can be answered, in the order of the class list, whose keys the user knows."""
        entries = _entries(layer)
        listed = list(self.state.store.classes()) if self.state.store is not None else []
        return [*listed, *(name for name in entries if name not in listed)]

    def _classes_changed(self) -> None:
        layer = self.layer()
        if layer is not None and self._class_names(layer) != self.stepper.classes:
            self.stepper.classes = self._class_names(layer)
            self._fill_list(layer)

    def _fill_list(self, layer: QgsRasterLayer | None) -> None:
        colors = {**_entries(layer), **(self.state.store.classes() if self.state.store is not None else {})}
        self.classList.clear()
        side = self.classList.fontMetrics().height()
        for number, name in enumerate(self.stepper.classes, 1):
            swatch = QPixmap(side, side)
            swatch.fill(colors[name])
            item = QListWidgetItem(QIcon(swatch), f"{number}  {name}" if number <= _KEYS else name)
            item.setData(Qt.ItemDataRole.UserRole, name)
            self.classList.addItem(item)
        rows = min(max(1, self.classList.count()), _LIST_ROWS)
        self.classList.setFixedHeight(rows * (side + 6) + 2 * self.classList.frameWidth())

    def _drawn(self, result: dict[str, Any]) -> None:
        self.result = None
        self._open(self.layer())
        self.drawn.emit(result)

    def _assessed(self, result: dict[str, Any]) -> None:
        self.result = result
        self.note.say("\n".join(result.get("warnings", [])), "warning")
        self._show()
        self.assessed.emit(result)

    def _begin_or_pause(self) -> None:
        if self.stepper.running:
            self.stepper.pause()
        else:
            self.stepper.begin()

    def _show(self) -> None:
        stepper, assessment = self.stepper, self.stepper.assessment
        self.drawCard.setEnabled(self._shown is not None)
        self.askCard.setVisible(assessment is not None)
        self.drawJob.button.setText(self.tr("Draw the places") if assessment is None else self.tr("Draw anew"))
        self.resultCard.setVisible(self.result is not None)
        if self.result is not None:
            self.overall.setText(f"<b>{overall_words(self.result)}</b>")
            self.table.show_result(self.result)
        if assessment is None:
            return
        done, total, running = assessment.answered(), len(assessment), stepper.running
        self.progressBar.setRange(0, total)
        self.progressBar.setValue(done)
        self.progressBar.setFormat(self.tr("{} of {} answered").format(done, total))
        self.stepButton.setText(self.tr("Pause") if running else self.tr("Go on") if done else self.tr("Begin"))
        self.stepButton.setEnabled(running or done < total)
        self.countJob.button.setEnabled(done > 0)
        for widget in (self.classList, self.backButton, self.skipButton):
            widget.setVisible(running)
        self.question.setText(self._question(running, done, total))
        last = stepper.last() if running else None
        self.lastAnswer.setVisible(last is not None)
        if last is not None:
            words = self.tr("Last: you said “{}”, and so does the map.") if last[0] == last[1] else self.tr(
                "Last: you said “{}”, the map says “{}”."
            )  # fmt: skip
            self.lastAnswer.setText(words.format(*last))

    def _question(self, running: bool, done: int, total: int) -> str:
        if running:
            words = self.tr("Place {}: what is in the frame? Press the key of its class, or click it.")
            answer = self.stepper.assessment.answer_of(self.stepper.index)
            before = " " + self.tr("Answered so far: “{}”.").format(answer) if answer else ""
            return words.format(self.stepper.index + 1) + before
        if done == total:
            return self.tr("All places are answered.")
        return self.tr("The map is hidden while you answer. Compare with another image where you can.")

    def _confirmed(self, answers: int) -> bool:
        question = self.tr("Draw new places? The {} answers so far are lost.").format(answers)
        buttons = QMessageBox.StandardButton
        chosen = QMessageBox.question(self, self.tr("Draw anew"), question, buttons.Yes | buttons.No, buttons.No)
        return chosen == buttons.Yes

    def _open_report(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.result["report"]))

    def _save_csv(self) -> None:
        file, _kind = QFileDialog.getSaveFileName(self, self.tr("Save the figures"), self.result["csv"], "CSV (*.csv)")
        if not file:
            return
        try:
            shutil.copyfile(self.result["csv"], file)
        except shutil.SameFileError:
            pass
        except OSError as error:
            sentence = self.tr("The figures cannot be saved as “{}” ({}); choose another place.")
            self.fail(sentence.format(file, error.strerror or error))


def _entries(layer: QgsRasterLayer | None) -> dict[str, QColor]:
    """Return the classes of a map and their colours."""
    renderer = layer.renderer() if layer is not None else None
    entries = renderer.classes() if isinstance(renderer, QgsPalettedRasterRenderer) else []
    return {entry.label: entry.color for entry in entries}
