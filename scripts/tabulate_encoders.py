# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the table of docs/encoders.md from the model cards.

.venv/bin/python scripts/tabulate_encoders.py
"""

from __future__ import annotations

from pathlib import Path

from ssl4eo.encoders.cards import Card, load_cards

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "encoders.md"
BEGIN, END = "<!-- made by scripts/tabulate_encoders.py -->", "<!-- end -->"
RULES = {"clip": "[0, 1]", "standardise": "z-score", "two-sigma": "mean ± 2 sd"}


def row(card: Card) -> str:
    """Return one line of the table."""
    file = card.files[0]
    scores = "; ".join(f"{s.dataset} {s.value:g} {s.metric}, {s.protocol}" for s in card.scores) or "–"
    inputs = f"{card.sensor} {card.level}, {len(card.bands)} bands"
    checksum = file.sha256[:8] or "–"
    cells = (
        f"`{card.id}`", card.title, inputs, RULES[card.scaling.rule], card.pooling, f"{file.size_mb:g}", checksum,
        card.license, scores,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table() -> list[str]:
    """Return the lines of the table."""
    head = ("id", "encoder", "input", "scaled to", "pooled", "MB", "sha256", "licence", "published scores")
    cards = load_cards().values()
    return [f"| {' | '.join(head)} |", "|---|---|---|---|---|---:|---|---|---|", *(row(card) for card in cards)]


def document(text: str) -> str:
    """Return the document with the table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + "\n".join([BEGIN, "", *table(), "", END]) + after


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8")), "utf-8")
