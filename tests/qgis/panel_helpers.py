# SPDX-License-Identifier: GPL-2.0-or-later
"""Waits for what the panel tells, for the tests in QGIS."""

from __future__ import annotations

from contextlib import contextmanager

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QEventLoop, QTimer
from qgis.PyQt.QtWidgets import QApplication

from ssl4eo_plugin.panel.dock import Ssl4eoDock
from tests.qgis.helpers import PATCH_BBOX

# A place well inside the encoded patch, and metres per step between places.
X, Y, STEP = PATCH_BBOX[0] + 400, PATCH_BBOX[1] + 400, 250


@contextmanager
def opened_dock(iface, backend):
    """Open the panel, and leave an empty project behind."""
    dock = Ssl4eoDock(iface, backend)
    dock.show()
    yield dock
    dock.shutdown()
    dock.close()
    dock.deleteLater()
    QgsProject.instance().clear()


def told(page, start, done: str, limit: float = 120.0):
    """Call `start` and serve events until the page emits `done` or `failed`; return both, one of them None."""
    loop, heard = QEventLoop(), {}
    getattr(page, done).connect(lambda value: (heard.setdefault("done", value), loop.quit()))
    page.failed.connect(lambda sentence: (heard.setdefault("failed", sentence), loop.quit()))
    QTimer.singleShot(int(limit * 1000), loop.quit)
    start()
    if not heard:
        loop.exec()
    assert heard, f"neither {done} nor failed came"
    return heard.get("done"), heard.get("failed")


def serve_until(condition, limit: float = 60.0) -> None:
    """Serve events until a condition holds; the limit only bounds a failing test."""
    loop, timer = QEventLoop(), QTimer()
    timer.timeout.connect(lambda: loop.quit() if condition() else None)
    timer.start(20)
    QTimer.singleShot(int(limit * 1000), loop.quit)
    if not condition():
        loop.exec()
    # Else it asks on while the next test tears down what it asks.
    timer.stop()
    assert condition()
    QApplication.processEvents()
