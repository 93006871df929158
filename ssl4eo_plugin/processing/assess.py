# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:assesssample` and `ssl4eo:assess`: how right a map is."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm

__all__ = ["AssessAlgorithm", "AssessSampleAlgorithm"]

_INTEGER, _DOUBLE = QgsProcessingParameterNumber.Type.Integer, QgsProcessingParameterNumber.Type.Double


class AssessSampleAlgorithm(BackendAlgorithm):
    """Draws the points that a map is assessed with."""

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "assesssample"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Draw points to assess a map")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Draws random points in each class of a map, to be answered without seeing it.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Draws points at random in each class of a class map, in random order, with the class left blank.\n"
            "Standard error: that the overall accuracy should have; it decides how many points there are.\n"
            "Points in a rare class: its least number.\n\n"
            "Fill in the field “class” of each point from what you see or know, without looking at the map, then run "
            "“Assess a map”."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterFile("MAP", self.tr("Class map")))
        error = QgsProcessingParameterNumber(
            "STANDARD_ERROR", self.tr("Standard error"), _DOUBLE, 0.01, False, 0.0005, 0.5
        )
        self.addParameter(error)
        least = QgsProcessingParameterNumber(
            "PER_CLASS", self.tr("Points in a rare class"), _INTEGER, 50, False, 2, 10000
        )
        self.addParameter(least)
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Points to answer")))
        self.addOutput(QgsProcessingOutputNumber("POINTS", self.tr("Number of points")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Draw the points."""
        params = {
            "map": self.parameterAsFile(parameters, "MAP", context),
            "out": self.parameterAsOutputLayer(parameters, "OUTPUT", context),
            "target_se": self.parameterAsDouble(parameters, "STANDARD_ERROR", context),
            "per_class": self.parameterAsInt(parameters, "PER_CLASS", context),
        }
        result = self.run_in_backend("assess_sample", params, feedback)
        return {"OUTPUT": result["samples"], "POINTS": result["points"]}


class AssessAlgorithm(BackendAlgorithm):
    """Compares a map with points that were answered."""

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "assess"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Assess a map")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Estimates the accuracy and areas of a map, with confidence intervals, from answered points.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(
            "Estimates overall, user's and producer's accuracy and the area of each class with 95 % confidence "
            "intervals, from a random sample of a class map that is stratified by its classes (Olofsson et al. 2014).\n"
            "Points: those of “Draw points to assess a map”, with their class filled in."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterFile("MAP", self.tr("Class map")))
        self.addParameter(QgsProcessingParameterFile("SAMPLES", self.tr("Points that were answered")))
        self.addParameter(QgsProcessingParameterString("CLASS_FIELD", self.tr("Class field"), "class"))
        page = self.tr("HTML files (*.html)")
        self.addParameter(QgsProcessingParameterFileDestination("REPORT", self.tr("Report"), page, optional=True))
        table = self.tr("CSV files (*.csv)")
        self.addParameter(QgsProcessingParameterFileDestination("TABLE", self.tr("Table"), table, optional=True))
        self.addOutput(QgsProcessingOutputNumber("ACCURACY", self.tr("Overall accuracy")))
        self.addOutput(QgsProcessingOutputNumber("INTERVAL", self.tr("Half width of its 95 % interval")))
        self.addOutput(QgsProcessingOutputNumber("POINTS", self.tr("Number of points")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Assess the map."""
        params = {
            "map": self.parameterAsFile(parameters, "MAP", context),
            "samples": self.parameterAsFile(parameters, "SAMPLES", context),
            "class_field": self.parameterAsString(parameters, "CLASS_FIELD", context),
            "report": self.parameterAsFileOutput(parameters, "REPORT", context) or None,
            "csv": self.parameterAsFileOutput(parameters, "TABLE", context) or None,
        }
        result = self.run_in_backend("assess", params, feedback)
        found = {
            "ACCURACY": result["overall"]["value"],
            "INTERVAL": result["overall"]["interval"],
            "POINTS": result["points"],
        }
        written = {"REPORT": params["report"], "TABLE": params["csv"]}
        return {**found, **{name: path for name, path in written.items() if path}}
