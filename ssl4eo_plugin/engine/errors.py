# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong between QGIS and the backend, each one sentence that a user can act on.

EngineError              the backend refused, failed or cannot be started
├── BackendUnreachable   no answer came at all (it stopped, or it is too busy to answer)
├── RefusedRequest       it answered, and said no
└── JobCancelled         the user asked to stop
"""

from __future__ import annotations

__all__ = ["BackendUnreachable", "EngineError", "JobCancelled", "RefusedRequest"]


class EngineError(Exception):
    """One sentence: what was wrong, with its value, and what to do."""


class BackendUnreachable(EngineError):
    """No answer came from the backend."""


class JobCancelled(EngineError):
    """The user asked to stop; nothing half-written is left."""


class RefusedRequest(EngineError):
    """The backend said no; `status` is its HTTP status, by which a lost session is told from a wrong request."""

    def __init__(self, sentence: str, status: int) -> None:
        """Keep the backend's sentence and status."""
        super().__init__(sentence)
        self.status = status
