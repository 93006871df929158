# SPDX-License-Identifier: GPL-2.0-or-later
"""All that is known of an encoder, as a page of text with links."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from qgis.PyQt.QtCore import QCoreApplication

from ssl4eo_plugin.panel import encoder_words as words

__all__ = ["details"]

_DOI = re.compile(r"\bdoi:(10\.[^\s;,]+)")
_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
# A full checksum says no more to the eye than its beginning.
_DIGITS = 16

translate = QCoreApplication.translate


def details(card: dict[str, Any], misfit: str) -> str:
    """Return the card as HTML; `misfit` is why it does not fit the image, or ""."""
    rows = [
        (translate("Encoders", "Takes"), _takes(card)),
        (translate("Encoders", "Scaling"), _scaling(card)),
        (translate("Encoders", "Gives"), _gives(card)),
        (translate("Encoders", "Quality"), _modes(card)),
        (translate("Encoders", "Scores"), _scores(card)),
        (translate("Encoders", "Note"), escape(card["note"])),
        (translate("Encoders", "Licence"), escape(f"{card['license']}. {card['attribution']}")),
        (translate("Encoders", "Cite"), _linked(card["citation"])),
        (translate("Encoders", "Weights"), _weights(card)),
    ]
    if misfit:
        rows.insert(0, (translate("Encoders", "Does not fit"), escape(misfit)))
    table = "".join(
        f"<tr><td style='padding-right: 14px; white-space: nowrap'>{name}</td><td>{value}</td></tr>"
        for name, value in rows
        if value
    )
    return f"<p><b>{escape(card['title'])}</b> ({escape(card['id'])})</p><table cellspacing='3'>{table}</table>"


def _takes(card: dict[str, Any]) -> str:
    level, bands = words.level_name(card["level"]), ", ".join(card["bands"])
    sentence = translate("Encoders", "{} {} at {:g} m: {}")
    return escape(sentence.format(words.group(card).removesuffix(" RGB"), level, card["gsd"], bands))


def _scaling(card: dict[str, Any]) -> str:
    lines = [words.scaling(card) + ".", translate("Encoders", "Source: {}").format(card["scaling"]["source"])]
    if card["scaling"]["elsewhere"]:
        lines.append(translate("Encoders", "Elsewhere: {}").format(card["scaling"]["elsewhere"]))
    return "<br>".join(escape(line) for line in lines)


def _gives(card: dict[str, Any]) -> str:
    strides = card["strides"]
    if len(set(strides)) == 1:
        sentence = translate("Encoders", "{} levels of {} × {} px per value; pre-trained on {} px")
        return sentence.format(len(strides), strides[0], strides[0], card["window"])
    sentence = translate("Encoders", "levels of {} px per value; pre-trained on {} px")
    return sentence.format(", ".join(map(str, strides)), card["window"])


def _modes(card: dict[str, Any]) -> str:
    return escape("; ".join(words.quality(mode, card["mode_costs"][mode]) for mode in card["modes"]))


def _scores(card: dict[str, Any]) -> str:
    if not card["scores"]:
        return translate("Encoders", "none published")
    sentence = translate("Encoders", "{dataset}: {metric} {value:g} %, {words} ({source})")
    lines = [sentence.format(**score, words=_protocol(score["protocol"])) for score in card["scores"]]
    if any(score["protocol"] == "fine-tuned" for score in card["scores"]):
        sentence = translate(
            "Encoders",
            "Fine-tuned: the whole network was trained further; frozen, as it is used here, it scores lower.",
        )
        lines.append(sentence)
    return "<br>".join(escape(line) for line in lines)


def _protocol(protocol: str) -> str:
    linear = translate("Encoders", "frozen under a linear head")
    return {"fine-tuned": translate("Encoders", "fine-tuned"), "linear": linear}.get(protocol, protocol)


def _weights(card: dict[str, Any]) -> str:
    place = f" ({escape(card['path'])})" if card.get("path") else ""
    lines = [f"{words.state(card).capitalize()}{place}"]
    for file in card["files"]:
        checksum = file["sha256"]
        known = translate("Encoders", "checksum {}").format(checksum[:_DIGITS] + ("…" if checksum[_DIGITS:] else ""))
        parts = [words.size(file["size_mb"]), known if checksum else translate("Encoders", "no published checksum")]
        name = escape(file["name"])
        if file["url"]:
            name = f"<a href='{escape(file['url'])}'>{name}</a>"
        lines.append(f"{name}: {escape(', '.join(part for part in parts if part))}")
    return "<br>".join(lines)


def _linked(citation: str) -> str:
    text = escape(citation)
    text = _DOI.sub(r"<a href='https://doi.org/\1'>doi:\1</a>", text)
    return _ARXIV.sub(r"<a href='https://arxiv.org/abs/\1'>arXiv:\1</a>", text)
