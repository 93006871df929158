# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:bench`: how fast an encoder and the live map are on this computer."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm
from ssl4eo_plugin.processing.sources import raster_path
from ssl4eo_plugin.settings import BUNDLED_ENCODER

__all__ = ["BenchAlgorithm"]

_WHAT = ["forward", "ratio", "parts", "memory", "scaling", "baseline", "live"]
_MODES = ["fast", "standard"]


class BenchAlgorithm(BackendAlgorithm):
    """Measures what encoding costs on this computer."""

    ENCODER = "ENCODER"
    WHAT = "WHAT"
    INPUT = "INPUT"
    MODE = "MODE"
    DEVICE = "DEVICE"
    PRECISION = "PRECISION"
    PAIRS = "PAIRS"
    SIZES = "SIZES"
    RANDOM = "RANDOM"
    FEATURES = "FEATURES"
    CLICKS = "CLICKS"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "bench"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Measure the speed of an encoder")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Measures what encoding costs on this computer, against the pure forward pass of the network.")

    def group(self) -> str:
        """Return the heading in the toolbox."""
        return self.tr("Encoders")

    def groupId(self) -> str:
        """Return the identifier of the heading."""
        return "encoders"

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Measures what encoding costs on this computer. It keeps the computer busy for minutes, and other work "
            "meanwhile makes the figures worse. Nothing is left on the disk.\n\n"
            "Encoder: the identifier of an encoder.\n"
            "What: forward is the network alone, on data in memory; ratio that against everything from file to feature "
            "set; parts where the time goes; memory and scaling how both grow with the size of the scene, which takes "
            "long; baseline the comparison with a plain loop over tiles, for transformers; live the live map, from a "
            "click to the view that shows it.\n"
            "Scene: a georeferenced raster with Sentinel bands that says what they are; a simulated one when left "
            "empty.\n"
            "Mode: how much work goes into each place.\n"
            "Device: auto, cpu, cuda, cuda:1 or mps. Precision: auto, fp32, bf16 or fp16.\n"
            "Rounds: how often what is compared runs in turn.\n"
            "Sizes: of the scenes for memory and scaling, in megapixels.\n"
            "Random weights: measure an encoder whose weights are not on this computer; speed does not depend on "
            "them.\n"
            "Feature set and clicks: of the live map; made-up features when left empty."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder"), BUNDLED_ENCODER))
        what = QgsProcessingParameterEnum(
            self.WHAT, self.tr("What"), _WHAT, allowMultiple=True, defaultValue=["ratio"], usesStaticStrings=True
        )
        self.addParameter(what)
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Scene"), optional=True))
        mode = QgsProcessingParameterEnum(
            self.MODE, self.tr("Mode"), _MODES, defaultValue="standard", usesStaticStrings=True
        )
        self.addParameter(mode)
        self.add_advanced(QgsProcessingParameterString(self.DEVICE, self.tr("Device"), "auto"))
        self.add_advanced(QgsProcessingParameterString(self.PRECISION, self.tr("Precision"), "auto"))
        integer = QgsProcessingParameterNumber.Type.Integer
        self.add_advanced(
            QgsProcessingParameterNumber(self.PAIRS, self.tr("Rounds"), integer, defaultValue=5, minValue=1)
        )
        self.add_advanced(QgsProcessingParameterString(self.SIZES, self.tr("Sizes in megapixels"), "1,4,16,121"))
        self.add_advanced(QgsProcessingParameterBoolean(self.RANDOM, self.tr("Random weights"), False))
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.add_advanced(QgsProcessingParameterFile(self.FEATURES, self.tr("Feature set"), folder, optional=True))
        clicks = QgsProcessingParameterNumber(self.CLICKS, self.tr("Clicks"), integer, defaultValue=100, minValue=1)
        self.add_advanced(clicks)
        self.addOutput(QgsProcessingOutputNumber("IMAGES", self.tr("Images of 224 x 224 pixels per second, forward")))
        self.addOutput(QgsProcessingOutputNumber("RATIO", self.tr("Forward pass as a share of end to end")))
        self.addOutput(
            QgsProcessingOutputNumber("CLICK", self.tr("Milliseconds of a click on the live map, 95 of 100"))
        )
        self.addOutput(QgsProcessingOutputString("REPORT", self.tr("All figures (JSON)")))

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse sizes that are no numbers before anything runs."""
        try:
            self._sizes(parameters, context)
        except QgsProcessingException as error:
            return False, str(error)
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Measure."""
        params: dict[str, Any] = {
            "encoders": [self.parameterAsString(parameters, self.ENCODER, context).strip()],
            "what": self.parameterAsEnumStrings(parameters, self.WHAT, context),
            "mode": self.parameterAsEnumString(parameters, self.MODE, context),
            "device": self.parameterAsString(parameters, self.DEVICE, context).strip() or "auto",
            "precisions": [self.parameterAsString(parameters, self.PRECISION, context).strip() or "auto"],
            "pairs": self.parameterAsInt(parameters, self.PAIRS, context),
            "sizes": self._sizes(parameters, context),
            "random_weights": self.parameterAsBool(parameters, self.RANDOM, context),
            "features": self.parameterAsString(parameters, self.FEATURES, context).strip() or None,
            "clicks": self.parameterAsInt(parameters, self.CLICKS, context),
        }
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is not None:
            params["scene"] = raster_path(layer)
        elif parameters.get(self.INPUT) not in (None, ""):
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        result = self.run_in_backend("bench", params, feedback)
        outputs: dict[str, Any] = {"REPORT": json.dumps(result)}
        for run in result["runs"]:
            outputs.update(self._said(result["machine"], run, feedback))
        if "live" in result:
            outputs["CLICK"] = max(row["both"]["p95"] for row in result["live"]["rows"])
            sentence = self.tr("Live map: 95 of 100 clicks are answered within {:.0f} ms")
            feedback.pushInfo(sentence.format(outputs["CLICK"]))
        return outputs

    def _said(self, machine: dict[str, Any], run: dict[str, Any], feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Tell the figures of an encoder, and return those that are outputs."""
        outputs = {}
        feedback.pushInfo(
            self.tr("{}, {} cores; {} on {} in {}").format(
                machine["cpu"], machine["cores"], run["encoder"], run["device"], run["precision"]
            )
        )
        if "forward" in run:
            fastest = run["forward"]["arrangements"][run["forward"]["fastest"]]
            outputs["IMAGES"] = fastest["images_per_second"]
            feedback.pushInfo(self.tr("Forward: {:.1f} images of 224 x 224 per second").format(outputs["IMAGES"]))
        if "ratio" in run:
            ratio = run["ratio"]
            outputs["RATIO"] = ratio["median"]
            sentence = self.tr("The forward pass is {:.2f} of the time from file to feature set ({:.2f} to {:.2f})")
            feedback.pushInfo(sentence.format(ratio["median"], ratio["least"], ratio["most"]))
        return outputs

    def _sizes(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[float]:
        text = self.parameterAsString(parameters, self.SIZES, context)
        try:
            return [float(part) for part in text.split(",")]
        except ValueError as error:
            sentence = self.tr("“{}” is not a list of sizes in megapixels; write them as 1,4,16.")
            raise QgsProcessingException(sentence.format(text)) from error
