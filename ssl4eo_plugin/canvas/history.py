# SPDX-License-Identifier: GPL-2.0-or-later
"""What was done to the samples and classes, step by step, to be taken back and done again without limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional

from qgis.core import QgsFeature

if TYPE_CHECKING:
    from ssl4eo_plugin.canvas.class_list import ClassState

__all__ = ["History", "Rows", "Step"]

# Samples by their id, such as "p5" or "a2"; None stands for a sample that is not there.
Rows = dict[str, Optional[QgsFeature]]


@dataclass
class Step:
    """One action: the samples it touched and, when it touched those, the classes, before and after it."""

    before: Rows = field(default_factory=dict)
    after: Rows = field(default_factory=dict)
    classes_before: ClassState | None = None
    classes_after: ClassState | None = None

    def __bool__(self) -> bool:
        """Return whether anything was done."""
        return bool(self.after) or self.classes_after is not None


class History:
    """Two stacks: what can be taken back, and what can be done again."""

    def __init__(self) -> None:
        """Start with nothing done."""
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def record(self, step: Step) -> None:
        """Note a step; what was taken back before it cannot be done again."""
        if step:
            self._done.append(step)
            self._undone.clear()

    def last(self) -> Step | None:
        """Return the step that is taken back next."""
        return self._done[-1] if self._done else None

    def next(self) -> Step | None:
        """Return the step that is done again next."""
        return self._undone[-1] if self._undone else None

    def step_back(self) -> None:
        """Note that the last step was taken back."""
        self._undone.append(self._done.pop())

    def step_forward(self) -> None:
        """Note that the next step was done again."""
        self._done.append(self._undone.pop())
