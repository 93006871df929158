# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user sees and does on the map: layers, their styles, and the tools that draw samples and extents."""
