# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading and unloading the plugin: all it adds it removes, and its backend ends with QGIS."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QEvent
from qgis.PyQt.QtWidgets import QAction, QDockWidget

from ssl4eo_plugin import classFactory, settings
from ssl4eo_plugin.paths import plugin_icon, resource
from tests.qgis.helpers import ROOT, is_running, wait_until


class Iface:
    """Counts what a plugin adds to the window and removes again; pytest-qgis's own does nothing here."""

    def __init__(self, window):
        self.window, self.toolbar, self.menu, self.docks = window, [], [], []

    def mainWindow(self):  # noqa: N802
        return self.window

    def __getattr__(self, name):
        return getattr(self.stub, name)

    def addRasterToolBarIcon(self, action):  # noqa: N802
        self.toolbar.append(action)

    def removeRasterToolBarIcon(self, action):  # noqa: N802
        self.toolbar.remove(action)

    def addPluginToRasterMenu(self, menu, action):  # noqa: N802
        self.menu.append((menu, action))

    def removePluginRasterMenu(self, menu, action):  # noqa: N802
        self.menu.remove((menu, action))

    def addDockWidget(self, area, dock):  # noqa: N802
        self.docks.append(dock)
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):  # noqa: N802
        self.docks.remove(dock)
        self.window.removeDockWidget(dock)


@pytest.fixture
def iface(qgis_iface, qgis_parent):
    iface = Iface(qgis_parent)
    iface.stub = qgis_iface
    # A dock tells whether it is visible only in a window that is.
    qgis_parent.show()
    yield iface
    qgis_parent.hide()


def provider():
    return QgsApplication.processingRegistry().providerById("ssl4eo")


def test_without_a_window_it_offers_the_algorithms_only(plugin):
    assert provider() is plugin.provider
    assert [algorithm.id() for algorithm in provider().algorithms()] == [
        "ssl4eo:assess",
        "ssl4eo:assesssample",
        "ssl4eo:bench",
        "ssl4eo:classify",
        "ssl4eo:downloadweights",
        "ssl4eo:encode",
        "ssl4eo:harmonise",
        "ssl4eo:importweights",
        "ssl4eo:inspect",
        "ssl4eo:suggest",
    ]
    assert plugin.dock is None
    assert not plugin.backend.alive
    plugin.unload()
    assert provider() is None


def test_the_algorithms_describe_themselves(plugin):
    for algorithm in provider().algorithms():
        assert algorithm.group()
        assert len(algorithm.shortHelpString()) > 200
        assert algorithm.shortDescription().endswith(".")
        assert not algorithm.icon().isNull()
        assert algorithm.canExecute()[0]
        copy = algorithm.create()
        assert [item.name() for item in copy.parameterDefinitions()] == [
            item.name() for item in algorithm.parameterDefinitions()
        ]
    assert not provider().icon().isNull()


def test_the_icon_is_there_in_both_forms():
    assert not plugin_icon().pixmap(24, 24).isNull()
    assert resource("icons/ssl4eo.png").is_file()
    assert provider() is None


def test_the_window_gets_a_button_a_menu_entry_and_later_a_dock(iface, backend_command):
    settings.set_backend_command(backend_command)
    plugin = classFactory(iface)
    plugin.initGui()
    try:
        assert iface.toolbar == [plugin.action]
        assert [action for _, action in iface.menu] == [plugin.action]
        assert iface.docks == []
        plugin.action.trigger()
        assert iface.docks == [plugin.dock]
        assert not plugin.dock.isHidden()
        assert plugin.action.isChecked()
        plugin.action.trigger()
        assert plugin.dock.isHidden()
        assert not plugin.action.isChecked()
        plugin.action.trigger()
        assert iface.docks == [plugin.dock]
        plugin.dock.close()
        assert not plugin.action.isChecked()
    finally:
        plugin.unload()
    assert (iface.toolbar, iface.menu, iface.docks) == ([], [], [])
    assert provider() is None
    QgsApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not iface.window.findChild(QAction, "ssl4eo_toggle_dock")
    assert not [dock for dock in iface.window.findChildren(QDockWidget) if "ssl4eo" in dock.objectName().lower()]


def test_unloading_ends_the_backend_and_it_can_be_loaded_again(backend_command):
    settings.set_backend_command(backend_command)
    for _ in range(2):
        plugin = classFactory(None)
        plugin.initProcessing()
        plugin.backend.ensure_client()
        pid = plugin.backend.pid
        plugin.unload()
        assert not is_running(pid)
        assert provider() is None


def test_closing_qgis_without_unloading_ends_the_backend(backend_command):
    code = f"""
        from qgis.core import QgsApplication
        app = QgsApplication([], False)
        app.initQgis()
        from qgis.PyQt.QtCore import QTimer
        from ssl4eo_plugin import classFactory
        plugin = classFactory(None)
        plugin.backend._command = {backend_command!r}
        plugin.initProcessing()
        plugin.backend.ensure_client()
        print(plugin.backend.pid, flush=True)
        QTimer.singleShot(0, app.quit)
        app.exec()
        print(plugin.backend.alive)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    pid, alive = done.stdout.split()[:2]
    assert alive == "False", done.stderr
    wait_until(lambda: not is_running(int(pid)))
