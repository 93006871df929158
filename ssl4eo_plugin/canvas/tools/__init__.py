# SPDX-License-Identifier: GPL-2.0-or-later
"""What the sample tool draws with: outlines corner by corner, and strokes of a brush or an eraser."""
