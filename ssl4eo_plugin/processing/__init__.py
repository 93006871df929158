# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of the panel as Processing algorithms: for the toolbox, models, batches and `qgis_process`."""
