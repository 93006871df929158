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
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm
from ssl4eo_plugin.processing.sources import raster_path
from ssl4eo_plugin.settings import BUNDLED_ENCODER

__all__ = ["EncodeAlgorithm"]


class EncodeAlgorithm(BackendAlgorithm):
    """Turns a scene into features with a self-supervised encoder, once; classifying them takes seconds."""

    INPUT = "INPUT"
    ENCODER = "ENCODER"
    EXTENT = "EXTENT"
    DEVICE = "DEVICE"
    BANDS = "BANDS"
    SCALE = "SCALE"
    OFFSET = "OFFSET"
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
            "Bands: which band of the file is which, for example 1=B02,2=B03,3=B04.\n"
            "Scale and offset: reflectance = (value + offset) * scale, where the file does not say.\n\n"
            "It runs in a process of its own; QGIS stays usable."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Scene")))
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder"), BUNDLED_ENCODER))
        self.addParameter(QgsProcessingParameterExtent(self.EXTENT, self.tr("Extent"), optional=True))
        self.add_advanced(QgsProcessingParameterString(self.DEVICE, self.tr("Device"), "auto"))
        self.add_advanced(
            QgsProcessingParameterString(self.BANDS, self.tr("Bands, such as 1=B02,2=B03"), optional=True)
        )
        for name, text in ((self.SCALE, self.tr("Scale")), (self.OFFSET, self.tr("Offset"))):
            kind = QgsProcessingParameterNumber.Type.Double
            self.add_advanced(QgsProcessingParameterNumber(name, text, kind, optional=True))
        self.addParameter(QgsProcessingParameterFolderDestination(self.OUTPUT, self.tr("Feature set")))
        self.addOutput(QgsProcessingOutputString("ENCODER", self.tr("Encoder")))
        self.addOutput(QgsProcessingOutputString("DEVICE", self.tr("Device that ran it")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", self.tr("Seconds it took")))
        self.addOutput(QgsProcessingOutputString("LEVELS", self.tr("Levels (JSON)")))

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse a band list that cannot be read before anything runs."""
        try:
            self._bands(parameters, context)
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
        if bands := self._bands(parameters, context):
            params["bands"] = bands
        for name, key in ((self.SCALE, "scale"), (self.OFFSET, "offset")):
            if parameters.get(name) is not None:
                params[key] = self.parameterAsDouble(parameters, name, context)
        result = self.run_in_backend("encode", params, feedback)
        feedback.pushInfo(self.tr("Encoded in {:.1f} s on {}.").format(result["seconds"], result["device"]))
        return {
            self.OUTPUT: result["features"],
            "ENCODER": result["encoder"],
            "DEVICE": result["device"],
            "SECONDS": result["seconds"],
            "LEVELS": json.dumps(result["levels"], ensure_ascii=False),
        }

    def _bands(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, str]:
        """Return the band list as `{"1": "B02", ...}`; the backend judges the names."""
        bands: dict[str, str] = {}
        for part in self.parameterAsString(parameters, self.BANDS, context).split(","):
            index, _, name = (word.strip() for word in part.partition("="))
            if not part.strip():
                continue
            if not index.isdecimal() or not name or index in bands:
                sentence = self.tr("“{}” in Bands is not a band number and a name; write them as 1=B02,2=B03.")
                raise QgsProcessingException(sentence.format(part.strip()))
            bands[index] = name
        return bands
