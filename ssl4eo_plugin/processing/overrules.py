# SPDX-License-Identifier: GPL-2.0-or-later
"""The parameters that say what the user knows better of an image than its file."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ssl4eo_plugin.processing.base import BackendAlgorithm

__all__ = ["OverruledAlgorithm"]


class OverruledAlgorithm(BackendAlgorithm):
    """An algorithm on an image of which the user may say what its file does not, or says wrongly."""

    BANDS = "BANDS"
    SCALE = "SCALE"
    OFFSET = "OFFSET"
    NODATA = "NODATA"
    LEVEL = "LEVEL"
    UNIT = "UNIT"

    def overrules_help(self) -> str:
        """Return the part of the help that explains these parameters."""
        return self.tr(
            "Bands: which band of the file is which, for example 1=B02,2=B03,3=B04.\n"
            "Scale and offset: reflectance = (value + offset) * scale, where the file does not say.\n"
            "No data: the value of pixels that hold nothing.\n"
            "Level: L1C or L2A; of radar GRD or RTC.\n"
            "Unit: dn or reflectance; of radar db, linear or amplitude."
        )

    def add_overrules(self) -> None:
        """Declare the parameters, which most users never open."""
        number = QgsProcessingParameterNumber.Type.Double
        for name, text, is_number in (
            (self.BANDS, self.tr("Bands, such as 1=B02,2=B03"), False),
            (self.SCALE, self.tr("Scale"), True),
            (self.OFFSET, self.tr("Offset"), True),
            (self.NODATA, self.tr("No data"), True),
            (self.LEVEL, self.tr("Level"), False),
            (self.UNIT, self.tr("Unit"), False),
        ):
            self.add_advanced(
                QgsProcessingParameterNumber(name, text, number, optional=True)
                if is_number
                else QgsProcessingParameterString(name, text, optional=True)
            )

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse a band list that cannot be read before anything runs."""
        try:
            self.overrules(parameters, context)
        except QgsProcessingException as error:
            return False, str(error)
        return super().checkParameterValues(parameters, context)

    def overrules(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, Any]:
        """Return what was said, by the names that the backend takes.

        Raises:
            QgsProcessingException: When the band list cannot be read.
        """
        said: dict[str, Any] = {}
        bands = self._bands(self.parameterAsString(parameters, self.BANDS, context))
        if bands:
            said["bands"] = bands
        for name in (self.SCALE, self.OFFSET, self.NODATA):
            if parameters.get(name) is not None:
                said[name.lower()] = self.parameterAsDouble(parameters, name, context)
        for name in (self.LEVEL, self.UNIT):
            text = self.parameterAsString(parameters, name, context).strip()
            if text:
                said[name.lower()] = text
        return said

    def _bands(self, text: str) -> dict[str, str]:
        """Return the band list as `{"1": "B02", ...}`; the backend judges the names."""
        bands: dict[str, str] = {}
        for part in text.split(","):
            index, _, name = (word.strip() for word in part.partition("="))
            if not part.strip():
                continue
            if not index.isdecimal() or not name or index in bands:
                sentence = self.tr("“{}” in Bands is not a band number and a name; write them as 1=B02,2=B03.")
                raise QgsProcessingException(sentence.format(part.strip()))
            bands[index] = name
        return bands
