# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:suggest`: where a sample helps most."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm

__all__ = ["SuggestAlgorithm"]


class SuggestAlgorithm(BackendAlgorithm):
    """Says where the next samples help most."""

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "suggest"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Suggest where to sample next")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Ranks the places of a feature set where a sample helps most.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Ranks the places of a feature set where a sample helps most: typical ones at first, later those between "
            "two classes.\n"
            "Samples: what is labelled so far, a file with at least two classes; nothing at the beginning."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile("FEATURES", self.tr("Feature set"), folder))
        self.addParameter(QgsProcessingParameterFile("SAMPLES", self.tr("Samples"), optional=True))
        self.addParameter(QgsProcessingParameterString("CLASS_FIELD", self.tr("Class field"), "class"))
        self.addParameter(
            QgsProcessingParameterNumber(
                "COUNT", self.tr("Places"), QgsProcessingParameterNumber.Type.Integer, 5, False, 1, 100
            )
        )
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Where to sample next")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Look for places."""
        params = {
            "features": self.parameterAsString(parameters, "FEATURES", context),
            "samples": self.parameterAsFile(parameters, "SAMPLES", context) or None,
            "class_field": self.parameterAsString(parameters, "CLASS_FIELD", context),
            "count": self.parameterAsInt(parameters, "COUNT", context),
            "out": self.parameterAsOutputLayer(parameters, "OUTPUT", context),
        }
        return {"OUTPUT": self.run_in_backend("suggest", params, feedback)["points"]}
