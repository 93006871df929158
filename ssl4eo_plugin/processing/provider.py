# SPDX-License-Identifier: GPL-2.0-or-later
"""The Processing provider `ssl4eo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsProcessingProvider

from ssl4eo_plugin.paths import plugin_icon, resource
from ssl4eo_plugin.processing.assess import AssessAlgorithm, AssessSampleAlgorithm
from ssl4eo_plugin.processing.bench import BenchAlgorithm
from ssl4eo_plugin.processing.classify import ClassifyAlgorithm
from ssl4eo_plugin.processing.encode import EncodeAlgorithm
from ssl4eo_plugin.processing.harmonise import HarmoniseAlgorithm
from ssl4eo_plugin.processing.inspect import InspectAlgorithm
from ssl4eo_plugin.processing.suggest import SuggestAlgorithm
from ssl4eo_plugin.processing.weights import DownloadWeightsAlgorithm, ImportWeightsAlgorithm

if TYPE_CHECKING:
    from qgis.PyQt.QtGui import QIcon

    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["Ssl4eoProvider"]


class Ssl4eoProvider(QgsProcessingProvider):
    """Offers one algorithm per thing the backend can do."""

    def __init__(self, backend: BackendProcess) -> None:
        """Offer algorithms that run in `backend`, which starts when the first one runs."""
        super().__init__()
        self.backend = backend

    def id(self) -> str:
        """Return the first half of the algorithms' identifiers."""
        return "ssl4eo"

    def name(self) -> str:
        """Return the name in the toolbox."""
        return "SSL4EO"

    def longName(self) -> str:
        """Return the name where there is room for one."""
        return self.tr("SSL4EO: land cover from self-supervised features")

    def icon(self) -> QIcon:
        """Return the icon in the toolbox."""
        return plugin_icon()

    def svgIconPath(self) -> str:
        """Return the icon as a file."""
        return str(resource("icons/ssl4eo.svg"))

    def loadAlgorithms(self) -> None:
        """Add the algorithms."""
        for algorithm in (
            DownloadWeightsAlgorithm,
            ImportWeightsAlgorithm,
            InspectAlgorithm,
            HarmoniseAlgorithm,
            EncodeAlgorithm,
            ClassifyAlgorithm,
            SuggestAlgorithm,
            AssessSampleAlgorithm,
            AssessAlgorithm,
            BenchAlgorithm,
        ):
            self.addAlgorithm(algorithm(self.backend))
