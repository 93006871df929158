# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:classify`: samples on a feature set become a land-cover map."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
    QgsVectorLayer,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm
from ssl4eo_plugin.processing.sources import class_colors, write_samples

if TYPE_CHECKING:
    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["ClassifyAlgorithm"]


class ClassifyAlgorithm(BackendAlgorithm):
    """Maps the classes of a few samples over a whole feature set."""

    FEATURES = "FEATURES"
    SAMPLES = "SAMPLES"
    CLASS_FIELD = "CLASS_FIELD"
    HEAD = "HEAD"
    OUTPUT = "OUTPUT"
    BALANCE = "BALANCE"
    NONE_BEYOND = "NONE_BEYOND"
    CLASSIFIER = "CLASSIFIER"
    CONFIDENCE = "CONFIDENCE"
    POLYGONS = "POLYGONS"
    MIN_AREA = "MIN_AREA"
    SAVED_CLASSIFIER = "SAVED_CLASSIFIER"
    HEADS = ("auto", "lda", "logistic", "knn", "forest")
    BALANCES = ("equal", "samples")

    def __init__(self, backend: BackendProcess) -> None:
        """Run in `backend`, which starts when the algorithm first runs."""
        super().__init__(backend)
        self._colors: dict[str, str] = {}

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "classify"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Classify features by samples")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Makes a land-cover map from a feature set and a few labelled points or polygons.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Feature set: the folder that “Encode a scene into features” made.\n"
            "Samples: points or polygons in any coordinate system, a layer or a file. Of a layer its "
            "selection, filter and unsaved edits count, of a file all layers. At least two classes.\n"
            "Class field: the field that holds the class names.\n"
            "Classifier: lda asks for the fewest samples, logistic and forest for more; auto chooses.\n"
            "Balance: whether all classes count the same, or each by the number of its samples.\n"
            "None of these: pixels farther from every class than this share of the samples are from theirs are none of "
            "them.\n"
            "Saved classifier: take this one instead of samples; it must come from features of the same encoder and "
            "projection.\n\n"
            "The map is a GeoTIFF with one number per class, 0 where there is no data, and the classes' names "
            "and colours in it. A samples layer that is drawn by its class field gives its colours."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile(self.FEATURES, self.tr("Feature set"), folder))
        kinds = [QgsProcessing.SourceType.TypeVectorPoint, QgsProcessing.SourceType.TypeVectorPolygon]
        samples = QgsProcessingParameterFeatureSource(self.SAMPLES, self.tr("Samples"), kinds, optional=True)
        self.addParameter(samples)
        # Optional, because QGIS asks for a field parameter that is not, even when it has a default.
        self.addParameter(
            QgsProcessingParameterField(self.CLASS_FIELD, self.tr("Class field"), "class", self.SAMPLES, optional=True)
        )
        head = QgsProcessingParameterEnum(self.HEAD, self.tr("Classifier"), list(self.HEADS), defaultValue="auto")
        head.setUsesStaticStrings(True)
        self.addParameter(head)
        self._add_choices()
        self.addParameter(QgsProcessingParameterRasterDestination(self.OUTPUT, self.tr("Land-cover map")))
        self._add_companions()
        self.addOutput(QgsProcessingOutputString("CLASSES", self.tr("Class names by number (JSON)")))
        self.addOutput(QgsProcessingOutputString("HEAD", self.tr("Classifier that was used")))
        self.addOutput(QgsProcessingOutputNumber("SAMPLES_USED", self.tr("Number of samples")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", self.tr("Seconds it took")))

    def _add_choices(self) -> None:
        balance = QgsProcessingParameterEnum(
            self.BALANCE, self.tr("Balance"), list(self.BALANCES), defaultValue="equal"
        )
        balance.setUsesStaticStrings(True)
        self.add_advanced(balance)
        share = QgsProcessingParameterNumber.Type.Double
        self.add_advanced(
            QgsProcessingParameterNumber(self.NONE_BEYOND, self.tr("None of these"), share, None, True, 0.0, 1.0)
        )
        self.add_advanced(QgsProcessingParameterFile(self.CLASSIFIER, self.tr("Saved classifier"), optional=True))
        area = QgsProcessingParameterNumber(
            self.MIN_AREA, self.tr("Smallest polygon (hectares)"), share, 0.0, False, 0.0
        )
        self.add_advanced(area)

    def _add_companions(self) -> None:
        """Declare what may be written beside the map."""
        confidence, polygons = self.tr("Probability of the class (%)"), self.tr("Polygons")
        self.addParameter(
            QgsProcessingParameterRasterDestination(self.CONFIDENCE, confidence, None, True, createByDefault=False)
        )
        self.addParameter(
            QgsProcessingParameterVectorDestination(
                self.POLYGONS, polygons, QgsProcessing.SourceType.TypeVectorPolygon, None, True, createByDefault=False
            )
        )
        saved = QgsProcessingParameterFileDestination(
            self.SAVED_CLASSIFIER, self.tr("Classifier"), self.tr("Classifiers (*.npz)"), None, True, False
        )
        self.addParameter(saved)

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Accept a classifier by its number too, which is what the help of `qgis_process` tells to give."""
        if (parameters.get(self.SAMPLES) in (None, "")) == (parameters.get(self.CLASSIFIER) in (None, "")):
            return False, self.tr("Give either samples or a saved classifier.")
        return super().checkParameterValues(self._named_head(parameters), context)

    def prepareAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Read the layer's colours here, in the main thread, where its renderer lives."""
        value = parameters.get(self.SAMPLES)
        if value not in (None, "") and _file_of(value) is None:
            if isinstance(value, QgsProcessingFeatureSourceDefinition):
                value = value.source.valueAsString(context.expressionContext())[0]
            layer = self.parameterAsLayer({self.SAMPLES: value}, self.SAMPLES, context)
            field = self.parameterAsString(parameters, self.CLASS_FIELD, context)
            self._colors = class_colors(layer, field) if isinstance(layer, QgsVectorLayer) else {}
        return True

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Classify the features."""
        params = self._params(parameters, context)
        folder = Path(tempfile.mkdtemp(prefix="ssl4eo-"))
        try:
            if params["classifier"] is None:
                params["samples"] = str(self._samples(parameters, context, feedback, folder))
            result = self.run_in_backend("classify", params, feedback)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        names = ", ".join(f"{number} {name}" for number, name in result["classes"].items())
        feedback.pushInfo(self.tr("Classes: {}").format(names))
        return {
            self.OUTPUT: result["map"],
            "CLASSES": json.dumps(result["classes"], ensure_ascii=False),
            "HEAD": result["head"],
            "SAMPLES_USED": result["samples"],
            "SECONDS": result["seconds"],
            **{name: path for name, path in self._companions(parameters, context).items() if path},
        }

    def _params(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, Any]:
        """Return what the job takes, but for the samples."""
        beside = self._companions(parameters, context)
        none = parameters.get(self.NONE_BEYOND)
        params = {
            "features": self.parameterAsString(parameters, self.FEATURES, context),
            "class_field": self.parameterAsString(parameters, self.CLASS_FIELD, context) or "class",
            "head": self.parameterAsEnumString(self._named_head(parameters), self.HEAD, context),
            "balance": self.parameterAsEnumString(parameters, self.BALANCE, context),
            "none_beyond": None if none is None else self.parameterAsDouble(parameters, self.NONE_BEYOND, context),
            "classifier": self.parameterAsFile(parameters, self.CLASSIFIER, context) or None,
            "min_area_ha": self.parameterAsDouble(parameters, self.MIN_AREA, context),
            "out": self.parameterAsOutputLayer(parameters, self.OUTPUT, context),
            "confidence": beside[self.CONFIDENCE],
            "polygons": beside[self.POLYGONS],
            "classifier_out": beside[self.SAVED_CLASSIFIER],
        }
        return {**params, "colors": self._colors} if self._colors else params

    def _companions(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, str | None]:
        """Return the paths of what is written beside the map, None for what is not wanted."""
        layers = {
            name: self.parameterAsOutputLayer(parameters, name, context) if parameters.get(name) else None
            for name in (self.CONFIDENCE, self.POLYGONS)
        }
        saved = self.parameterAsFileOutput(parameters, self.SAVED_CLASSIFIER, context)
        return {**layers, self.SAVED_CLASSIFIER: saved or None}

    def _named_head(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters with the classifier as its name."""
        number = str(parameters.get(self.HEAD, ""))
        if number.isdecimal() and int(number) < len(self.HEADS):
            return {**parameters, self.HEAD: self.HEADS[int(number)]}
        return parameters

    def _samples(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        folder: Path,
    ) -> Path:
        """Return a file of the samples: the one that was named, or one written from a layer."""
        named = _file_of(parameters[self.SAMPLES])
        if named is not None:
            return named
        source = self.parameterAsSource(parameters, self.SAMPLES, context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.SAMPLES))
        return write_samples(source, folder / "samples.gpkg", context.transformContext(), feedback)


def _file_of(value: object) -> Path | None:
    """Return the path when a parameter names a file rather than a layer of the project."""
    if isinstance(value, QgsMapLayer) or not isinstance(value, str):
        return None
    path = Path(value)
    return path if path.is_file() else None
