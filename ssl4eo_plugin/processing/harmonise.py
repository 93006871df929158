# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:harmonise`: whatever a scene lies on disk as becomes one GeoTIFF that needs no explanation."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
    QgsProcessingParameterRasterDestination,
)

from ssl4eo_plugin.processing.overrules import OverruledAlgorithm

__all__ = ["HarmoniseAlgorithm"]


class HarmoniseAlgorithm(OverruledAlgorithm):
    """Turns a SAFE product, a folder of bands or any raster into one 10 m GeoTIFF with named bands."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"

    def name(self) -> str:
        """Return the second half of the identifier."""
        return "harmonise"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return self.tr("Harmonise a scene")

    def shortDescription(self) -> str:
        """Return one line for a tooltip."""
        return self.tr("Writes a SAFE product, a folder of bands or any raster as one 10 m GeoTIFF.")

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return (
            self.tr(
                "Writes a scene as one GeoTIFF on a 10 m grid that needs no explanation: its bands are named, "
                "Sentinel-2 is reflectance x 10000 without offset (0 where there is no data), Sentinel-1 is decibels. "
                "Bands of 20 m and 60 m are interpolated.\n\n"
                "Scene: a raster, a zipped SAFE product, its metadata file (MTD_MSIL1C.xml), or the path of a folder: "
                "a SAFE product or one file per band.\n"
            )
            + self.overrules_help()
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare what goes in and what comes out."""
        # QGIS has no parameter for a file or a folder; this one lets a folder's path be typed, pasted or dropped, once
        # its filter asks for no dot in the name.
        scene = QgsProcessingParameterFile(self.INPUT, self.tr("Scene (file or folder)"))
        scene.setFileFilter(self.tr("All files (*)"))
        self.addParameter(scene)
        self.add_overrules()
        self.addParameter(QgsProcessingParameterRasterDestination(self.OUTPUT, self.tr("Harmonised scene")))
        self.addOutput(QgsProcessingOutputString("SENSOR", self.tr("Sensor")))
        self.addOutput(QgsProcessingOutputString("LEVEL", self.tr("Product level")))
        self.addOutput(QgsProcessingOutputString("BANDS", self.tr("Names of the bands, in order")))
        self.addOutput(QgsProcessingOutputNumber("SECONDS", self.tr("Seconds it took")))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Harmonise the scene."""
        params = {
            "scene": self.parameterAsFile(parameters, self.INPUT, context),
            "out": self.parameterAsOutputLayer(parameters, self.OUTPUT, context),
            **self.overrules(parameters, context),
        }
        result = self.run_in_backend("harmonise", params, feedback)
        names = ",".join(result["bands"])
        feedback.pushInfo(self.tr("Bands: {}").format(names))
        return {
            self.OUTPUT: result["scene"],
            "SENSOR": result["sensor"],
            "LEVEL": result["level"] or "",
            "BANDS": names,
            "SECONDS": result["seconds"],
        }
