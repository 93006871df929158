# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:encode`: a Sentinel scene becomes a feature set."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ssl4eo_plugin.processing.overrules import OverruledAlgorithm
from ssl4eo_plugin.processing.sources import raster_path
from ssl4eo_plugin.settings import BUNDLED_ENCODER

__all__ = ["EncodeAlgorithm"]

_MODES = ["fast", "standard"]
_FULL = "full"


class EncodeAlgorithm(OverruledAlgorithm):
    """Turns a scene into features with a self-supervised encoder, once; classifying them takes seconds."""

    INPUT = "INPUT"
    ENCODER = "ENCODER"
    MODE = "MODE"
    EXTENT = "EXTENT"
    DEVICE = "DEVICE"
    COMPONENTS = "COMPONENTS"
    PROJECTION = "PROJECTION"
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
            "Mode: how much work goes into each place. Every encoder has standard; transformers also have fast, a "
            "quarter of the time, which may leave steps where their windows meet.\n"
            "Extent: what to encode, in any coordinate system; the whole scene when left empty.\n"
            "Device: auto, cpu, cuda, cuda:1 or mps.\n"
            "Components: how many values are kept per level and place, or full for all channels of the network.\n"
            "Projection of: a feature set whose components are taken, so that what is learnt from its samples fits "
            "this one too.\n"
            "Further encoder and its scene: a second encoder whose levels join those of the first on the grid of the "
            "scene, such as one for Sentinel-1 on a radar image of the same place; on the same scene when that is left "
            "empty.\n"
        ) + "\n\n".join(
            (
                self.overrules_help(),
                self.tr(
                    "A folder that was made of the same scene, encoder and settings is taken as it is, and a run that "
                    "was interrupted goes on when it is run again into the same folder."
                ),
                self.tr("It runs in a process of its own; QGIS stays usable."),
            )
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Scene")))
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder"), BUNDLED_ENCODER))
        mode = QgsProcessingParameterEnum(
            self.MODE, self.tr("Mode"), _MODES, defaultValue="standard", usesStaticStrings=True
        )
        self.addParameter(mode)
        self.addParameter(QgsProcessingParameterExtent(self.EXTENT, self.tr("Extent"), optional=True))
        self.add_advanced(QgsProcessingParameterString(self.DEVICE, self.tr("Device"), "auto"))
        self.add_advanced(QgsProcessingParameterString(self.COMPONENTS, self.tr("Components, or full"), "64"))
        folder = QgsProcessingParameterFile.Behavior.Folder
        projection = QgsProcessingParameterFile(self.PROJECTION, self.tr("Projection of"), folder, optional=True)
        self.add_advanced(projection)
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
        self.addOutput(QgsProcessingOutputBoolean("CACHED", self.tr("Whether it was there already")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", self.tr("Seconds it took")))
        self.addOutput(QgsProcessingOutputString("LEVELS", self.tr("Levels (JSON)")))

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse a scene without an encoder, and what is no number or band list, before anything runs."""
        try:
            self._addition(parameters, context)
            self._components(parameters, context)
        except QgsProcessingException as error:
            return False, str(error)
        return super().checkParameterValues(parameters, context)

    def stopped_remedy(self) -> str:
        """Return what to do when the backend stopped in the middle."""
        return self.tr("run it again into the same folder to go on")

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
            "mode": self.parameterAsEnumString(parameters, self.MODE, context),
            "components": self._components(parameters, context),
            "device": self.parameterAsString(parameters, self.DEVICE, context).strip() or "auto",
        }
        if parameters.get(self.EXTENT) not in (None, ""):
            extent = self.parameterAsExtent(parameters, self.EXTENT, context, layer.crs())
            params["bbox"] = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
        if projection := self.parameterAsString(parameters, self.PROJECTION, context).strip():
            params["projection"] = projection
        params.update(self.overrules(parameters, context))
        if addition := self._addition(parameters, context):
            params["add"] = [addition]
        result = self.run_in_backend("encode", params, feedback)
        self._tell(result, feedback)
        return {
            self.OUTPUT: result["features"],
            "ENCODER": result["encoder"],
            "DEVICE": result["device"],
            "CACHED": result["cached"],
            "SECONDS": result["seconds"],
            "LEVELS": json.dumps(result["levels"], ensure_ascii=False),
        }

    def _tell(self, result: dict[str, Any], feedback: QgsProcessingFeedback) -> None:
        if result["cached"]:
            sentence = self.tr("Nothing to do: {} was made from the same scene, encoder and settings.")
            feedback.pushInfo(sentence.format(result["features"]))
            return
        if result["resumed"]:
            sentence = self.tr("{} of {} tiles were left by an interrupted run.")
            feedback.pushInfo(sentence.format(result["resumed"], result["windows"]))
        sentence = self.tr(
            "Encoded in {seconds:.1f} s on {device} ({device_reason}) in {precision} ({precision_reason})."
        )
        feedback.pushInfo(sentence.format(**result))

    def _components(self, parameters: dict[str, Any], context: QgsProcessingContext) -> int | str:
        """Return how many components are kept as the backend takes it."""
        text = self.parameterAsString(parameters, self.COMPONENTS, context).strip().lower()
        if text == _FULL:
            return _FULL
        if not text.isdecimal() or int(text) < 1:
            sentence = self.tr("“{}” in Components is neither a number from 1 on nor full; write one of them.")
            raise QgsProcessingException(sentence.format(text))
        return int(text)

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
