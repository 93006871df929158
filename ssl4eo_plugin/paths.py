# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the files that come with the plugin lie, in an installed plugin and in a checkout."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtGui import QIcon

__all__ = ["PACKAGE", "plugin_icon", "resource"]

PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of a file under `resources/`, for example `icons/ssl4eo.svg`."""
    # An installed plugin holds `resources/` inside the package; a checkout holds it beside the package.
    installed = PACKAGE / "resources" / name
    return installed if installed.exists() else PACKAGE.parent / "resources" / name


def plugin_icon() -> QIcon:
    """Return the icon of the plugin, which needs a running QGIS to be drawn."""
    return QIcon(str(resource("icons/ssl4eo.svg")))
