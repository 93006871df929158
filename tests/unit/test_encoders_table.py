# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of encoders in the documentation is that of the cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tabulate_encoders

if TYPE_CHECKING:
    from pathlib import Path


def test_the_documented_table_is_made_from_the_cards(repository: Path) -> None:
    text = (repository / "docs/encoders.md").read_text("utf-8")
    assert tabulate_encoders.document(text) == text
    assert text.count("| `") == len(tabulate_encoders.load_cards())
