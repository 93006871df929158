# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:encode`: a Sentinel scene becomes a feature set."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ssl4eo_plugin.processing.overrules import OverruledAlgorithm
from ssl4eo_plugin.processing.sources import raster_path
from ssl4eo_plugin.settings import BUNDLED_ENCODER

__all__ = ["EncodeAlgorithm"]


class EncodeAlgorithm(OverruledAlgorithm):
    """Turns a scene into features with a self-supervised encoder, once; classifying them takes seconds."""

    INPUT = "INPUT"
    ENCODER = "ENCODER"
    EXTENT = "EXTENT"
    DEVICE = "DEVICE"
    ADD_ENCODER = "ADD_ENCODER"
    ADD_SCENE = "ADD_SCENE"
    OUTPUT = "OUTPUT"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "encode"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Encode a scene into features")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Turns a Sentinel scene into a feature set with a self-supervised encoder.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Turns a Sentinel scene into a feature set: a folder with one small raster per level of the "
            "encoder and item.json, which says how it was made. This is the slow step, done once per scene "
            "and encoder; classifying the features takes seconds.\n\n"
            "Scene: a georeferenced raster with Sentinel bands. What the bands are is read from their names; "
            "where the file does not say, give them under Bands.\n"
            "Encoder: the identifier of an encoder; the default one comes with the backend.\n"
            "Extent: what to encode, in any coordinate system; the whole scene when left empty.\n"
            "Device: auto, cpu, cuda, cuda:1 or mps.\n"
            "Further encoder and its scene: a second encoder whose levels join those of the first on the grid of the "
            "scene, such as one for Sentinel-1 on a radar image of the same place; on the same scene when that is left "
            "empty.\n"
        ) + "\n\n".join((self.overrules_help(), self.tr("It runs in a process of its own; QGIS stays usable.")))

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Scene")))
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder"), BUNDLED_ENCODER))
        self.addParameter(QgsProcessingParameterExtent(self.EXTENT, self.tr("Extent"), optional=True))
        self.add_advanced(QgsProcessingParameterString(self.DEVICE, self.tr("Device"), "auto"))
        encoder = QgsProcessingParameterString(self.ADD_ENCODER, self.tr("Further encoder"), optional=True)
        self.add_advanced(encoder)
        scene = QgsProcessingParameterRasterLayer(
            self.ADD_SCENE, self.tr("Scene of the further encoder"), optional=True
        )
        self.add_advanced(scene)
        self.add_overrules()
        self.addParameter(QgsProcessingParameterFolderDestination(self.OUTPUT, self.tr("Feature set")))
        self.addOutput(QgsProcessingOutputString("ENCODER", self.tr("Encoder")))
        self.addOutput(QgsProcessingOutputString("DEVICE", self.tr("Device that ran it")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", self.tr("Seconds it took")))
        self.addOutput(QgsProcessingOutputString("LEVELS", self.tr("Levels (JSON)")))

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse a scene without an encoder, or a band list that cannot be read, before anything runs."""
        try:
            self._addition(parameters, context)
        except QgsProcessingException as error:
            return False, str(error)
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Encode the scene."""
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        params: dict[str, Any] = {
            "scene": raster_path(layer),
            "out": self.parameterAsString(parameters, self.OUTPUT, context),
            "encoder": self.parameterAsString(parameters, self.ENCODER, context).strip(),
            "device": self.parameterAsString(parameters, self.DEVICE, context).strip() or "auto",
        }
        if parameters.get(self.EXTENT) not in (None, ""):
            extent = self.parameterAsExtent(parameters, self.EXTENT, context, layer.crs())
            params["bbox"] = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
        params.update(self.overrules(parameters, context))
        if addition := self._addition(parameters, context):
            params["add"] = [addition]
        result = self.run_in_backend("encode", params, feedback)
        feedback.pushInfo(self.tr("Encoded in {:.1f} s on {}.").format(result["seconds"], result["device"]))
        return {
            self.OUTPUT: result["features"],
            "ENCODER": result["encoder"],
            "DEVICE": result["device"],
            "SECONDS": result["seconds"],
            "LEVELS": json.dumps(result["levels"], ensure_ascii=False),
        }

    def _addition(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, str] | None:
        """Return the further encoder as the backend takes it, or None."""
        encoder = self.parameterAsString(parameters, self.ADD_ENCODER, context).strip()
        given = parameters.get(self.ADD_SCENE) not in (None, "")
        if not encoder:
            if given:
                sentence = self.tr(
                    "A scene of a further encoder is given, but no further encoder; name it, or leave both."
                )
                raise QgsProcessingException(sentence)
            return None
        if not given:
            return {"encoder": encoder}
        layer = self.parameterAsRasterLayer(parameters, self.ADD_SCENE, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.ADD_SCENE))
        return {"encoder": encoder, "scene": raster_path(layer)}
