# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of an encoder's channels: how many components, fitted to this image or taken from a feature set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, Qt

if TYPE_CHECKING:
    from qgis.PyQt.QtWidgets import QComboBox

    from ssl4eo_plugin.canvas.feature_folder import FeatureFolder
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["ReductionForm"]

# The backend's own choice.
_USUAL = 64
_FULL = "full"
# Of a feature set in the list, beside its folder.
_NUMBER = Qt.ItemDataRole.UserRole + 1


class ReductionForm(QObject):
    """Two combo boxes of the Features page; with another set's projection its number of components comes along."""

    def __init__(self, state: PanelState, components: QComboBox, projections: QComboBox) -> None:
        """Take the widgets over; 64 components fitted to the image are chosen."""
        super().__init__(components)
        self._state, self._components, self._projections = state, components, projections
        self._encoders: list[str] = []
        self._mode = ""
        self._wanted: int | str = _USUAL
        components.activated.connect(self._components_chosen)
        projections.currentIndexChanged.connect(lambda _index: self._show_components())
        state.featuresChanged.connect(self.show)
        self.show()

    def params(self) -> dict[str, Any]:
        """Return what the job `encode` takes."""
        params: dict[str, Any] = {"components": self._components.currentData()}
        projection = self._projections.currentData()
        return {**params, "projection": projection} if projection else params

    def choose_components(self, components: int | str) -> None:
        """Choose as if by hand: a number, or "full" for all channels."""
        self._wanted = components
        self._show_components()

    def choose_projection(self, folder: str | Path | None) -> bool:
        """Choose as if by hand, None for the image's own; False when the set is not offered."""
        index = self._projections.findData(str(folder)) if folder else 0
        self._projections.setCurrentIndex(max(0, index))
        return index >= 0

    def set_encoders(self, encoders: list[str], mode: str) -> None:
        """Offer the feature sets that were made by these encoders in this mode."""
        if (encoders, mode) != (self._encoders, self._mode):
            self._encoders, self._mode = encoders, mode
            self.show()

    def show(self) -> None:
        """Look at the disk again and offer what is there."""
        chosen = self._projections.currentData()
        fitting = [features for features in self._state.feature_sets() if self._fits(features)]
        self._projections.blockSignals(True)
        self._projections.clear()
        self._projections.addItem(self.tr("This image"), None)
        for features in fitting:
            self._projections.addItem(features.name, str(features.path))
            row = self._projections.count() - 1
            self._projections.setItemData(row, f"{features.path}\n{features.scene}", Qt.ItemDataRole.ToolTipRole)
            self._projections.setItemData(row, features.components, _NUMBER)
        self._projections.setCurrentIndex(max(0, self._projections.findData(chosen)) if chosen else 0)
        self._projections.blockSignals(False)
        self._projections.setEnabled(bool(fitting))
        self._projections.setToolTip(
            self.tr("The components of another feature set make what is learnt there fit this image too")
            if fitting
            else self.tr("No feature set of this project was made with this encoder in this quality")
        )
        self._show_components()

    def _fits(self, features: FeatureFolder) -> bool:
        return bool(self._encoders) and features.mode == self._mode and set(self._encoders) <= set(features.encoders)

    def _components_chosen(self, _index: int) -> None:
        self._wanted = self._components.currentData()

    def _show_components(self) -> None:
        projection = self._projections.currentData()
        shown = self._projections.currentData(_NUMBER) if projection else self._wanted
        self._components.clear()
        numbers = {32, _USUAL, 128} | ({shown} if isinstance(shown, int) else set())
        for number in sorted(numbers):
            self._components.addItem(str(number), number)
        self._components.addItem(self.tr("All channels"), _FULL)
        self._components.setCurrentIndex(self._components.findData(shown))
        self._components.setEnabled(not projection)
        self._components.setToolTip(
            self.tr("As in the chosen feature set")
            if projection
            else self.tr("How many values are kept per level and place; more take more disk and more time to classify")
        )
