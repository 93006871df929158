# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that reach a user, each one sentence with the value and the remedy.

Ssl4eoError            a failure                               exit code 1
├── InputError         wrong usage or wrong input              exit code 2
├── OutputError        a result could not be written           exit code 1
└── Cancelled          the user asked to stop                  exit code 1
"""

from __future__ import annotations

__all__ = ["Cancelled", "InputError", "OutputError", "Ssl4eoError"]


class Ssl4eoError(Exception):
    """A failure that a user can read; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(Ssl4eoError):
    """Wrong usage or wrong input: says what was wrong, with its value, and what to do."""

    exit_code = 2


class OutputError(Ssl4eoError):
    """A result could not be written (full or read-only disk, no permission)."""


class Cancelled(Ssl4eoError):
    """The user asked to stop; nothing half-written is left."""
