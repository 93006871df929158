# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:inspect`: what an image is, how that was found, and what must be said of it."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterRasterLayer,
)

from ssl4eo_plugin.engine.errors import EngineError, JobCancelled
from ssl4eo_plugin.processing.overrules import OverruledAlgorithm
from ssl4eo_plugin.processing.sources import raster_path

__all__ = ["InspectAlgorithm"]


class InspectAlgorithm(OverruledAlgorithm):
    """Says what an image is before time is spent on it."""

    INPUT = "INPUT"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "inspect"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Inspect a scene")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Says which sensor, level, bands, scale and offset an image has, and how sure that is.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return (
            self.tr(
                "Says what an image is: sensor, level, bands, scale, offset and unit, how each was found, how sure "
                "it is, and what you must say before the image can be encoded. READY is true when nothing is open.\n\n"
                "Scene: a georeferenced raster with Sentinel bands.\n"
            )
            + self.overrules_help()
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Scene")))
        self.add_overrules()
        self.addOutput(QgsProcessingOutputString("SENSOR", self.tr("Sensor")))
        self.addOutput(QgsProcessingOutputString("LEVEL", self.tr("Product level")))
        self.addOutput(QgsProcessingOutputString("BANDS", self.tr("Names of the bands, in order")))
        self.addOutput(QgsProcessingOutputBoolean("READY", self.tr("Whether it can be encoded as it is")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Inspect the scene."""
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        path, said = raster_path(layer), self.overrules(parameters, context)
        try:
            info = self._backend.ensure_client(feedback.isCanceled).inspect(path, **said)
        except JobCancelled as error:
            raise QgsProcessingException(self.tr("Cancelled.")) from error
        except EngineError as error:
            raise QgsProcessingException(str(error)) from error
        names = ",".join(name or "?" for name in info["bands"])
        self._tell(info, names, feedback)
        return {
            "SENSOR": info["sensor"] or "",
            "LEVEL": info["level"] or "",
            "BANDS": names,
            "READY": not info["needs"],
        }

    def _tell(self, info: dict[str, Any], names: str, feedback: QgsProcessingFeedback) -> None:
        size = "{} x {}".format(info["width"], info["height"])
        nodata = self.tr("none") if info["nodata"] is None else "{:g}".format(info["nodata"])
        for title, value in (
            (self.tr("Sensor"), info["sensor"] or self.tr("unknown")),
            (self.tr("Level"), info["level"] or self.tr("unknown")),
            (self.tr("Bands"), names),
            (self.tr("Unit"), info["unit"]),
            (self.tr("Divisor"), "{:g}".format(info["quantification"])),
            (self.tr("Offset"), "{:g}".format(info["offset"])),
            (self.tr("No data"), nodata),
            (self.tr("Size"), size),
            (self.tr("CRS"), info["crs"] or self.tr("none")),
        ):
            feedback.pushInfo(f"{title}: {value}")
        for finding in info["findings"]:
            feedback.pushInfo("{field} ({how}, {confidence}): {because}".format(**finding))
        for sentence in info["warnings"]:
            feedback.pushWarning(sentence)
        for sentence in info["needs"]:
            feedback.reportError(sentence)
