# SPDX-License-Identifier: GPL-2.0-or-later
"""What the algorithms share: the backend, its jobs with progress and Cancel, and their group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
)
from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.engine.errors import EngineError, JobCancelled
from ssl4eo_plugin.engine.jobs import run_job
from ssl4eo_plugin.paths import plugin_icon

if TYPE_CHECKING:
    from qgis.PyQt.QtGui import QIcon

    from ssl4eo_plugin.engine.process import BackendProcess

__all__ = ["BackendAlgorithm"]


class BackendAlgorithm(QgsProcessingAlgorithm):
    """An algorithm whose work is one job of the backend."""

    def __init__(self, backend: BackendProcess) -> None:
        """Run in `backend`, which starts when the algorithm first runs."""
        super().__init__()
        self._backend = backend

    def createInstance(self) -> BackendAlgorithm:
        """Return a new algorithm of the same kind on the same backend."""
        return type(self)(self._backend)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return QCoreApplication.translate(type(self).__name__, text)

    def group(self) -> str:
        """Return the heading in the toolbox."""
        return self.tr("Land cover by samples")

    def groupId(self) -> str:
        """Return the identifier of the heading."""
        return "landcover"

    def icon(self) -> QIcon:
        """Return the icon in the toolbox."""
        return plugin_icon()

    def flags(self) -> QgsProcessingAlgorithm.Flag:
        """Say that it can run many times over a list of inputs, and can be cancelled."""
        return (
            super().flags() | QgsProcessingAlgorithm.Flag.FlagSupportsBatch | QgsProcessingAlgorithm.Flag.FlagCanCancel
        )

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Add a parameter that most users never open."""
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
        self.addParameter(parameter)

    def cancelled_sentence(self) -> str:
        """Return what to say when the user cancelled."""
        return self.tr("Cancelled; nothing was written.")

    def stopped_remedy(self) -> str:
        """Return what to do when the backend stopped in the middle, as the end of a sentence."""
        return self.tr("run it again")

    def run_in_backend(self, kind: str, params: dict[str, Any], feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run one job and return its result.

        Raises:
            QgsProcessingException: With the backend's sentence, or because the user cancelled.
        """
        told = ""

        def advanced(fraction: float, message: str) -> None:
            nonlocal told
            feedback.setProgress(100.0 * fraction)
            if message and message != told:
                told = message
                feedback.setProgressText(message)

        try:
            result = run_job(
                self._backend,
                kind,
                params,
                advanced=advanced,
                cancelled=feedback.isCanceled,
                remedy=self.stopped_remedy(),
            )
        except JobCancelled as error:
            raise QgsProcessingException(self.cancelled_sentence()) from error
        except EngineError as error:
            raise QgsProcessingException(str(error)) from error
        for warning in result.get("warnings", []):
            feedback.pushWarning(warning)
        return result
