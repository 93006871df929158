# SPDX-License-Identifier: GPL-2.0-or-later
"""The panel's list of bands that an image may lack is the backend's."""

from __future__ import annotations

import ast
from pathlib import Path

from ssl4eo.scenes.info import _STAND_INS

WORDS = Path(__file__).resolve().parents[2] / "ssl4eo_plugin" / "panel" / "encoder_words.py"


def test_the_panel_and_the_backend_make_up_for_the_same_bands() -> None:
    """The module imports QGIS, so its text is read."""
    (value,) = (
        node.value
        for node in ast.parse(WORDS.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_SUBSTITUTES"
    )
    assert ast.literal_eval(value) == {band: source for band, (source, _gain) in _STAND_INS.items()}
