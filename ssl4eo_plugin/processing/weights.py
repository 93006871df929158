# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:downloadweights` and `ssl4eo:importweights`: an encoder's weights come to this computer."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ssl4eo_plugin import settings
from ssl4eo_plugin.processing.base import BackendAlgorithm

__all__ = ["DownloadWeightsAlgorithm", "ImportWeightsAlgorithm"]


class _WeightsAlgorithm(BackendAlgorithm):
    """What both have: their heading, and what they say of the weights."""

    ENCODER = "ENCODER"

    def group(self) -> str:
        """Return the heading in the toolbox."""
        return self.tr("Encoders")

    def groupId(self) -> str:
        """Return the identifier of the heading."""
        return "encoders"

    def add_results(self) -> None:
        """Declare what comes out."""
        self.addOutput(QgsProcessingOutputString("ENCODER", self.tr("Encoder")))
        self.addOutput(QgsProcessingOutputString("WEIGHTS", self.tr("File of the weights")))
        self.addOutput(QgsProcessingOutputString("SHA256", self.tr("SHA-256 of the file")))

    def results(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return what comes out of a job's result."""
        return {"ENCODER": result["encoder"], "WEIGHTS": result["path"], "SHA256": result["sha256"]}


class DownloadWeightsAlgorithm(_WeightsAlgorithm):
    """Downloads the weights of an encoder, once."""

    MIRROR = "MIRROR"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "downloadweights"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Download the weights of an encoder")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Downloads the weights of an encoder and checks them.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Downloads the weights of an encoder to this computer and checks that they are the encoder's. A download "
            "that was cut off or cancelled is continued; weights that are here already are left as they are.\n\n"
            "Encoder: its identifier, such as moco-resnet50-s2.\n"
            "Mirror: the address of a server that holds the files; then no other is asked. Left empty, the one of the "
            "settings."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder")))
        self.add_advanced(QgsProcessingParameterString(self.MIRROR, self.tr("Mirror"), optional=True))
        self.add_results()
        self.addOutput(QgsProcessingOutputString("VERIFIED", self.tr("What proved the file right")))

    def cancelled_sentence(self) -> str:
        """Return what to say when the user cancelled."""
        return self.tr("Cancelled; what was fetched is kept for the next time.")

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Download the weights."""
        params = {"encoder": self.parameterAsString(parameters, self.ENCODER, context).strip()}
        mirror = self.parameterAsString(parameters, self.MIRROR, context).strip() or settings.mirror()
        if mirror:
            params["mirror"] = mirror
        result = self.run_in_backend("weights_download", params, feedback)
        feedback.pushInfo(self.tr("The weights lie in {}.").format(result["path"]))
        return {**self.results(result), "VERIFIED": result["verified"]}


class ImportWeightsAlgorithm(_WeightsAlgorithm):
    """Takes over a file of weights that came by hand."""

    FILE = "FILE"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "importweights"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Import the weights of an encoder")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Recognises a file of weights and copies it to where the backend finds it.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Recognises whose weights a file holds and copies it to where the backend finds it, without the "
            "internet.\n\n"
            "File: a checkpoint as its authors published it, as .pth or .safetensors.\n"
            "Encoder: needed only where the file alone does not tell, such as moco-resnet50-s2."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterFile(self.FILE, self.tr("File")))
        self.addParameter(QgsProcessingParameterString(self.ENCODER, self.tr("Encoder"), optional=True))
        self.add_results()
        self.addOutput(QgsProcessingOutputString("CONFIDENCE", self.tr("How sure it is")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Import the file."""
        params = {"file": self.parameterAsString(parameters, self.FILE, context)}
        if encoder := self.parameterAsString(parameters, self.ENCODER, context).strip():
            params["encoder"] = encoder
        result = self.run_in_backend("weights_import", params, feedback)
        feedback.pushInfo(
            self.tr("Imported as {} ({}: {}).").format(result["encoder"], result["confidence"], result["because"])
        )
        return {**self.results(result), "CONFIDENCE": result["confidence"]}
