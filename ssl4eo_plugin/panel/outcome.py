# SPDX-License-Identifier: GPL-2.0-or-later
"""Says in words how an encode ended: what was made, how long it took, on what and why there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.panel.scene_facts import pixels
from ssl4eo_plugin.panel.speed import duration

__all__ = ["outcome"]

translate = QCoreApplication.translate


def outcome(result: dict[str, Any], size: tuple[int, int], asked_for: str) -> list[str]:
    """Return the sentences.

    Args:
        result: What the job `encode` answered.
        size: Width and height of the extent in pixels.
        asked_for: The device that was asked for; why a chosen one was taken needs no words.
    """
    if result["cached"]:
        sentence = translate("Features", "Already encoded: taken from “{}”.")
        return [sentence.format(Path(result["features"]).name)]
    device = _device(result["device"])
    if asked_for == "auto":
        device += f" ({result['device_reason']})"
    precision = f"{result['precision']} ({result['precision_reason']})"
    sentence = translate("Features", "Encoded {} in {} on {} in {}.")
    said = [sentence.format(pixels(*size), duration(result["seconds"]), device, precision)]
    if result["resumed"]:
        sentence = translate("Features", "It went on where an interrupted run had stopped, after {} of {} tiles.")
        said.append(sentence.format(result["resumed"], result["windows"]))
    return said


def _device(name: str) -> str:
    known = {"cpu": translate("Features", "the CPU"), "mps": translate("Features", "the Apple GPU")}
    return known.get(name) or translate("Features", "the GPU {}").format(name)
