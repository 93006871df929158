# SPDX-License-Identifier: GPL-2.0-or-later
"""Collects how each field of a scene came about, what to warn of, and what the user must say."""

from __future__ import annotations

from ssl4eo.scenes.info import Confidence, Finding, How

__all__ = ["Report"]


class Report:
    """One sentence per decision; a later finding of a field replaces the earlier one."""

    def __init__(self) -> None:
        self._findings: dict[str, Finding] = {}
        self._warnings: list[str] = []
        self._needs: list[str] = []

    def found(self, field: str, how: How, confidence: Confidence, because: str, *, warn: bool = False) -> None:
        """Note how `field` came about; `because` is one sentence, repeated as a warning when asked."""
        self._findings[field] = Finding(field, how, confidence, because)
        if warn:
            self._warnings.append(because)

    def told(self, field: str) -> None:
        """Note that the user said it."""
        self.found(field, "told", "certain", "You said so.")

    def how(self, field: str) -> How | None:
        """Return how `field` came about, None where nothing was found of it."""
        finding = self._findings.get(field)
        return finding.how if finding else None

    def warn(self, sentence: str) -> None:
        """Note what may surprise."""
        self._warnings.append(sentence)

    def need(self, sentence: str) -> None:
        """Note what must be said before the scene can be used."""
        self._needs.append(sentence)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One per field, in the order in which they were decided."""
        return tuple(self._findings.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each sentence once."""
        return tuple(dict.fromkeys(self._warnings))

    @property
    def needs(self) -> tuple[str, ...]:
        """Each sentence once, the first the most pressing."""
        return tuple(dict.fromkeys(self._needs))
