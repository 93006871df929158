# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks where a class list is to come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsMapLayer, QgsMapLayerProxyModel, QgsSettings, QgsVectorLayer
from qgis.gui import QgsFieldComboBox, QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QFormLayout, QLabel, QVBoxLayout, QWidget

from ssl4eo_plugin.canvas.class_import import classes_of_csv, classes_of_layer

if TYPE_CHECKING:
    from ssl4eo_plugin.canvas.class_import import Classes

__all__ = ["ClassImportDialog", "ask_csv"]

_FOLDER = "ssl4eo/class_list_folder"


class ClassImportDialog(QDialog):
    """A layer, and a field of it when its style is not the class list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Offer the layers of the project."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Import classes from a layer"))
        self.layers = QgsMapLayerComboBox(self)
        kinds = QgsMapLayerProxyModel.Filter
        self.layers.setFilters(kinds.VectorLayer | kinds.RasterLayer)
        self.fields = QgsFieldComboBox(self)
        self.fields.setAllowEmptyFieldName(True)
        self.layers.layerChanged.connect(self._layer_changed)
        form = QFormLayout()
        form.addRow(self.tr("Layer"), self.layers)
        form.addRow(self.tr("Field"), self.fields)
        hint = QLabel(self.tr("Without a field the names and colours of the layer's style are taken."))
        hint.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(hint)
        column.addWidget(buttons)
        self._layer_changed(self.layers.currentLayer())

    def classes(self) -> Classes:
        """Return the class list that is chosen.

        Raises:
            CanvasError: when there is none in the layer.
        """
        layer = self.layers.currentLayer()
        return classes_of_layer(layer, self.fields.currentField()) if layer is not None else {}

    def _layer_changed(self, layer: QgsMapLayer | None) -> None:
        vector = layer if isinstance(layer, QgsVectorLayer) else None
        self.fields.setLayer(vector)
        self.fields.setField("")
        self.fields.setEnabled(vector is not None)


def ask_csv(parent: QWidget, title: str, kinds: str) -> Classes | None:
    """Ask for a file and return its class list, None when the user changed their mind.

    Raises:
        CanvasError: when the file holds none.
    """
    file, _kind = QFileDialog.getOpenFileName(parent, title, QgsSettings().value(_FOLDER, ""), kinds)
    if not file:
        return None
    QgsSettings().setValue(_FOLDER, str(Path(file).parent))
    return classes_of_csv(file)
