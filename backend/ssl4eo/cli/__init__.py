# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line `ssl4eo`: one thin command per function of the backend."""

from __future__ import annotations

from ssl4eo.cli.group import main

__all__ = ["main"]
