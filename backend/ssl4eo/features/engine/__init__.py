# SPDX-License-Identifier: GPL-2.0-or-later
"""How features are made: reader threads, network threads and a writer thread, unit by unit, resumable."""
