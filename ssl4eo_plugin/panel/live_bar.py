# SPDX-License-Identifier: GPL-2.0-or-later
"""The switch of the live map, how it is drawn, and what it rests on in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication
from qgis.PyQt import uic
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QWidget

from ssl4eo_plugin.panel.widgets import breakable, fade, mark_checked

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["LiveBar"]

# Reasons for samples that were left out which are worth a line; the rest is in the tool tip.
_MOST_REASONS = 1


class LiveBar(QWidget):
    """A few widgets over the `MapChoices` of the project and the `LiveMap`; it keeps nothing of its own."""

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Show what was chosen."""
        super().__init__(parent)
        uic.loadUi(str(Path(__file__).with_suffix(".ui")), self)
        self._state, self._choices, self._live = state, state.choices, state.live_map
        self.layerBox.addItem(self.tr("Classes"), "classes")
        self.layerBox.addItem(self.tr("Likeness to the chosen class"), "similarity")
        self.lookButton.setIcon(QgsApplication.getThemeIcon("/propertyicons/symbology.svg"))
        self.lookButton.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        mark_checked(self.lookButton)
        self.look.setVisible(False)
        fade(self.status)
        self.lookButton.toggled.connect(self.look.setVisible)
        self.onBox.toggled.connect(self._live.set_on)
        self.layerBox.activated.connect(lambda _row: self._choices.choose(layer=self.layerBox.currentData()))
        self.opacityBox.opacityChanged.connect(lambda opacity: self._choices.choose(opacity=opacity))
        self.fadeBox.toggled.connect(lambda on: self._choices.choose(fade=on))
        self.noneBox.toggled.connect(self._choose_none)
        self.noneSlider.valueChanged.connect(self._choose_none)
        self._choices.changed.connect(self._show_choices)
        self._live.changed.connect(self._show_status)
        state.featuresChanged.connect(self._show_status)
        self._show_choices()
        self._show_status()

    def _choose_none(self, *_: object) -> None:
        share = self.noneSlider.value() / 100
        self._choices.choose(none_beyond=share if self.noneBox.isChecked() else None)

    def _show_choices(self, *_: object) -> None:
        widgets = (self.onBox, self.layerBox, self.opacityBox, self.fadeBox, self.noneBox, self.noneSlider)
        for widget in widgets:
            widget.blockSignals(True)
        choices = self._choices
        self.onBox.setChecked(choices["live"])
        self.layerBox.setCurrentIndex(max(0, self.layerBox.findData(choices["layer"])))
        self.opacityBox.setOpacity(choices["opacity"])
        self.fadeBox.setChecked(choices["fade"])
        beyond = choices["none_beyond"]
        self.noneBox.setChecked(beyond is not None)
        if beyond is not None:
            self.noneSlider.setValue(round(100 * beyond))
        for widget in widgets:
            widget.blockSignals(False)
        self.noneSlider.setEnabled(beyond is not None)
        self.noneLabel.setText(f"{self.noneSlider.value()} %")
        tip = self.tr("Grey is what is farther from every class than {} % of the samples are from theirs")
        self.noneSlider.setToolTip(tip.format(self.noneSlider.value()))

    def _show_status(self) -> None:
        live = self._live
        for widget in (self.layerBox, self.lookButton):
            widget.setEnabled(live.on)
        self.onBox.setEnabled(self._state.features is not None)
        self.note.say(live.trouble, "error")
        words, tip = "", ""
        if live.on and live.waiting:
            words = self.tr("Starting the live map …")
        elif live.on and live.answer is not None:
            words, tip = self._said(live.answer), self._told(live.answer)
        self.status.setText(breakable(words))
        self.status.setToolTip(tip)
        self.status.setVisible(bool(words))

    def _said(self, answer: dict[str, Any]) -> str:
        if not answer["ready"]:
            return str(answer["message"])
        words = [str(answer["reason"])]
        score = (answer.get("indication") or {}).get("balanced_accuracy")
        if score is not None:
            # Clicks are no probability sample, so this is not an accuracy.
            words.append(self.tr("Indication: {:.0%} right when each place is left out in turn.").format(score))
        left_out = answer.get("left_out") or []
        if left_out:
            words.append(self.tr("Left out: {} ({}).").format(len(left_out), left_out[0]["reason"].rstrip(".")))
        return " ".join(words)

    def _told(self, answer: dict[str, Any]) -> str:
        lines = [
            self.tr("Level {}: weight {:.2g}").format(one["index"], one["scale"]) for one in answer.get("levels", [])
        ]
        lines += [f"{one['id']}: {one['reason']}" for one in (answer.get("left_out") or [])[_MOST_REASONS:]]
        lines += answer.get("warnings") or []
        return "\n".join(lines)
