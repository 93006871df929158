# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP service: the backend's functions as jobs behind a bearer token."""

from __future__ import annotations

from ssl4eo.service.app import create_app
from ssl4eo.service.views import PROTOCOL

__all__ = ["PROTOCOL", "create_app"]
