# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages share: the image, the feature set and the samples in use, remembered in the project."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsCoordinateReferenceSystem, QgsMapLayer, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QObject, QStandardPaths, pyqtSignal

from ssl4eo_plugin.canvas import layers
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.feature_folder import ITEM, FeatureFolder
from ssl4eo_plugin.canvas.samples_store import SamplesStore
from ssl4eo_plugin.panel.choices import MapChoices
from ssl4eo_plugin.panel.encoder_library import EncoderLibrary
from ssl4eo_plugin.panel.live import LiveMap
from ssl4eo_plugin.panel.runner import Runner

if TYPE_CHECKING:
    from qgis.gui import QgisInterface

    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["PanelState", "SceneState"]

_SCOPE = "ssl4eo"
_FEATURES, _SAMPLES, _SETS = "features", "samples", "feature_sets"


@dataclass
class SceneState:
    """The image in use: its path for the backend, what `inspect` said, and what the user knows better."""

    layer: QgsMapLayer
    path: str
    info: dict[str, Any]
    overrules: dict[str, Any] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether nothing must be said first."""
        return not self.info["needs"]

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        """The CRS of the image."""
        return QgsCoordinateReferenceSystem(self.info["crs"] or "")

    @property
    def bounds(self) -> QgsRectangle:
        """The place of the image in its CRS."""
        return QgsRectangle(*self.info["bounds"])


class PanelState(QObject):
    """The one place where the pages look up and change what is in use."""

    sceneChanged = pyqtSignal()
    featuresChanged = pyqtSignal()
    # The store was opened, closed or changed.
    samplesChanged = pyqtSignal()

    def __init__(self, iface: QgisInterface, backend: BackendProcess, parent: QObject | None = None) -> None:
        """Start with nothing in use; `restore` takes up what the project remembers."""
        super().__init__(parent)
        self.iface = iface
        self.canvas = iface.mapCanvas()
        self.project = QgsProject.instance()
        self.runner = Runner(backend, self)
        self.encoders = EncoderLibrary(self.runner, self)
        self.scene: SceneState | None = None
        self.features: FeatureFolder | None = None
        self.store: SamplesStore | None = None
        # Another object after another project was opened: what was begun before does not belong in it.
        self.session = object()
        self.choices = MapChoices(self.project, self)
        self.live_map = LiveMap(self, backend)

    @property
    def live(self) -> LiveMap | None:
        """The live map while it is on, else None."""
        return self.live_map if self.live_map.on else None

    def set_scene(self, scene: SceneState | None) -> None:
        """Take an image into use."""
        self.scene = scene
        self.sceneChanged.emit()

    def use_features(self, path: str | Path) -> FeatureFolder:
        """Take a feature set into use, show it and remember it in the project.

        Raises:
            CanvasError: when the folder holds none.
        """
        features = FeatureFolder.open(Path(path).absolute())
        layers.add_features(self.project, features)
        self.features = features
        self._remember(_FEATURES, features.path)
        self._remember_sets([features.path, *(other for other in self._sets() if other != features.path)])
        self.featuresChanged.emit()
        return features

    def own_rasters(self) -> list[QgsMapLayer]:
        """Return the feature sets and maps among the project's layers, which are no images to encode."""
        kinds = (layers.FEATURES, layers.MAP, layers.CERTAINTY, layers.LIVE)
        return [layer for kind in kinds for layer in layers.find_layers(self.project, kind)]

    def feature_sets(self) -> list[FeatureFolder]:
        """Return the feature sets that the project remembers and those beside it, those in use first."""
        folders = dict.fromkeys(self._sets())
        for item in sorted((self.home() / "ssl4eo").glob(f"*/{ITEM}")):
            # What begins with a dot was never finished.
            if not item.parent.name.startswith("."):
                folders.setdefault(item.parent)
        found = []
        for folder in folders:
            try:
                found.append(FeatureFolder.open(folder))
            except CanvasError:
                # It was moved or deleted since.
                continue
        return found

    def ensure_store(self) -> SamplesStore:
        """Return the samples, opening or making their file beside the project or the feature set.

        Raises:
            CanvasError: when there is no feature set, or the file can be neither read nor made.
        """
        if self.store is None:
            if self.features is None:
                raise CanvasError(self.tr("There is no feature set yet; encode an image first."))
            self._open_store(self._samples_path(self.features), self.features.crs)
        return self.store

    def open_found_store(self) -> bool:
        """Open the samples that lie where new ones would go, as after a crash; False when there are none.

        Raises:
            CanvasError: when they cannot be read.
        """
        if self.store is not None or self.features is None or not self._samples_path(self.features).exists():
            return False
        self.ensure_store()
        return True

    def restore(self) -> None:
        """Take up what the project remembers, after it was opened or closed."""
        self._close_store()
        self.session = object()
        self.features = None
        self.choices.restore()
        folder, samples = self._recall(_FEATURES), self._recall(_SAMPLES)
        try:
            if folder is not None:
                self.features = FeatureFolder.open(folder)
            if samples is not None and samples.exists():
                self._open_store(samples, QgsCoordinateReferenceSystem())
        except CanvasError:
            # What is gone is made anew when it is needed.
            pass
        self.featuresChanged.emit()
        self.samplesChanged.emit()

    def home(self, image: str | Path | None = None) -> Path:
        """Return the folder for new files: the project's, else that of `image` (the one in use), else the documents."""
        places = [self.project.absolutePath()]
        if image is None and self.scene is not None:
            image = self.scene.path
        if image is not None:
            places.append(str(Path(image).parent))
        for place in places:
            if place and _writable(Path(place)):
                return Path(place)
        documents = QStandardPaths.StandardLocation.DocumentsLocation
        return Path(QStandardPaths.writableLocation(documents) or Path.home())

    def shutdown(self) -> None:
        """Cancel what runs and let go of the layers."""
        self.live_map.dispose()
        self.runner.shutdown()
        self._close_store()

    def _samples_path(self, features: FeatureFolder) -> Path:
        remembered = self._recall(_SAMPLES)
        if remembered is not None:
            return remembered
        if self.project.fileName():
            return Path(self.project.absolutePath()) / f"{self.project.baseName()}_samples.gpkg"
        return features.path.with_name(f"{features.name}_samples.gpkg")

    def _open_store(self, path: Path, crs: QgsCoordinateReferenceSystem) -> None:
        store = SamplesStore(path, crs, self.project)
        layers.add_samples(self.project, [store.points, store.areas])
        store.changed.connect(self.samplesChanged)
        store.closed.connect(self._lose_store)
        self.store = store
        self._remember(_SAMPLES, path)
        self.samplesChanged.emit()

    def _lose_store(self) -> None:
        self._close_store()
        self.samplesChanged.emit()

    def _close_store(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    def _remember(self, key: str, path: Path) -> None:
        # A project that is only opened must not ask to be saved.
        if self._recall(key) != path:
            self.project.writeEntry(_SCOPE, key, self.project.writePath(str(path)))

    def _recall(self, key: str) -> Path | None:
        text = self.project.readEntry(_SCOPE, key)[0]
        return Path(self.project.readPath(text)) if text else None

    def _remember_sets(self, folders: list[Path]) -> None:
        self.project.writeEntry(_SCOPE, _SETS, [self.project.writePath(str(folder)) for folder in folders])

    def _sets(self) -> list[Path]:
        return [Path(self.project.readPath(text)) for text in self.project.readListEntry(_SCOPE, _SETS)[0]]


def _writable(folder: Path) -> bool:
    # An administrator may write anywhere, but a folder that is write-protected was meant to stay as it is.
    return folder.is_dir() and os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)
