# SPDX-License-Identifier: GPL-2.0-or-later
"""Says how the backend came to know what it says of an image, and how sure it is."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QCoreApplication

__all__ = ["doubts", "found", "how_sure", "why"]

translate = QCoreApplication.translate


def found(info: dict[str, Any], field: str) -> dict[str, str] | None:
    """Return the finding of a field: `how`, `confidence` and `because`; None when nothing is said of it."""
    return next((finding for finding in info.get("findings", ()) if finding["field"] == field), None)


def doubts(info: dict[str, Any], *fields: str) -> str:
    """Return what is not certain, such as "offset inferred, likely"; "" when everything is."""
    marks = {
        field: how_sure(info, field)
        for field in fields
        if (finding := found(info, field)) is not None and finding["confidence"] != "certain"
    }
    if len(marks) == len(fields) and len(set(marks.values())) == 1:
        # One mark for all of them needs no names.
        return next(iter(marks.values()))
    return "; ".join(f"{_name(field)} {mark}" for field, mark in marks.items())


def how_sure(info: dict[str, Any], field: str) -> str:
    """Return how a field was found, such as "inferred, likely"; "" when it was read for certain."""
    finding = found(info, field)
    if finding is None or (finding["how"], finding["confidence"]) == ("read", "certain"):
        return ""
    if finding["how"] == "told":
        return translate("Scene", "as you said")
    how = {
        "read": translate("Scene", "read"),
        "inferred": translate("Scene", "inferred"),
        "assumed": translate("Scene", "assumed"),
    }.get(finding["how"], finding["how"])
    confidence = {
        "certain": translate("Scene", "certain"),
        "likely": translate("Scene", "likely"),
        "unsure": translate("Scene", "unsure"),
    }.get(finding["confidence"], finding["confidence"])
    return f"{how}, {confidence}"


def why(info: dict[str, Any], *fields: str) -> str:
    """Return what speaks for the findings of some fields, a sentence per line."""
    sentences = [finding["because"] for field in fields if (finding := found(info, field)) is not None]
    return "\n".join(dict.fromkeys(sentences))


def _name(field: str) -> str:
    return {
        "sensor": translate("Scene", "sensor"),
        "level": translate("Scene", "level"),
        "quantification": translate("Scene", "divisor"),
        "offset": translate("Scene", "offset"),
        "unit": translate("Scene", "unit"),
    }.get(field, field)
