# SPDX-License-Identifier: GPL-2.0-or-later
"""Step 4, Map: the samples classify the features, and the map is shown, restyled and saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsPalettedRasterRenderer, QgsRasterLayer
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QIcon, QPixmap
from qgis.PyQt.QtWidgets import QFileDialog, QListWidgetItem

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.map_layers import show_beside
from ssl4eo_plugin.canvas.styles import recolor_map
from ssl4eo_plugin.panel.map_files import MapFiles, copy_map
from ssl4eo_plugin.panel.map_options import CLASSIFIER_SUFFIX, MapOptions
from ssl4eo_plugin.panel.page import Page

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QWidget

    from ssl4eo_plugin.canvas.feature_folder import FeatureFolder
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["MapPage"]

# Kept with the layer, so that a saved project still says how the map was made.
_RESULT = "ssl4eo/result"
_FEWEST_CLASSES = 2
_LEGEND_ROWS = 10


class MapPage(Page):
    """Choose a classifier, classify, and look at the map."""

    classified = pyqtSignal(dict)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show the form, with the map that the project has of the feature set in use."""
        super().__init__(state, Path(__file__).with_suffix(".ui"), parent)
        self._files = MapFiles(state.project, self)
        self.map_options = MapOptions(self, state.choices)
        self.map_options.changed.connect(self._show)
        self.job.set_action(self.tr("Classify"), QgsApplication.getThemeIcon("/mActionStart.svg"))
        self.job.started.connect(self.classify)
        self.opacityBox.opacityChanged.connect(self._set_opacity)
        self.saveButton.setIcon(QgsApplication.getThemeIcon("/mActionFileSaveAs.svg"))
        self.saveButton.clicked.connect(self._choose_file)
        self.saveClassifierButton.clicked.connect(self._choose_classifier_file)
        state.samplesChanged.connect(self._samples_changed)
        state.featuresChanged.connect(self._show)
        state.project.layersRemoved.connect(self._show)
        self._show()

    @property
    def result(self) -> dict[str, Any] | None:
        """What `classify` said of the map that is shown."""
        layer = self.layer()
        return json.loads(layer.customProperty(_RESULT, "null")) if layer is not None else None

    def layer(self) -> QgsRasterLayer | None:
        """Return the map of the feature set in use."""
        features = self.state.features
        found = layers.find_layers(self.state.project, layers.MAP, features.name) if features is not None else []
        return found[0] if found else None

    def set_head(self, head: str) -> None:
        """Choose the classifier: `auto`, `lda`, `logistic`, `knn` or `forest`."""
        self.state.choices.choose(head=head)

    def running(self) -> bool:
        """Return whether a classification runs."""
        return bool(self.job.running())

    def cancel(self) -> None:
        """Stop the classification that runs; the last map stays."""
        self.job.cancel()

    def missing(self) -> str:
        """Return what is missing before a map can be made, "" when nothing is."""
        if self.state.features is None:
            return self.tr("Encode an image first.")
        if self.map_options.saved():
            return ""
        labelled = sum(count > 0 for count in self._counts().values())
        if labelled == 0:
            return self.tr("Label a few places of at least two classes first.")
        if labelled < _FEWEST_CLASSES:
            return self.tr("Only one class has samples; label a second one.")
        return ""

    def classify(self) -> None:
        """Start to classify; `classified` or `failed` follows."""
        if self.running():
            return
        if self.missing():
            self.fail(self.missing())
            return
        features, store = self.state.features, self.state.store
        colors = store.classes() if store is not None else {}
        params = {
            "features": str(features.path),
            "colors": {name: color.name() for name, color in colors.items()},
            **self.map_options.params(_new_file(features), store.path if store is not None else None),
        }
        self.note.say("")
        session = self.state.session

        def succeeded(result: dict[str, Any]) -> None:
            if session is self.state.session:
                self._classified(result, features)
            else:
                self.note.say(self.tr("The map of the last project is in “{}”.").format(result["map"]))

        description = self.tr("Classifying {}").format(features.name)
        task = self.state.runner.job("classify", params, description, succeeded, self.fail)
        task.cancelled.connect(lambda: self.note.say(self.tr("Cancelled; the last map stays.")))
        self.job.follow(task)

    def save_as(self, path: str | Path) -> bool:
        """Copy the map to another file; False, and `failed`, when it cannot be written."""
        layer = self.layer()
        source, target = Path(layer.source()), Path(path)
        try:
            # Raises SameFileError, an OSError, when the map is to be saved as itself.
            copy_map(source, target)
        except OSError as error:
            sentence = self.tr("The map cannot be saved as “{}” ({}); choose another place.")
            self.fail(sentence.format(target, error.strerror or error))
            return False
        layer.saveNamedStyle(str(target.with_suffix(".qml")))
        self.note.say(self.tr("Saved {} and its style.").format(target.name))
        return True

    def _classified(self, result: dict[str, Any], features: FeatureFolder) -> None:
        names = {int(value): name for value, name in result["classes"].items()}
        colors = self.state.store.classes() if self.state.store is not None else {}
        try:
            layer, before = layers.show_map(self.state.project, Path(result["map"]), features.name, names, colors)
        except CanvasError as error:
            self.fail(str(error))
            return
        # Taken before the layer says it of the new one.
        last = json.loads(layer.customProperty(_RESULT, "null"))
        layer.setCustomProperty(_RESULT, json.dumps(result))
        self.note.say("\n".join(result.get("warnings", [])), "warning")
        retired = [before] if before is not None else []
        try:
            for kind, path in ((layers.POLYGONS, _polygons(result)), (layers.CERTAINTY, result.get("confidence"))):
                retired += show_beside(self.state.project, kind, Path(path) if path else None, features.name)
        except CanvasError as error:
            self.fail(str(error))
        if last is not None and last.get("classifier") and before is not None:
            retired.append(Path(last["classifier"]))
        self._files.retire(retired)
        self._show()
        self.classified.emit(result)

    def project_read(self) -> None:
        """Note which maps the project on disk shows."""
        self._files.project_read()
        self._show()

    def _samples_changed(self) -> None:
        layer = self.layer()
        if layer is not None and self.state.store is not None:
            recolor_map(layer, self.state.store.classes())
        self._show()

    def _counts(self) -> dict[str, int]:
        return self.state.store.counts() if self.state.store is not None else {}

    def _show(self, *_: object) -> None:
        missing = self.missing()
        self.job.button.setEnabled(not missing)
        counts = self._counts()
        words = [self.tr("Samples: {}.").format(", ".join(f"{name} {n}" for name, n in counts.items() if n))]
        if missing:
            words = [missing]
        elif self.map_options.saved():
            words = [self.tr("The saved classifier makes the map; the samples are not used.")]
        elif unlabelled := [name for name, count in counts.items() if not count]:
            words.append(self.tr("Without samples, so not in the map: {}.").format(", ".join(unlabelled)))
        self.samplesFacts.setText(" ".join(words))
        layer, result = self.layer(), self.result
        self.card.setVisible(layer is not None)
        if layer is None:
            return
        self.title.setText(f"<b>{layer.name()}</b>")
        self.facts.setText(self._facts(result))
        self.saveClassifierButton.setVisible(self._classifier() is not None)
        self._show_legend(layer)
        self.opacityBox.blockSignals(True)
        self.opacityBox.setOpacity(layer.opacity())
        self.opacityBox.blockSignals(False)

    def _facts(self, result: dict[str, Any] | None) -> str:
        if result is None:
            return ""
        head = self.headBox.itemText(max(0, self.headBox.findData(result["head"])))
        words = self.tr("{} on {} samples, {:.1f} s.").format(head, result["samples"], result["seconds"])
        indication = result.get("indication")
        if indication is not None:
            # Clicks are no probability sample, so this is not an accuracy.
            sentence = self.tr(
                "Indication: {:.0%} right when each place is left out in turn, as a mean over classes; "
                "not the accuracy of the map."
            )
            words += " " + sentence.format(indication)
        areas = result.get("areas_ha")
        if areas:
            listed = ", ".join(f"{name} {_hectares(area)}" for name, area in areas.items())
            words += " " + self.tr("Mapped: {}.").format(listed)
        return words

    def _classifier(self) -> Path | None:
        """Return the file of what the samples of the map taught, None when there is none."""
        result = self.result
        path = Path((result or {}).get("classifier") or "")
        return path if path.is_file() else None

    def _show_legend(self, layer: QgsRasterLayer) -> None:
        self.legend.clear()
        renderer = layer.renderer()
        entries = renderer.classes() if isinstance(renderer, QgsPalettedRasterRenderer) else []
        side = self.legend.fontMetrics().height()
        for entry in entries:
            swatch = QPixmap(side, side)
            swatch.fill(entry.color)
            item = QListWidgetItem(QIcon(swatch), entry.label)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            item.setToolTip(entry.label)
            self.legend.addItem(item)
        rows = min(max(1, len(entries)), _LEGEND_ROWS)
        row = max(self.legend.sizeHintForRow(0), side)
        self.legend.setFixedHeight(rows * row + 2 * self.legend.frameWidth() + 2)

    def _set_opacity(self, opacity: float) -> None:
        layer = self.layer()
        if layer is not None:
            layer.setOpacity(opacity)
            layer.triggerRepaint()

    def _choose_file(self) -> None:
        start = self.state.home() / f"{self.state.features.name}-landcover.tif"
        path, _kind = QFileDialog.getSaveFileName(
            self, self.tr("Save the map as"), str(start), self.tr("GeoTIFF") + " (*.tif)"
        )
        if path:
            self.save_as(path if path.lower().endswith((".tif", ".tiff")) else f"{path}.tif")

    def save_classifier(self, path: str | Path) -> bool:
        """Copy what the samples of the map taught to a file; False, and `failed`, when it cannot be written."""
        try:
            shutil.copyfile(self._classifier(), path)
        except OSError as error:
            sentence = self.tr("The classifier cannot be saved as “{}” ({}); choose another place.")
            self.fail(sentence.format(path, error.strerror or error))
            return False
        self.note.say(self.tr("Saved {}; Options can apply it to another image.").format(Path(path).name))
        return True

    def _choose_classifier_file(self) -> None:
        start = self.state.home() / f"{self.state.features.name}{CLASSIFIER_SUFFIX}"
        path, _kind = QFileDialog.getSaveFileName(
            self, self.tr("Save the classifier as"), str(start), self.tr("Classifiers") + f" (*{CLASSIFIER_SUFFIX})"
        )
        if path:
            self.save_classifier(path if path.lower().endswith(CLASSIFIER_SUFFIX) else f"{path}{CLASSIFIER_SUFFIX}")


def _new_file(features: FeatureFolder) -> Path:
    number = 1
    while (path := features.path.with_name(f"{features.name}-landcover-{number}.tif")).exists():
        number += 1
    return path


def _polygons(result: dict[str, Any]) -> str | None:
    return (result.get("polygons") or {}).get("path")


def _hectares(area: float) -> str:
    # Three digits are all that a map of 10 m pixels can say.
    return f"{float(f'{area:.3g}'):,g} ha"
