# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes: georeferenced Sentinel images whose bands, scale and offset are known."""

from __future__ import annotations

from ssl4eo.scenes.harmonise import harmonise
from ssl4eo.scenes.info import SceneInfo
from ssl4eo.scenes.inspect import inspect
from ssl4eo.scenes.scene import Scene, open_scene

__all__ = ["Scene", "SceneInfo", "harmonise", "inspect", "open_scene"]
