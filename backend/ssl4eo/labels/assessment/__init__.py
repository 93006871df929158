# SPDX-License-Identifier: GPL-2.0-or-later
"""How right a class map is: points drawn at random, their answers, and the estimates that follow."""
