# SPDX-License-Identifier: GPL-2.0-or-later
"""The samples: each is in the GeoPackage the moment it is made, and can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsExpression,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QObject, QTimer, pyqtSignal

from ssl4eo_plugin.canvas.class_list import ClassList
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.samples_file import AREAS, CLASS_FIELD, POINTS, create_samples_file, find_layer, open_layer

if TYPE_CHECKING:
    from pathlib import Path

    from qgis.PyQt.QtGui import QColor

__all__ = ["SamplesStore"]

# Steps that can be taken back; each holds at most the features it removed.
_UNDO_DEPTH = 200

translate = QCoreApplication.translate


@dataclass
class _Step:
    """What one action did to the tables, and the class it took off the list."""

    added: list[tuple[QgsVectorLayer, int]] = field(default_factory=list)
    removed: list[tuple[QgsVectorLayer, list[QgsFeature]]] = field(default_factory=list)
    class_removed: tuple[str, QColor] | None = None


class SamplesStore(QObject):
    """Points and areas of one samples file; `changed` follows every change, whoever made it."""

    changed = pyqtSignal()
    # A layer of the store was taken out of the project; open the file again to go on.
    closed = pyqtSignal()

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
        self._classes = ClassList(self.points, self.areas)
        self._steps: list[_Step] = []
        self._counts: dict[str, int] = {}
        # Several signals of QGIS tell of one edit; one look at the tables after the last is enough.
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(0)
        self._refresh.timeout.connect(self._edited_elsewhere)
        self._count()
        self._told = self._content()
        for layer in (self.points, self.areas):
            # Kept open for writing: each change of mode in between lets a map that is being drawn lose the file.
            layer.dataProvider().enterUpdateMode()
            layer.willBeDeleted.connect(self.closed)
            layer.afterCommitChanges.connect(self._refresh.start)
        self.points.rendererChanged.connect(self._refresh.start)

    def close(self) -> None:
        """Listen to the layers no longer, and let them put what is in the write-ahead log into the file."""
        self._refresh.stop()
        self.blockSignals(True)
        for layer in (self.points, self.areas):
            if not sip.isdeleted(layer) and layer.dataProvider() is not None:
                layer.dataProvider().leaveUpdateMode()

    def classes(self) -> dict[str, QColor]:
        """Return the colour of each class, in the order of the legend."""
        return self._classes.colors()

    def counts(self) -> dict[str, int]:
        """Return the number of samples, points and areas, of each class on the list."""
        return {name: self._counts.get(name, 0) for name in self.classes()}

    def add_class(self, name: str | None = None, color: QColor | None = None) -> str:
        """Add a class and return its name; see `ClassList.add`."""
        name = self._classes.add(name, color)
        self._tell_all()
        return name

    def rename_class(self, old: str, new: str) -> str:
        """Rename a class and all its samples, and return the name as stored.

        Raises:
            CanvasError: when the name is empty or taken, or the samples cannot be written.
        """
        new = self._classes.free_name(new, old)
        if new != old:
            for layer in (self.points, self.areas):
                column = layer.fields().lookupField(CLASS_FIELD)
                changes = {feature.id(): {column: new} for feature in _of_class(layer, old)}
                if changes and not layer.dataProvider().changeAttributeValues(changes):
                    raise self._unwritable(layer)
                _tell(layer)
            self._classes.rename(old, new)
            self._rename_in_steps(old, new)
            self._count()
            self._tell_all()
        return new

    def recolor_class(self, name: str, color: QColor) -> None:
        """Give a class another colour."""
        self._classes.recolor(name, color)
        self._tell_all()

    def remove_class(self, name: str) -> None:
        """Remove a class with all its samples; `undo` brings them back."""
        step = _Step(class_removed=(name, self.classes()[name]))
        for layer in (self.points, self.areas):
            features = list(_of_class(layer, name))
            if features:
                self._delete(layer, features)
                step.removed.append((layer, features))
        self._classes.remove(name)
        self._done(step)

    def add(self, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, class_name: str) -> None:
        """Write a sample, a point or a polygon in `crs`, to disk.

        Raises:
            CanvasError: when it has no place in the CRS of the layer, or the file cannot be written.
        """
        layer = self.points if geometry.type() == self.points.geometryType() else self.areas
        feature = QgsFeature(layer.fields())
        feature.setGeometry(_transformed(geometry, crs, layer.crs(), self._project))
        feature[CLASS_FIELD] = class_name
        values = {
            "confidence": 1.0,
            "role": "train",
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        for name, value in values.items():
            if layer.fields().lookupField(name) >= 0:
                feature[name] = value
        # Past the edit buffer, so that the sample is on disk before the click is over.
        done, stored = layer.dataProvider().addFeatures([feature])
        if not done:
            raise self._unwritable(layer)
        _tell(layer)
        self._done(_Step(added=[(layer, stored[0].id())]))

    def remove_at(self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, radius: float) -> str | None:
        """Remove the sample at `point` and return its class, or None when there is none.

        Args:
            point: in `crs`.
            crs: of the point and the radius.
            radius: how far off a point sample may be, in units of `crs`.
        """
        found = self._nearest_point(point, crs, radius) or self._smallest_area(point, crs)
        if found is None:
            return None
        layer, feature = found
        self._delete(layer, [feature])
        self._done(_Step(removed=[(layer, [feature])]))
        return str(feature[CLASS_FIELD])

    def can_undo(self) -> bool:
        """Return whether there is a step to take back."""
        return bool(self._steps)

    def undo(self) -> bool:
        """Take back the last sample added, sample removed or class removed; False when there is none."""
        if not self._steps:
            return False
        step = self._steps.pop()
        if step.class_removed is not None and step.class_removed[0] not in self.classes():
            self._classes.add(*step.class_removed)
        for layer, feature_id in step.added:
            layer.dataProvider().deleteFeatures([feature_id])
            _tell(layer)
        for layer, features in step.removed:
            # The key is among the attributes, so each feature gets its own back and older steps still hold.
            if not layer.dataProvider().addFeatures(features)[0]:
                raise self._unwritable(layer)
            _tell(layer)
        self._count()
        self._tell_all()
        return True

    def _nearest_point(
        self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem, radius: float
    ) -> tuple[QgsVectorLayer, QgsFeature] | None:
        around = QgsRectangle(point.x() - radius, point.y() - radius, point.x() + radius, point.y() + radius)
        best = None
        target = QgsGeometry.fromPointXY(point)
        for feature in self._within(self.points, around, crs):
            distance = _transformed(feature.geometry(), self.points.crs(), crs, self._project).distance(target)
            if distance <= radius and (best is None or distance < best[0]):
                best = distance, feature
        return None if best is None else (self.points, best[1])

    def _smallest_area(
        self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem
    ) -> tuple[QgsVectorLayer, QgsFeature] | None:
        target = _transformed(QgsGeometry.fromPointXY(point), crs, self.areas.crs(), self._project)
        here = self.areas.getFeatures(QgsFeatureRequest(target.boundingBox()))
        hit = [feature for feature in here if feature.geometry().contains(target)]
        if not hit:
            return None
        return self.areas, min(hit, key=lambda feature: feature.geometry().area())

    def _within(
        self, layer: QgsVectorLayer, around: QgsRectangle, crs: QgsCoordinateReferenceSystem
    ) -> list[QgsFeature]:
        box = _transformed(QgsGeometry.fromRect(around), crs, layer.crs(), self._project).boundingBox()
        return list(layer.getFeatures(QgsFeatureRequest(box)))

    def _delete(self, layer: QgsVectorLayer, features: list[QgsFeature]) -> None:
        if not layer.dataProvider().deleteFeatures([feature.id() for feature in features]):
            raise self._unwritable(layer)
        _tell(layer)

    def _done(self, step: _Step) -> None:
        self._steps = [*self._steps[1 - _UNDO_DEPTH :], step]
        self._count()
        self._tell_all()

    def _rename_in_steps(self, old: str, new: str) -> None:
        for step in self._steps:
            for _layer, features in step.removed:
                for feature in features:
                    if feature[CLASS_FIELD] == old:
                        feature[CLASS_FIELD] = new

    def _count(self) -> None:
        self._counts = {}
        for layer in (self.points, self.areas):
            request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
            request.setSubsetOfAttributes([CLASS_FIELD], layer.fields())
            for feature in layer.getFeatures(request):
                name = feature[CLASS_FIELD]
                if isinstance(name, str) and name:
                    self._counts[name] = self._counts.get(name, 0) + 1
        self._classes.include(list(self._counts))

    def _edited_elsewhere(self) -> None:
        self._classes.follow_leader()
        self._count()
        # Our own changes come by here too and have been told.
        if self._told != self._content():
            self._tell_all()

    def _tell_all(self) -> None:
        self._told = self._content()
        self.changed.emit()

    def _content(self) -> tuple[list[tuple[str, str]], dict[str, int]]:
        return [(name, color.name()) for name, color in self.classes().items()], dict(self._counts)

    def _unwritable(self, layer: QgsVectorLayer) -> CanvasError:
        provider = layer.dataProvider()
        reason = (provider.errors() or [""])[-1].strip().rstrip(".")
        provider.clearErrors()
        sentence = self.tr("The samples file “{}” cannot be written ({}); check the disk and its rights.")
        return CanvasError(sentence.format(self.path, reason or self.tr("no reason given")))


def _of_class(layer: QgsVectorLayer, name: str) -> list[QgsFeature]:
    expression = f"{QgsExpression.quotedColumnRef(CLASS_FIELD)} = {QgsExpression.quotedValue(name)}"
    return list(layer.getFeatures(QgsFeatureRequest().setFilterExpression(expression)))


def _transformed(
    geometry: QgsGeometry,
    source: QgsCoordinateReferenceSystem,
    target: QgsCoordinateReferenceSystem,
    project: QgsProject,
) -> QgsGeometry:
    moved = QgsGeometry(geometry)
    try:
        moved.transform(QgsCoordinateTransform(source, target, project))
    except QgsCsException as error:
        sentence = translate("Samples", "This place cannot be given in {}; click nearer to the image.")
        raise CanvasError(sentence.format(target.authid() or target.description())) from error
    return moved


def _tell(layer: QgsVectorLayer) -> None:
    """Let the canvas, the attribute table and the legend know that the table changed."""
    layer.updateExtents()
    layer.dataProvider().dataChanged.emit()
    layer.triggerRepaint()
