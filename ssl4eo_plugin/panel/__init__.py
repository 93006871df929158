# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock with its five steps: Imagery, Features, Labels, Map, Assess."""
