# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m ssl4eo`: the command line."""

from __future__ import annotations

from ssl4eo.cli import main

main(prog_name="ssl4eo")
