# SPDX-License-Identifier: GPL-2.0-or-later
"""How good maps from a few samples are, on scenes whose land cover is known."""
