# SPDX-License-Identifier: GPL-2.0-or-later
"""The samples and their classes: in the GeoPackage at once, taken back and done again without limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsCoordinateReferenceSystem, QgsFeature, QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ssl4eo_plugin.canvas.class_list import ClassList
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.history import History, Rows, Step
from ssl4eo_plugin.canvas.samples_file import AREAS, CLASS_FIELD, POINTS, create_samples_file, find_layer, open_layer
from ssl4eo_plugin.canvas.samples_find import cut, sample_at, transformed
from ssl4eo_plugin.canvas.samples_table import AREA, POINT, SampleTables, class_of, filled_row, is_training
from ssl4eo_plugin.canvas.samples_texts import SampleTexts
from ssl4eo_plugin.canvas.samples_watch import FileWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qgis.PyQt.QtGui import QColor

    from ssl4eo_plugin.canvas.class_list import ClassState

__all__ = ["SamplesStore"]


class SamplesStore(QObject):
    """Points and areas of one samples file; `changed` follows every change, whoever made it."""

    changed = pyqtSignal()
    # A layer of the store was taken out of the project; open the file again to go on.
    closed = pyqtSignal()
    # A sentence about the file that no action of the user here led to.
    complained = pyqtSignal(str)

    def __init__(self, path: Path, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> None:
        """Open the samples file, or make it in `crs`; the layers that the project has of it are used.

        Raises:
            CanvasError: when it can be neither read nor made.
        """
        super().__init__()
        if not path.exists():
            create_samples_file(path, crs)
        self.path = path
        self._project = project
        self.points = find_layer(project, path, POINTS) or open_layer(path, POINTS)
        self.areas = find_layer(project, path, AREAS) or open_layer(path, AREAS)
        self._layers = {POINT: self.points, AREA: self.areas}
        self._tables = SampleTables(path, self.points, self.areas)
        self._classes = ClassList(self.points, self.areas)
        self._history = History()
        self._texts = SampleTexts(self._placed)
        # Several signals of QGIS tell of one edit; one look after the last is enough.
        self._rows_timer = self._later(self._read_again)
        self._style_timer = self._later(self._follow_style)
        self._classes.include([class_of(row) for row in self._tables.rows.values()])
        self._told = self._legend()
        for layer in self._layers.values():
            layer.willBeDeleted.connect(self.closed)
            layer.afterCommitChanges.connect(self._rows_timer.start)
        self.points.rendererChanged.connect(self._style_timer.start)
        self._watch = FileWatch(path, self)
        self._watch.touched.connect(self._file_touched)

    def close(self) -> None:
        """Listen to the layers no longer, and let them put what is in the write-ahead log into the file."""
        self._watch.stop()
        self._rows_timer.stop()
        self._style_timer.stop()
        self.blockSignals(True)
        for layer in self._layers.values():
            if not sip.isdeleted(layer) and layer.dataProvider() is not None:
                layer.dataProvider().leaveUpdateMode()

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the samples, as `samples_json` gives them."""
        return self.points.crs()

    def samples_json(self) -> list[dict[str, str]]:
        """Return the training samples: `id` ("p1" is a point, "a1" an area), `class`, and `wkt` in `crs`."""
        return self._texts.of(self._tables.rows)

    def place_of(self, name: str) -> QgsGeometry | None:
        """Return the geometry in `crs` of the sample of an id, None when there is none."""
        row = self._tables.rows.get(name)
        return None if row is None else self._placed(name, row.geometry())

    def classes(self) -> dict[str, QColor]:
        """Return the colour of each class, in the order of the legend, which is that of the codes in the live map."""
        return self._classes.colors()

    def counts(self) -> dict[str, int]:
        """Return the number of samples, points and areas, of each class on the list."""
        counts = dict.fromkeys(self.classes(), 0)
        for row in self._tables.rows.values():
            if is_training(row):
                counts[class_of(row)] = counts.get(class_of(row), 0) + 1
        return counts

    def hidden(self) -> list[str]:
        """Return the classes that the live map does not draw."""
        return self._classes.hidden()

    def add_class(self, name: str | None = None, color: QColor | None = None) -> str:
        """Add a class and return its name; see `ClassList.add`."""
        return self._act({}, lambda: self._classes.add(name, color))

    def import_classes(self, classes: dict[str, QColor | None]) -> int:
        """Add the classes that the list lacks, in one step, and return how many."""
        new = {name: color for name, color in classes.items() if name not in self.classes()}
        if new:
            self._act({}, lambda: [self._classes.add(name, color) for name, color in new.items()])
        return len(new)

    def rename_class(self, old: str, new: str) -> str:
        """Rename a class and all its samples, and return the name as stored.

        Raises:
            CanvasError: when the name is empty or taken, or the samples cannot be written.
        """
        new = self._classes.free_name(new, old)
        if new != old:
            self._act(self._reclassed(old, new), lambda: self._classes.rename(old, new))
        return new

    def merge_class(self, old: str, into: str) -> None:
        """Give the samples of a class to another one and take it off the list."""
        if old != into and into in self.classes():
            self._act(self._reclassed(old, into), lambda: self._classes.remove(old))

    def recolor_class(self, name: str, color: QColor) -> None:
        """Give a class another colour."""
        self._act({}, lambda: self._classes.recolor(name, color))

    def reorder_classes(self, names: list[str]) -> None:
        """Put the classes into another order."""
        if names != list(self.classes()):
            self._act({}, lambda: self._classes.reorder(names))

    def hide_class(self, name: str, hide: bool = True) -> None:
        """Let the live map draw a class or not; no step to take back, as nothing is lost."""
        self._classes.hide(name, hide)
        self._tell_all()

    def remove_class(self, name: str) -> None:
        """Remove a class with all its samples."""
        gone = {key: None for key, row in self._tables.rows.items() if class_of(row) == name}
        self._act(gone, lambda: self._classes.remove(name))

    def add(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, class_name: str) -> str:
        """Write a sample, a point or a polygon in `crs`, to disk, and return its id.

        Raises:
            CanvasError: when it has no place in the CRS of the layer, or the file cannot be written.
        """
        kind = POINT if geometry.type() == self.points.geometryType() else AREA
        self._make_ready()
        (name,) = self._tables.add([(kind, self._new_row(kind, geometry, crs, class_name))])
        self._done(Step({name: None}, {name: self._tables.rows[name]}))
        return name

    def sample_at(self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, radius: float) -> tuple[str, str] | None:
        """Return id and class of the sample at a point, None when there is none.

        Args:
            point: in `crs`.
            crs: of the point and the radius.
            radius: how far off a point sample may be, in units of `crs`.
        """
        click = QgsGeometry.fromPointXY(point)
        around = self._per_table(click.buffer(radius, 8), crs)
        center = {kind: place.asPoint() for kind, place in self._per_table(click, crs).items()}
        name = sample_at(self._tables.rows, around, center)
        return None if name is None else (name, class_of(self._tables.rows[name]))

    def remove_at(self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, radius: float) -> str | None:
        """Remove the sample at `point`, as `sample_at` finds it, and return its class, or None when there is none."""
        found = self.sample_at(point, crs, radius)
        if found is None:
            return None
        self._act({found[0]: None})
        return found[1]

    def erase(self, stroke: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> int:
        """Remove the points under a stroke, a polygon in `crs`, cut it out of the areas; return how many it touched."""
        left = cut(self._tables.rows, self._per_table(stroke, crs))
        wanted: Rows = {}
        more = []
        for name, pieces in left.items():
            row = self._tables.rows[name]
            wanted[name] = _with_shape(row, pieces[0]) if pieces else None
            more += [(name[0], filled_row(QgsFeature(row.fields()), piece, class_of(row))) for piece in pieces[1:]]
        if wanted:
            self._act(wanted, more=more)
        return len(wanted)

    def can_undo(self) -> bool:
        """Return whether there is a step to take back."""
        return self._history.last() is not None

    def can_redo(self) -> bool:
        """Return whether there is a step that was taken back."""
        return self._history.next() is not None

    def undo(self) -> bool:
        """Take back the last step, one on samples or classes; False when there is none."""
        step = self._history.last()
        if step is None:
            return False
        self._restore(step.before, step.classes_before)
        self._history.step_back()
        self._tell_all()
        return True

    def redo(self) -> bool:
        """Do again what was taken back last; False when there is nothing."""
        step = self._history.next()
        if step is None:
            return False
        self._restore(step.after, step.classes_after)
        self._history.step_forward()
        self._tell_all()
        return True

    def _act(self, wanted: Rows, change: Callable[[], object] | None = None, more: list | None = None) -> object:
        """Write samples, then change the class list, as one step; return what `change` returned."""
        self._make_ready()
        step = Step({name: self._tables.rows.get(name) for name in wanted}, dict(wanted))
        self._tables.put(wanted)
        for name in self._tables.add(more or []):
            step.before[name], step.after[name] = None, self._tables.rows[name]
        answer = None
        if change is not None:
            step.classes_before = self._classes.state()
            answer = change()
            step.classes_after = self._classes.state()
        self._done(step)
        return answer

    def _done(self, step: Step) -> None:
        self._history.record(step)
        self._tell_all()

    def _restore(self, rows: Rows, classes: ClassState | None) -> None:
        self._make_ready()
        self._tables.put(rows)
        if classes is not None:
            self._classes.restore(classes)

    def _reclassed(self, old: str, new: str) -> Rows:
        rows = {}
        for name, row in self._tables.rows.items():
            if class_of(row) == old:
                rows[name] = QgsFeature(row)
                rows[name][CLASS_FIELD] = new
        return rows

    def _new_row(
        self, kind: str, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, class_name: str
    ) -> QgsFeature:
        shape = transformed(geometry, crs, self._layers[kind].crs(), self._project)
        return filled_row(self._tables.empty_row(kind), shape, class_name)

    def _placed(self, name: str, geometry: QgsGeometry) -> QgsGeometry:
        return transformed(geometry, self._layers[name[0]].crs(), self.crs, self._project)

    def _per_table(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> dict[str, QgsGeometry]:
        return {kind: transformed(geometry, crs, layer.crs(), self._project) for kind, layer in self._layers.items()}

    def _later(self, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(0)
        timer.timeout.connect(action)
        return timer

    def _file_touched(self) -> None:
        try:
            if not self._make_ready():
                self._read_again(ours=False)
        except CanvasError as error:
            self.complained.emit(str(error))

    def _read_again(self, ours: bool = True) -> None:
        """Take up what QGIS's own tools (`ours`) or another program wrote; only the former can be taken back."""
        try:
            rows = self._tables.read()
        except CanvasError as error:
            self.complained.emit(str(error))
            return
        step = self._tables.take_up(rows)
        if not step:
            return
        if ours:
            self._history.record(step)
        self._tell_all()

    def _make_ready(self) -> bool:
        """Open the file anew when it is no longer the one that was opened; return whether that was so.

        Raises:
            CanvasError: when that cannot be done, or another program has locked the file.
        """
        gone = self._watch.gone()
        if not gone and not self._watch.replaced():
            self._watch.raise_if_locked()
            return False
        rows, classes, crs = self._tables.rows, self._classes.state(), self.crs
        self._watch.drop_log()
        if gone:
            create_samples_file(self.path, crs)
        self._tables.open_again()
        self._watch.renew()
        self._classes.restore(classes)
        if gone:
            self._tables.rows = {}
            self._tables.put(rows)
            words = self.tr("The samples file “{}” was deleted by another program; its {} samples were written again.")
        else:
            self._tables.rows = self._tables.read()
            self._history = History()
            words = self.tr(
                "The samples file “{}” was replaced by another program; the panel now shows its {} samples."
            )
        self.complained.emit(words.format(self.path.name, len(self._tables.rows)))
        self._tell_all()
        return True

    def _follow_style(self) -> None:
        self._classes.follow_leader()
        # Our own changes come by here too and have been told.
        if self._told != self._legend():
            self._tell_all()

    def _tell_all(self) -> None:
        self._classes.include([class_of(row) for row in self._tables.rows.values()])
        self._told = self._legend()
        self.changed.emit()

    def _legend(self) -> list[tuple[str, str]]:
        return [(name, color.name()) for name, color in self.classes().items()]


def _with_shape(row: QgsFeature, shape: QgsGeometry) -> QgsFeature:
    row = QgsFeature(row)
    row.setGeometry(shape)
    return row
