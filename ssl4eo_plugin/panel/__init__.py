# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock with its four steps: Imagery, Features, Labels, Map."""
