# SPDX-License-Identifier: GPL-2.0-or-later
"""Help while labelling: where to sample next, which samples to look at again, and patches from single clicks."""
