# SPDX-License-Identifier: GPL-2.0-or-later
"""The raster layer that shows the live map: a file in memory that is replaced with every answer of the backend."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
from osgeo import gdal
from qgis.core import QgsProject, QgsRasterLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QObject, QTimer, pyqtSignal

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.live_styles import Look, style_classes, style_similarity

if TYPE_CHECKING:
    from qgis.core import QgsCoordinateReferenceSystem, QgsRectangle
    from qgis.gui import QgsMapCanvas

__all__ = ["LiveLayer", "Look"]

_MAP_BAND, _CERTAINTY_BAND = 1, 2
# Milliseconds within which the canvas follows a change of the layer tree.
_CANVAS_FOLLOWS = 200
_NO_DATA = 0
# In place of the element and the type that QGIS knows when it reads the layers of a project.
_UNREAD = "ssl4eo-live"

translate = QCoreApplication.translate


class LiveLayer(QObject):
    """One layer of the project, made when there is first something to show; it is never saved with the project."""

    # The user took the layer out of the project.
    removed = pyqtSignal()

    def __init__(self, project: QgsProject, canvas: QgsMapCanvas, parent: QObject | None = None) -> None:
        """Watch the project and the canvas; no layer is made yet."""
        super().__init__(parent)
        self._project, self._canvas = project, canvas
        self._path = f"/vsimem/ssl4eo/live-{uuid.uuid4().hex}.tif"
        self._layer: QgsRasterLayer | None = None
        self._look: Look | None = None
        self._drawings = 0
        self._again = False
        self._taking_out = False
        self._clean = QTimer(self)
        self._clean.setSingleShot(True)
        self._clean.setInterval(_CANVAS_FOLLOWS)
        canvas.layersChanged.connect(self._keep_clean)
        canvas.renderStarting.connect(self._count_drawing)
        canvas.mapCanvasRefreshed.connect(self._drawn)
        project.writeProject.connect(self._leave_out_of_tree)
        project.writeMapLayer.connect(self._leave_out_of_layers)
        project.layerWillBeRemoved[str].connect(self._will_be_removed)

    @property
    def layer(self) -> QgsRasterLayer | None:
        """The layer, None while there is none."""
        return self._layer

    def show(
        self,
        planes: list[np.ndarray],
        extent: QgsRectangle,
        crs: QgsCoordinateReferenceSystem,
        feature_set: str,
        look: Look,
        opacity: float,
    ) -> None:
        """Show what is in memory now, in the place of what was shown before.

        Args:
            planes: The map and how sure it is, both uint8 `(height, width)`, north up; 0 in the map is nothing.
            extent: Of the planes in `crs`.
            crs: Of the scene.
            feature_set: The folder's name, which the layer carries.
            look: How it is drawn.
            opacity: Of a layer that is made now; later the layer has its own.

        Raises:
            CanvasError: when there is no memory for it.
        """
        _write(self._path, planes, extent, crs, look)
        # What is shown live is not saved, so a project must not ask to be saved for it.
        with QgsProject.blockDirtying(self._project):
            if self._layer is None:
                self._make(crs, feature_set, opacity)
            self._reload(extent)
            self._dress(look)
            self._layer.triggerRepaint()

    def dress(self, look: Look) -> None:
        """Draw what is shown in another way."""
        if self._layer is not None and look != self._look:
            with QgsProject.blockDirtying(self._project):
                self._dress(look)
                self._layer.triggerRepaint()

    def set_opacity(self, opacity: float) -> None:
        """Let the image show through."""
        if self._layer is not None:
            with QgsProject.blockDirtying(self._project):
                self._layer.setOpacity(opacity)
                self._layer.triggerRepaint()

    def clear(self) -> None:
        """Show nothing, but keep the layer in its place."""
        layer = self._layer
        if layer is not None:
            _write(self._path, [np.zeros((1, 1), np.uint8)] * 2, layer.extent(), layer.crs(), self._look)
            with QgsProject.blockDirtying(self._project):
                self._reload(layer.extent())
                layer.triggerRepaint()

    def take_out(self) -> None:
        """Take the layer out of the project and free its memory."""
        layer, self._layer, self._look = self._layer, None, None
        if layer is not None and not sip.isdeleted(layer):
            self._taking_out = True
            self._watch_dirt()
            with QgsProject.blockDirtying(self._project):
                self._project.removeMapLayer(layer.id())
            self._taking_out = False
        gdal.Unlink(self._path)

    def dispose(self) -> None:
        """Take the layer out for good, and watch no longer."""
        self._canvas.layersChanged.disconnect(self._keep_clean)
        self._canvas.renderStarting.disconnect(self._count_drawing)
        self._canvas.mapCanvasRefreshed.disconnect(self._drawn)
        self._project.writeProject.disconnect(self._leave_out_of_tree)
        self._project.writeMapLayer.disconnect(self._leave_out_of_layers)
        self._project.layerWillBeRemoved[str].disconnect(self._will_be_removed)
        self.take_out()

    def _make(self, crs: QgsCoordinateReferenceSystem, feature_set: str, opacity: float) -> None:
        layer = QgsRasterLayer(self._path, translate("Layers", "Live map"), "gdal")
        layer.setCrs(crs)
        layer.setOpacity(opacity)
        self._layer = layer
        self._watch_dirt()
        layers.add_live(self._project, layer, feature_set)

    def _watch_dirt(self) -> None:
        """QGIS's window calls a project changed when the canvas shows other layers, which it does a moment later."""
        if not self._project.isDirty():
            self._clean.start()

    def _keep_clean(self) -> None:
        if self._clean.isActive():
            self._project.setDirty(False)

    def _reload(self, extent: QgsRectangle) -> None:
        self._layer.dataProvider().reloadData()
        # The layer keeps the extent that it was opened with.
        self._layer.setExtent(extent)
        self._again = self._drawings > 0

    def _dress(self, look: Look) -> None:
        if look == self._look:
            return
        self._look = look
        if look.similar_to:
            style_similarity(self._layer, _MAP_BAND)
        else:
            style_classes(self._layer, _MAP_BAND, _CERTAINTY_BAND if look.fade else 0, look)

    def _count_drawing(self) -> None:
        self._drawings += 1

    def _drawn(self) -> None:
        """Draw once more what came while the map was drawn.

        A drawing that began before holds the old file, and gives it back to QGIS's store of open files, or its picture
        to the store of drawn layers, after the new one came: 8 of 25 bursts of clicks ended on an old map (QGIS 3.22).
        """
        self._drawings = 0
        if self._again and self._layer is not None:
            self._again = False
            self._layer.dataProvider().reloadData()
            self._layer.triggerRepaint()

    def _will_be_removed(self, layer_id: str) -> None:
        if self._layer is None or sip.isdeleted(self._layer) or layer_id != self._layer.id():
            return
        self._layer = self._look = None
        if not self._taking_out:
            self.removed.emit()

    # A layer of a file in memory would be broken in the project that is opened tomorrow; the plugin makes it anew.

    def _leave_out_of_tree(self, document: object) -> None:
        if self._layer is None:
            return
        nodes = document.elementsByTagName("layer-tree-layer")
        for index in reversed(range(nodes.size())):
            node = nodes.at(index)
            if node.toElement().attribute("id") == self._layer.id():
                node.parentNode().removeChild(node)

    def _leave_out_of_layers(self, layer: object, element: object, _document: object) -> None:
        if self._layer is not None and layer.id() == self._layer.id():
            # The element itself is put into the document only after this; one of an unknown type is passed over.
            element.setTagName(_UNREAD)
            element.setAttribute("type", _UNREAD)


def _write(
    path: str, planes: list[np.ndarray], extent: QgsRectangle, crs: QgsCoordinateReferenceSystem, look: Look
) -> None:
    """Write a GeoTIFF beside the one that is shown, then put it into its place, so that no reader sees half of it."""
    height, width = planes[0].shape
    fresh = f"{path}.new"
    dataset = gdal.GetDriverByName("GTiff").Create(
        fresh, width, height, len(planes), gdal.GDT_Byte, ["INTERLEAVE=BAND"]
    )
    if dataset is None:
        sentence = translate("Layers", "A live map of {} × {} pixels finds no memory; make the map window smaller.")
        raise CanvasError(sentence.format(width, height))
    across, down = extent.width() / width, extent.height() / height
    dataset.SetGeoTransform((extent.xMinimum(), across, 0.0, extent.yMaximum(), 0.0, -down))
    dataset.SetProjection(crs.toWkt())
    for number, (plane, title) in enumerate(zip(planes, _titles(look)), start=1):
        band = dataset.GetRasterBand(number)
        band.SetDescription(title)
        band.WriteRaster(0, 0, width, height, np.ascontiguousarray(plane).tobytes())
    dataset.GetRasterBand(_MAP_BAND).SetNoDataValue(_NO_DATA)
    # Closes the file; the bindings have no other way before GDAL 3.8.
    del dataset, band
    gdal.Rename(fresh, path)


def _titles(look: Look) -> tuple[str, str]:
    """Return what QGIS's identify tool calls the values: it shows the code, so the names of all stand beside it."""
    if look.similar_to:
        return translate("Layers", "likeness to “{}”").format(look.similar_to), ""
    names = ", ".join(f"{code} {name}" for code, name, _color in look.classes)
    return translate("Layers", "class"), translate("Layers", "probability, 255 is certain ({})").format(names)
