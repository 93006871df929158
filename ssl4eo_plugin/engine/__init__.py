# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the backend, talks to it and follows its jobs; nothing here knows about panels or maps."""
