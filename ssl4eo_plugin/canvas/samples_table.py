# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the two samples tables, on disk at once and alike in memory, where a click finds them without reading."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from qgis.core import NULL, QgsFeature
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.history import Step
from ssl4eo_plugin.canvas.samples_file import AREAS, CLASS_FIELD, POINTS, open_layer

if TYPE_CHECKING:
    from pathlib import Path

    from qgis.core import QgsGeometry, QgsVectorLayer

    from ssl4eo_plugin.canvas.history import Rows

__all__ = ["AREA", "POINT", "SampleTables", "class_of", "filled_row", "is_training", "same_sample"]

# The id of a sample is one of these and the key of its row.
POINT, AREA = "p", "a"
_TABLES = {POINT: POINTS, AREA: AREAS}
_ROLE_FIELD, _ASSESS = "role", "assess"

translate = QCoreApplication.translate


def class_of(sample: QgsFeature) -> str:
    """Return the class of a sample, "" when it has none."""
    name = sample[CLASS_FIELD]
    return name if isinstance(name, str) else ""


def is_training(sample: QgsFeature) -> bool:
    """Return whether a sample has a class and was not kept for the assessment."""
    has_role = sample.fields().lookupField(_ROLE_FIELD) >= 0
    return bool(class_of(sample)) and not (has_role and sample[_ROLE_FIELD] == _ASSESS)


def same_sample(one: QgsFeature | None, other: QgsFeature | None) -> bool:
    """Return whether two rows hold the same."""
    if one is None or other is None:
        return one is other
    return one.attributes() == other.attributes() and one.geometry().asWkb() == other.geometry().asWkb()


def filled_row(row: QgsFeature, geometry: QgsGeometry, class_name: str) -> QgsFeature:
    """Return an empty row filled in as a new training sample."""
    row.setGeometry(geometry)
    values = {
        CLASS_FIELD: class_name,
        "confidence": 1.0,
        _ROLE_FIELD: "train",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    for name, value in values.items():
        if row.fields().lookupField(name) >= 0:
            row[name] = value
    return row


class SampleTables:
    """Writes past the edit buffers, so that a sample is on disk before the click is over."""

    def __init__(self, path: Path, points: QgsVectorLayer, areas: QgsVectorLayer) -> None:
        """Read both tables."""
        self._path = path
        self._layers = {POINT: points, AREA: areas}
        self._sources = {kind: layer.source() for kind, layer in self._layers.items()}
        self.rows: dict[str, QgsFeature] = {}
        self.rows = self.read()
        self._keep_open()

    def read(self) -> dict[str, QgsFeature]:
        """Return the rows as they are on disk; `rows` stays as it is.

        Raises:
            CanvasError: when a table that had rows cannot be read now.
        """
        rows = {}
        for kind, layer in self._layers.items():
            found = {f"{kind}{row.id()}": QgsFeature(row) for row in layer.dataProvider().getFeatures()}
            if not found and any(name.startswith(kind) for name in self.rows):
                # A table that is locked or gone reads as an empty one: a fresh look tells them apart.
                open_layer(self._path, _TABLES[kind])
            rows.update(found)
        return rows

    def take_up(self, rows: dict[str, QgsFeature]) -> Step:
        """Make `rows` the rows, and return what differs from those before."""
        old = self.rows
        touched = [name for name in {**old, **rows} if not same_sample(old.get(name), rows.get(name))]
        # Rows that did not change stay the same objects, by which texts made of them are known to hold.
        self.rows = {name: row if name in touched else old[name] for name, row in rows.items()}
        return Step({name: old.get(name) for name in touched}, {name: rows.get(name) for name in touched})

    def open_again(self) -> None:
        """Open the file that lies there now in place of the one that was; `rows` stays as it is.

        Raises:
            CanvasError: when it is no samples file.
        """
        for table in _TABLES.values():
            open_layer(self._path, table)
        # Both are closed before one is opened, so that nothing of the old file is open any more.
        for source in ("", None):
            for kind, layer in self._layers.items():
                layer.setDataSource(self._sources[kind] if source is None else source, layer.name(), "ogr", False)
        self._keep_open()

    def add(self, samples: list[tuple[str, QgsFeature]]) -> list[str]:
        """Write new samples, each a kind and a row without a key, and return their ids.

        Raises:
            CanvasError: when the file cannot be written.
        """
        ids = []
        for kind, sample in samples:
            layer = self._layers[kind]
            done, stored = layer.dataProvider().addFeatures([sample])
            if not done:
                raise self._unwritable(layer)
            ids.append(f"{kind}{stored[0].id()}")
            self.rows[ids[-1]] = QgsFeature(stored[0])
        self._tell({kind for kind, _sample in samples})
        return ids

    def put(self, wanted: Rows) -> None:
        """Make samples what they are wanted to be: written, changed, or with None deleted.

        Raises:
            CanvasError: when the file cannot be written.
        """
        for kind in self._layers:
            here = {name: row for name, row in wanted.items() if name.startswith(kind)}
            self._delete(kind, [name for name, row in here.items() if row is None and name in self.rows])
            self._insert(kind, {name: row for name, row in here.items() if row is not None and name not in self.rows})
            self._change(kind, {name: row for name, row in here.items() if row is not None and name in self.rows})
        self._tell({name[0] for name in wanted})

    def empty_row(self, kind: str) -> QgsFeature:
        """Return an empty row of a table."""
        return QgsFeature(self._layers[kind].fields())

    def _keep_open(self) -> None:
        # For writing: each change of mode in between lets a map that is being drawn lose the file.
        for layer in self._layers.values():
            layer.dataProvider().enterUpdateMode()

    def _delete(self, kind: str, names: list[str]) -> None:
        layer = self._layers[kind]
        if names and not layer.dataProvider().deleteFeatures([_key(name) for name in names]):
            raise self._unwritable(layer)
        for name in names:
            del self.rows[name]

    def _insert(self, kind: str, rows: dict[str, QgsFeature]) -> None:
        layer = self._layers[kind]
        # The key is among the attributes, so each row gets its own back and older steps still hold.
        if rows and not layer.dataProvider().addFeatures([self._fitted(kind, row) for row in rows.values()])[0]:
            raise self._unwritable(layer)
        self.rows.update(rows)

    def _change(self, kind: str, rows: dict[str, QgsFeature]) -> None:
        layer = self._layers[kind]
        values, shapes = {}, {}
        for name, row in rows.items():
            fitted = self._fitted(kind, row)
            values[_key(name)] = dict(enumerate(fitted.attributes()))
            shapes[_key(name)] = fitted.geometry()
        provider = layer.dataProvider()
        if rows and not (provider.changeAttributeValues(values) and provider.changeGeometryValues(shapes)):
            raise self._unwritable(layer)
        self.rows.update(rows)

    def _fitted(self, kind: str, row: QgsFeature) -> QgsFeature:
        """Return a row for the table as it is now: fields may have come or gone since the row was read."""
        fitted = self.empty_row(kind)
        fitted.setId(row.id())
        fitted.setGeometry(row.geometry())
        for index, name in enumerate(fitted.fields().names()):
            fitted[index] = row[name] if row.fields().lookupField(name) >= 0 else NULL
        return fitted

    def _tell(self, kinds: set[str]) -> None:
        """Let the canvas, the attribute table and the legend know that the tables changed."""
        for kind in kinds:
            layer = self._layers[kind]
            layer.updateExtents()
            layer.dataProvider().dataChanged.emit()
            layer.triggerRepaint()

    def _unwritable(self, layer: QgsVectorLayer) -> CanvasError:
        provider = layer.dataProvider()
        reason = (provider.errors() or [""])[-1].strip().rstrip(".")
        provider.clearErrors()
        sentence = translate(
            "Samples", "The samples file “{}” cannot be written ({}); check the disk, its rights, and who else uses it."
        )
        return CanvasError(sentence.format(self._path, reason or translate("Samples", "no reason given")))


def _key(name: str) -> int:
    return int(name[1:])
