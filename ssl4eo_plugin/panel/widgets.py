# SPDX-License-Identifier: GPL-2.0-or-later
"""Small widgets of the panel, in the colours of the user's theme: the step bar, and sentences with a level."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qgis.PyQt.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF, QShowEvent, QTextOption
from qgis.PyQt.QtWidgets import (
    QAbstractButton,
    QAction,
    QApplication,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Note", "StepBar", "breakable", "fade", "mark_checked", "text_color"]

# Zero-width space: a place to break a line that shows nothing.
_BREAK = "\u200b"
_THEME_EVENTS = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
# Middle of the lightness scale, 0 to 255.
_HALF = 127
# Opacity of what cannot be entered yet.
_DISABLED = 120
# Opacity of secondary text; still over 4.5:1 on QGIS's themes.
_FADED = 170

# Text and tint of each level on light and on dark themes; the contrast with the tinted ground is over 4.5:1
# (WCAG 2.1, 1.4.3).
_LEVELS = {
    "info": (None, None, "128,128,128,30"),
    "warning": ("#6b4a00", "#ffd479", "230,160,0,45"),
    "error": ("#a3150f", "#ff9b94", "220,40,30,38"),
}


def text_color(widget: QWidget) -> QColor:
    """Return the colour that labels in a widget have; QGIS's dark themes set it by style sheet, not by palette."""
    probe = QLabel(widget)
    probe.ensurePolished()
    color = probe.palette().color(QPalette.ColorGroup.Active, QPalette.ColorRole.WindowText)
    probe.deleteLater()
    return color


def breakable(text: str) -> str:
    """Let a label break paths and file names, which have no blanks, after their punctuation."""
    return re.sub(r"([/\\_.-])(?=\S)", rf"\1{_BREAK}", text)


def mark_checked(button: QToolButton) -> None:
    """Let a checked button stand out; the themes alone show it by a shade of grey."""
    button.setStyleSheet(
        "QToolButton:checked { background: palette(highlight); color: palette(highlighted-text);"
        " border: 1px solid palette(highlight); border-radius: 3px; padding: 3px 4px; }"
    )


def fade(label: QLabel) -> None:
    """Write a label fainter than the text it belongs to, on any theme."""
    palette = label.palette()
    palette.setColor(QPalette.ColorRole.WindowText, _faint(palette.color(QPalette.ColorRole.WindowText), _FADED))
    label.setPalette(palette)


class Note(QLabel):
    """A wrapped sentence on a tinted ground; hidden while it has nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty, hidden note."""
        super().__init__(parent)
        self._repaint = _later(self, self._paint)
        self._level = "info"
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        copy = QAction(self.tr("Copy"), self)
        copy.triggered.connect(lambda: QApplication.clipboard().setText(self.sentence()))
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setVisible(False)

    @property
    def level(self) -> str:
        """The level: `info`, `warning` or `error`."""
        return self._level

    def say(self, sentence: str, level: str = "info") -> None:
        """Show a sentence; "" hides the note."""
        self._level = level
        self.setText(breakable(sentence))
        self.setAccessibleName(sentence)
        self._paint()
        self.setVisible(bool(sentence))

    def sentence(self) -> str:
        """Return what is shown, "" when nothing is."""
        return self.text().replace(_BREAK, "")

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of theme."""
        super().changeEvent(event)
        if event.type() in _THEME_EVENTS:
            self._repaint.start()

    def _paint(self) -> None:
        light, dark, tint = _LEVELS[self._level]
        # Light text means a dark theme.
        color = dark if text_color(self.parentWidget()).lightness() > _HALF else light
        rules = f"background: rgba({tint}); border-radius: 3px; padding: 6px;" + (f" color: {color};" if color else "")
        if self.styleSheet() != rules:
            self.setStyleSheet(rules)


class _StepButton(QAbstractButton):
    """One step: a numbered disc, a tick when done, a name, and a line beneath the current one."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__()
        self._number = number
        self.done = False
        self.text_color = QColor()
        self.setText(name)
        self.setCheckable(True)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(self._disc() + metrics.horizontalAdvance(self.text()) + 14, self._disc() + 18)

    def minimumSizeHint(self) -> QSize:
        return QSize(self._disc() + 8, self._disc() + 18)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        current = self.isChecked()
        text = self.text_color if self.isEnabled() else _faint(self.text_color, _DISABLED)
        accent = self.palette().color(QPalette.ColorGroup.Active, QPalette.ColorRole.Highlight)
        if self.isEnabled() and (self.underMouse() or self.hasFocus()):
            painter.fillRect(self.rect(), _faint(text, 22))
        disc = self._draw_disc(painter, text, accent)
        self._draw_name(painter, disc, text)
        line = QRectF(0, self.height() - (3 if current else 1), self.width(), 3 if current else 1)
        painter.fillRect(line, accent if current else _faint(text, 60))

    def _draw_disc(self, painter: QPainter, text: QColor, accent: QColor) -> QRectF:
        metrics = self.fontMetrics()
        wide = self._disc() + 5 + metrics.horizontalAdvance(self.text())
        left = max(3.0, (self.width() - wide) / 2)
        disc = QRectF(left, (self.height() - 3 - self._disc()) / 2, self._disc(), self._disc())
        filled = self.isChecked()
        painter.setPen(QPen(accent if filled or self.done else text, 1.2))
        painter.setBrush(accent if filled else _faint(accent, 60) if self.done else QColor(0, 0, 0, 0))
        painter.drawEllipse(disc)
        on_disc = self.palette().color(QPalette.ColorRole.HighlightedText) if filled else text
        painter.setPen(QPen(on_disc, 1.8, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        if self.done and not filled:
            tick = ((0.28, 0.53), (0.44, 0.69), (0.73, 0.34))
            corners = [disc.topLeft() + QPointF(across, down) * disc.width() for across, down in tick]
            painter.drawPolyline(QPolygonF(corners))
        else:
            _write(painter, disc, str(self._number), Qt.AlignmentFlag.AlignCenter)
        return disc

    def _draw_name(self, painter: QPainter, disc: QRectF, text: QColor) -> None:
        painter.setPen(text)
        room = QRectF(disc.right() + 5, 0, self.width() - disc.right() - 5, self.height() - 3)
        name = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, int(room.width()))
        _write(painter, room, name, Qt.AlignmentFlag.AlignVCenter)

    def _disc(self) -> int:
        return self.fontMetrics().height() + 3


class StepBar(QWidget):
    """The steps side by side; the current one stands out, those done are ticked, those to come are grey."""

    chosen = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make a bar without steps; see `set_steps`."""
        super().__init__(parent)
        self._recolor = _later(self, self._take_colors)
        self._buttons: list[_StepButton] = []
        self._group = QButtonGroup(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)

    def set_steps(self, names: list[str]) -> None:
        """Set the names, once."""
        for index, name in enumerate(names):
            button = _StepButton(index + 1, name)
            button.clicked.connect(lambda _checked=False, index=index: self.chosen.emit(index))
            self._group.addButton(button, index)
            self.layout().addWidget(button)
            self._buttons.append(button)

    def showEvent(self, event: QShowEvent) -> None:
        """Take the colours of the theme, which are known once the bar stands in its window."""
        super().showEvent(event)
        self._take_colors()

    def changeEvent(self, event: QEvent) -> None:
        """Follow a change of theme."""
        super().changeEvent(event)
        if event.type() in _THEME_EVENTS:
            self._recolor.start()

    def _take_colors(self) -> None:
        color = text_color(self)
        for button in self._buttons:
            button.text_color = color
            button.update()

    def set_current(self, index: int) -> None:
        """Mark the step that is shown."""
        self._buttons[index].setChecked(True)

    def set_state(self, index: int, *, enabled: bool, done: bool, tip: str) -> None:
        """Say of a step whether it can be entered, whether it is done, and why or what."""
        button = self._buttons[index]
        button.done = done
        button.setEnabled(enabled)
        button.setToolTip(tip)
        button.update()

    def enabled(self, index: int) -> bool:
        """Return whether a step can be entered."""
        return self._buttons[index].isEnabled()

    def done(self, index: int) -> bool:
        """Return whether a step is ticked."""
        return self._buttons[index].done


def _later(owner: QObject, action: Callable[[], None]) -> QTimer:
    """Return a timer that acts once events are dealt with: amid a change of theme colours are not yet known."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(0)
    timer.timeout.connect(action)
    return timer


def _faint(color: QColor, alpha: int) -> QColor:
    faint = QColor(color)
    faint.setAlpha(alpha)
    return faint


def _write(painter: QPainter, room: QRectF, text: str, alignment: Qt.AlignmentFlag) -> None:
    # An option, because PyQt5 and PyQt6 take the flags of drawText differently.
    option = QTextOption(alignment)
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    painter.drawText(room, text, option)
