# SPDX-License-Identifier: GPL-2.0-or-later
"""What is learnt from training pixels: linear heads, how they are chosen, and what is no class of theirs."""
