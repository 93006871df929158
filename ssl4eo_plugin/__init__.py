# SPDX-License-Identifier: GPL-2.0-or-later
"""The QGIS side of SSL4EO: from a Sentinel image to a land-cover map by clicking."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qgis.gui import QgisInterface

    from ssl4eo_plugin.plugin import Ssl4eoPlugin


def classFactory(iface: QgisInterface | None) -> Ssl4eoPlugin:
    """Return the plugin; `iface` is None where QGIS runs without a window (`qgis_process`)."""
    # QGIS reads this file of every plugin at start-up, also of those that are switched off.
    from ssl4eo_plugin.plugin import Ssl4eoPlugin

    return Ssl4eoPlugin(iface)
