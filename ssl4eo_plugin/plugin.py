# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks the backend, the dock and the Processing provider into QGIS, and unhooks them all again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsApplication, QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, Qt, QTranslator
from qgis.PyQt.QtWidgets import QAction

from ssl4eo_plugin.engine.process import BackendProcess
from ssl4eo_plugin.paths import plugin_icon, resource
from ssl4eo_plugin.processing.provider import Ssl4eoProvider

if TYPE_CHECKING:
    from pathlib import Path

    from qgis.gui import QgisInterface

    from ssl4eo_plugin.panel.dock import Ssl4eoDock

__all__ = ["Ssl4eoPlugin"]


class Ssl4eoPlugin:
    """The plugin as QGIS sees it; owns the backend process."""

    def __init__(self, iface: QgisInterface | None) -> None:
        """Keep `iface` (a `QgisInterface`, or None without a window); nothing is started or shown."""
        self.iface = iface
        self.backend = BackendProcess()
        self.provider: Ssl4eoProvider | None = None
        self.dock: Ssl4eoDock | None = None
        self.action: QAction | None = None
        self._translator = _install_translator()

    def initProcessing(self) -> None:
        """Add the algorithms; all that `qgis_process` needs."""
        self.provider = Ssl4eoProvider(self.backend)
        QgsApplication.processingRegistry().addProvider(self.provider)
        QgsApplication.instance().aboutToQuit.connect(self.backend.close)

    def initGui(self) -> None:
        """Add the algorithms, the toolbar button and the entry in the Raster menu."""
        self.initProcessing()
        self.action = QAction(plugin_icon(), self.tr("SSL4EO land cover"), self.iface.mainWindow())
        self.action.setObjectName("ssl4eo_toggle_dock")
        self.action.setStatusTip(self.tr("Show or hide the panel that turns a Sentinel image into a land-cover map"))
        self.action.setCheckable(True)
        self.action.triggered.connect(self.show_dock)
        self.iface.addRasterToolBarIcon(self.action)
        self.iface.addPluginToRasterMenu("SSL4EO", self.action)

    def unload(self) -> None:
        """Remove everything that was added and end the backend."""
        if self.dock is not None:
            self.dock.visibilityChanged.disconnect(self._follow_dock)
            self.dock.shutdown()
            self.iface.removeDockWidget(self.dock)
            self.dock.deleteLater()
            self.dock = None
        if self.action is not None:
            self.iface.removePluginRasterMenu("SSL4EO", self.action)
            self.iface.removeRasterToolBarIcon(self.action)
            self.action.deleteLater()
            self.action = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            QgsApplication.instance().aboutToQuit.disconnect(self.backend.close)
            self.provider = None
        if self._translator is not None:
            QCoreApplication.removeTranslator(self._translator)
            self._translator = None
        self.backend.close()

    def show_dock(self, visible: bool = True) -> Ssl4eoDock | None:
        """Show or hide the dock, making it the first time, and return it."""
        if self.dock is None:
            if not visible:
                return None
            # Here and not above, so that qgis_process, which has no window, never imports widgets.
            from ssl4eo_plugin.panel.dock import Ssl4eoDock

            self.dock = Ssl4eoDock(self.iface, self.backend, self.iface.mainWindow())
            self.iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
            self.dock.visibilityChanged.connect(self._follow_dock)
        self.dock.setVisible(visible)
        if visible:
            self.dock.raise_()
        return self.dock

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return QCoreApplication.translate("Ssl4eoPlugin", text)

    def _follow_dock(self, visible: bool) -> None:
        # A dock behind another one in a tab is still shown: the button stays pressed.
        if self.action is not None:
            self.action.setChecked(visible or not self.dock.isHidden())


def _install_translator() -> QTranslator | None:
    """Load the translation of the user's language, where there is one."""
    locale = str(QgsSettings().value("locale/userLocale", "") or "")[:5]
    for name in (locale, locale[:2]):
        path: Path = resource(f"translations/ssl4eo_{name}.qm")
        if name and path.is_file():
            translator = QTranslator()
            if translator.load(str(path)):
                QCoreApplication.installTranslator(translator)
                return translator
    return None
