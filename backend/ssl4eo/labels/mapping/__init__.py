# SPDX-License-Identifier: GPL-2.0-or-later
"""A head over a whole scene: class map, confidence and polygons on disk."""
