# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the next label helps most, and which labels disagree with their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication, QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsPointXY
from qgis.PyQt.QtCore import Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ssl4eo_plugin.canvas.suggestions import Marks
from ssl4eo_plugin.panel.widgets import mark_checked

if TYPE_CHECKING:
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["Guidance"]

# Milliseconds without a further answer before the places are asked for anew: they must not hold up the next click.
_QUIET = 600
_LIST_ROWS = 4
_SAMPLE_ROLE = Qt.ItemDataRole.UserRole


class Guidance(QWidget):
    """Buttons, a sentence and a list on the page; numbered marks and red rings on the canvas."""

    # The place suggested is now in the middle of the map, and the next class key labels it.
    arrived = pyqtSignal()
    # The share of each class's samples that are called right when their place is left out.
    indicated = pyqtSignal(dict)

    def __init__(self, state: PanelState, parent: QWidget | None = None) -> None:
        """Follow the live map; places are asked for once the user wants them."""
        super().__init__(parent)
        self._state = state
        self._places: list[dict[str, Any]] = []
        self._current = -1
        self._asked = 0
        self._marks, self._rings = Marks(state.canvas), Marks(state.canvas)
        self._make()
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(_QUIET)
        self._quiet.timeout.connect(self._refresh)
        state.live_map.fitted.connect(self._fitted)
        state.live_map.changed.connect(self._follow)
        self._follow()

    def next(self) -> None:
        """Go to the next place; the first time, and after the last, places are asked for."""
        self.showButton.setChecked(True)
        if self._state.live is None:
            self._say(self.tr("Switch the live map on; it finds the places."))
        elif self._current + 1 < len(self._places):
            self._go(self._current + 1)
        else:
            self._ask(then_go=True)

    def place(self) -> tuple[QgsPointXY, QgsCoordinateReferenceSystem] | None:
        """Return the suggested place that the next class key labels, None when there is none."""
        if self._current < 0 or self._state.features is None:
            return None
        chosen = self._places[self._current]
        return QgsPointXY(chosen["x"], chosen["y"]), self._state.features.crs

    def leave(self) -> None:
        """Let class keys choose classes again."""
        self._current = -1
        self._marks.set_current(-1)
        self._say_place()

    def labelled(self) -> None:
        """Take the place that was labelled off the list."""
        if self._current >= 0:
            del self._places[self._current]
            # So that `next` goes on with the one that moved up; all may have been labelled.
            self._current = -1
            self._show_marks()
            self._say_place()

    def disagreeing(self) -> list[str]:
        """Return the ids of the labels that disagree with their neighbours, as listed."""
        return [self.list.item(row).data(_SAMPLE_ROLE) for row in range(self.list.count())]

    def go_to_sample(self, name: str) -> None:
        """Bring a sample into the middle of the map."""
        store = self._state.store
        shape = store.place_of(name) if store is not None else None
        if shape is not None:
            self._center(shape.pointOnSurface().asPoint(), store.crs)

    def dispose(self) -> None:
        """Take the marks off the canvas for good."""
        self._quiet.stop()
        self._marks.dispose()
        self._rings.dispose()

    def _make(self) -> None:
        self.showButton = QToolButton()
        self.showButton.setCheckable(True)
        self.showButton.setText(self.tr("Where next?"))
        self.showButton.setToolTip(self.tr("Mark five places of this view where one more label helps most"))
        self.showButton.setIcon(QgsApplication.getThemeIcon("/mActionShowBookmarks.svg"))
        self.showButton.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        mark_checked(self.showButton)
        self.showButton.toggled.connect(self._toggled)
        self.nextButton = QPushButton(self.tr("Go to next (N)"))
        self.nextButton.setToolTip(self.tr("Bring the next place into the middle; the key of a class then labels it"))
        self.nextButton.clicked.connect(self.next)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.showButton)
        row.addWidget(self.nextButton)
        row.addStretch()
        self.reason, self.flagTitle = _wrapped(), _wrapped()
        self.list = QListWidget()
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda item: self.go_to_sample(item.data(_SAMPLE_ROLE)))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        for widget in (self.reason, self.flagTitle, self.list):
            column.addWidget(widget)
        self._say("")
        self._show_flags([])

    def _toggled(self, on: bool) -> None:
        if on:
            self._ask(then_go=False)
        else:
            self._drop_places()
            self._say("")

    def _follow(self) -> None:
        """Show nothing of a live map that is off."""
        on = self._state.live is not None
        self.setEnabled(on and self._state.store is not None)
        if not on or self._state.live_map.answer is None:
            self._rings.clear()
            self._show_flags([])
            self.indicated.emit({})
        if not on:
            self.showButton.setChecked(False)

    def _fitted(self, answer: dict[str, Any]) -> None:
        indication = answer.get("indication") or {}
        self.indicated.emit(dict(indication.get("per_class") or {}))
        self._show_flags(answer.get("disagreeing") or [])
        if self.showButton.isChecked():
            self._quiet.start()

    def _refresh(self) -> None:
        # Not under the user's hands: the place in the middle is still to be labelled.
        if self.showButton.isChecked() and self._current < 0:
            self._ask(then_go=False)

    def _ask(self, then_go: bool) -> None:
        live = self._state.live
        if live is None:
            self._say(self.tr("Switch the live map on; it finds the places."))
            return
        self._asked += 1
        number = self._asked
        live.suggestions(lambda answer: self._answered(number, answer, then_go))

    def _answered(self, number: int, answer: dict[str, Any] | None, then_go: bool) -> None:
        if number != self._asked or not self.showButton.isChecked():
            return
        self._places = list((answer or {}).get("suggestions") or [])
        self._current = -1
        self._show_marks()
        if not self._places:
            self._say(self.tr("There is no place to suggest in this view; pan or zoom out."))
        elif then_go:
            self._go(0)
        else:
            self._say_place()

    def _go(self, index: int) -> None:
        self._current = index
        place = self.place()
        if place is not None and self._center(*place):
            self._marks.set_current(index)
            self._say_place()
            self.arrived.emit()

    def _center(self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem) -> bool:
        canvas = self._state.canvas
        target = canvas.mapSettings().destinationCrs()
        try:
            point = QgsCoordinateTransform(crs, target, self._state.project).transform(point)
        except QgsCsException:
            return False
        canvas.setCenter(point)
        canvas.refresh()
        # The keys go to the tool from now on.
        canvas.setFocus()
        return True

    def _show_marks(self) -> None:
        if self._state.features is not None:
            places = [(QgsPointXY(place["x"], place["y"]), str(place["rank"])) for place in self._places]
            self._marks.show(places, self._state.features.crs)

    def _drop_places(self) -> None:
        self._asked += 1
        self._places, self._current = [], -1
        self._marks.clear()

    def _say_place(self) -> None:
        if self._current >= 0:
            place = self._places[self._current]
            words = self.tr("Place {}: {} What is it? Press the key of its class.")
            self._say(words.format(place["rank"], place["reason"].rstrip(".") + "."))
        elif self._places:
            self._say(self.tr("{} places are marked; N goes to the next.").format(len(self._places)))
        elif self.showButton.isChecked():
            self._say(self.tr("All places are labelled; N finds more."))

    def _say(self, words: str) -> None:
        self.reason.setText(words)
        self.reason.setVisible(bool(words))

    def _show_flags(self, disagreeing: list[dict[str, Any]]) -> None:
        store = self._state.store
        self.list.clear()
        places = []
        for flag in disagreeing:
            shape = store.place_of(flag["id"]) if store is not None else None
            if shape is None:
                continue
            places.append((shape.pointOnSurface().asPoint(), ""))
            words = self.tr("“{}”, but its neighbours say “{}” ({:.0%})")
            item = QListWidgetItem(words.format(flag["class"], flag["says"], flag["share"]))
            item.setToolTip(self.tr("Click to bring this label into the middle of the map"))
            item.setData(_SAMPLE_ROLE, flag["id"])
            self.list.addItem(item)
        if store is not None:
            self._rings.show(places, store.crs)
        self.flagTitle.setText(self.tr("Labels to look at again (red rings): {}").format(len(places)))
        for widget in (self.flagTitle, self.list):
            widget.setVisible(bool(places))
        rows = min(len(places), _LIST_ROWS)
        self.list.setFixedHeight(rows * (self.list.fontMetrics().height() + 4) + 2 * self.list.frameWidth() + 2)


def _wrapped() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
