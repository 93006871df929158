# SPDX-License-Identifier: GPL-2.0-or-later
"""The form where the user corrects what was found in an image: bands, level, unit, divisor, offset, no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.PyQt import uic
from qgis.PyQt.QtCore import QLocale, Qt, pyqtSignal
from qgis.PyQt.QtGui import QDoubleValidator
from qgis.PyQt.QtWidgets import QComboBox, QHeaderView, QTableWidgetItem, QWidget

from ssl4eo_plugin.panel.encoder_words import level_name
from ssl4eo_plugin.panel.findings import found, how_sure, why
from ssl4eo_plugin.panel.scene_facts import S1_BANDS, S2_BANDS, unit_name
from ssl4eo_plugin.panel.widgets import fade

__all__ = ["BandsForm"]

# Rows shown before the table scrolls.
_ROWS_SHOWN = 13
# What the backend knows, by sensor.
_LEVELS = {"S2": ("L1C", "L2A"), "S1": ("GRD", "RTC")}
_UNITS = {"S2": ("dn", "reflectance"), "S1": ("db", "linear", "amplitude")}
# The field of the backend's answer that each overrule is about.
_FIELDS = {
    "bands": "bands", "level": "level", "unit": "unit", "scale": "quantification", "offset": "offset",
    "nodata": "nodata",
}  # fmt: skip


class BandsForm(QWidget):
    """One row per band of the file, and what its values mean; nothing happens before Apply."""

    # What overrules the file, as keyword arguments of `Client.inspect`; {} is "as in the file".
    applied = pyqtSignal(dict)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty form."""
        super().__init__(parent)
        uic.loadUi(str(Path(__file__).with_suffix(".ui")), self)
        self._info: dict[str, Any] = {}
        # What the widgets showed of the numbers found, by the names of the overrules.
        self._shown: dict[str, float | str] = {}
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        numbers = QDoubleValidator(self)
        # Read by float() later, whatever the language of QGIS.
        numbers.setLocale(QLocale.c())
        self.nodata.setValidator(numbers)
        self._marks = {
            "bands": self.bandsMark, "level": self.levelMark, "unit": self.unitMark, "scale": self.scaleMark,
            "offset": self.offsetMark, "nodata": self.nodataMark,
        }  # fmt: skip
        for widget in (self.level, self.unit, self.scale, self.offset):
            _ignore_wheel(widget)
        self.applyButton.clicked.connect(lambda: self.applied.emit(self.told()))
        self.resetButton.clicked.connect(lambda: self.applied.emit({}))

    def set_info(self, info: dict[str, Any]) -> None:
        """Show what `inspect` said."""
        self._info = info
        self._fill_table(info["bands"])
        sensor = info["sensor"]
        levels = [(level_name(level), level) for level in _known(_LEVELS, sensor)]
        _fill(self.level, levels, info["level"], self.tr("not known"))
        units = [(unit_name(unit), unit) for unit in _known(_UNITS, sensor)]
        _fill(self.unit, units, info["unit"], unit_name(info["unit"]))
        self.scale.setValue(info["quantification"])
        self.offset.setValue(info["offset"])
        self.nodata.setText("" if info["nodata"] is None else _exact(info["nodata"]))
        self._shown = {"scale": self.scale.value(), "offset": self.offset.value(), "nodata": self.nodata.text()}
        # The unit of Sentinel-2 follows from the divisor, and decibels have no offset.
        for name, shown in (("unit", sensor != "S2"), ("offset", sensor != "S1")):
            for widget in (getattr(self, name), getattr(self, f"{name}Label"), self._marks[name]):
                widget.setVisible(shown)
        self._show_marks()

    def choose(self, names: list[str | None]) -> None:
        """Set the bands as if by hand."""
        for row, name in enumerate(names):
            box = self.table.cellWidget(row, 1)
            box.setCurrentIndex(max(0, box.findData(name)))

    def told(self) -> dict[str, Any]:
        """Return what differs from what was found, and what was not read for certain: Apply confirms that."""
        names = [self.table.cellWidget(row, 1).currentData() for row in range(self.table.rowCount())]
        given: dict[str, Any] = {
            "bands": {str(row + 1): name for row, name in enumerate(names) if name is not None} or None,
            "level": self.level.currentData(),
            "unit": self.unit.currentData(),
            # A divisor; the backend takes one over 1 as such, and exactly 1 is the value itself.
            "scale": self.scale.value(),
            "offset": self.offset.value(),
            "nodata": float(self.nodata.text()) if self.nodata.hasAcceptableInput() else None,
        }
        showing = {"scale": given["scale"], "offset": given["offset"], "nodata": self.nodata.text()}
        # A spin box rounds and limits what it is given: where nobody touched it, what was found counts.
        given.update({name: self._info[_FIELDS[name]] for name in showing if showing[name] == self._shown[name]})
        as_found: dict[str, Any] = {name: self._info[field] for name, field in _FIELDS.items()}
        as_found["bands"] = {str(row + 1): name for row, name in enumerate(self._info["bands"]) if name} or None
        return {
            name: value
            for name, value in given.items()
            if value is not None and (value != as_found[name] or self._open(name))
        }

    def _open(self, name: str) -> bool:
        """Whether a value that was left as it is needs saying: the file does not say it for certain."""
        sensor, finding = self._info["sensor"], found(self._info, _FIELDS[name])
        if sensor is None and name != "bands":
            # Nothing was looked for yet, so what stands there is nobody's finding.
            return False
        if (name == "unit" and sensor != "S1") or (name == "offset" and sensor == "S1"):
            return finding is not None and finding["how"] == "told"
        return finding is None or (finding["how"], finding["confidence"]) != ("read", "certain")

    def _show_marks(self) -> None:
        for name, mark in self._marks.items():
            text = how_sure(self._info, _FIELDS[name])
            if name == "bands":
                text = self.tr("The bands are {}.").format(text) if text else ""
                mark.setVisible(bool(text))
            mark.setText(text)
            fade(mark)
            for widget in (mark, self.table if name == "bands" else getattr(self, f"{name}Label")):
                widget.setToolTip(why(self._info, _FIELDS[name]))

    def _fill_table(self, names: list[str | None]) -> None:
        self.table.setRowCount(len(names))
        for row, name in enumerate(names):
            self.table.setItem(row, 0, QTableWidgetItem(self.tr("Band {}").format(row + 1)))
            self.table.setCellWidget(row, 1, self._choice(name))
        rows = min(len(names), _ROWS_SHOWN)
        height = self.table.horizontalHeader().sizeHint().height() + 2 * self.table.frameWidth()
        self.table.setFixedHeight(height + sum(self.table.rowHeight(row) for row in range(rows)))

    def _choice(self, name: str | None) -> QComboBox:
        box = QComboBox()
        bands = {"S1": S1_BANDS, "S2": S2_BANDS}.get(self._info["sensor"], (*S2_BANDS, *S1_BANDS))
        # Another sensor's names stay at hand: what the image is may have been inferred wrong.
        others = [band for band in (*S2_BANDS, *S1_BANDS) if band not in bands]
        _fill(box, [(band, band) for band in (*bands, *others)], name, self.tr("not used"), always=True)
        _ignore_wheel(box)
        return box


def _exact(value: float) -> str:
    """Return a number as a person writes it where that is the same number, else with all its digits."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _known(table: dict[str, tuple[str, ...]], sensor: str | None) -> tuple[str, ...]:
    return table[sensor] if sensor in table else (*table["S2"], *table["S1"])


def _fill(
    box: QComboBox, entries: list[tuple[str, str]], chosen: str | None, none: str, *, always: bool = False
) -> None:
    """Fill a box and choose; what is not among the entries, or `always`, gets one named `none` in front."""
    box.clear()
    if always or chosen not in [data for _text, data in entries]:
        box.addItem(none, None)
    for text, data in entries:
        box.addItem(text, data)
    box.setCurrentIndex(max(0, box.findData(chosen)))


def _ignore_wheel(widget: QWidget) -> None:
    # Else the wheel that scrolls the page changes a value.
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.wheelEvent = lambda event: event.ignore()
