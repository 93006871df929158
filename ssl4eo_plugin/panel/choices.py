# SPDX-License-Identifier: GPL-2.0-or-later
"""How maps are made and shown, as the user chose it; the project keeps it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

if TYPE_CHECKING:
    from qgis.core import QgsProject

__all__ = ["MapChoices"]

_SCOPE, _KEY = "ssl4eo", "map_choices"

_DEFAULTS: dict[str, Any] = {
    # The classifier: auto, lda, logistic, knn or forest; the live map takes auto for the last two, which are no
    # linear maps of the features.
    "head": "auto",
    # Whether classes count alike, or by how many samples they have: equal or samples.
    "balance": "equal",
    # Probability that a pixel belongs to none of the classes from which on it is drawn so, 0 to 1; None for never.
    "none_beyond": None,
    # The live map: whether it is on, what it shows (classes or similarity), and how.
    "live": True,
    "layer": "classes",
    "fade": False,
    "opacity": 0.7,
}


class MapChoices(QObject):
    """A few named values; `choices["head"]` reads one, `choose(head="lda")` changes it."""

    # The names of those that changed.
    changed = pyqtSignal(set)

    def __init__(self, project: QgsProject, parent: QObject | None = None) -> None:
        """Take up what the project keeps."""
        super().__init__(parent)
        self._project = project
        self._values = dict(_DEFAULTS)
        self.restore()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def choose(self, **values: Any) -> None:
        """Change some, and let the project keep them."""
        changed = {name for name, value in values.items() if self._values[name] != value}
        if not changed:
            return
        self._values.update(values)
        # What was never chosen is not kept, so that a later default reaches old projects.
        chosen = {name: value for name, value in self._values.items() if value != _DEFAULTS[name]}
        self._project.writeEntry(_SCOPE, _KEY, json.dumps(chosen))
        self.changed.emit(changed)

    def restore(self) -> None:
        """Take up what the project keeps, after it was opened or closed."""
        try:
            kept = json.loads(self._project.readEntry(_SCOPE, _KEY)[0] or "{}")
        except ValueError:
            kept = {}
        values = {**_DEFAULTS, **{name: value for name, value in dict(kept).items() if name in _DEFAULTS}}
        changed = {name for name, value in values.items() if self._values[name] != value}
        self._values = values
        if changed:
            self.changed.emit(changed)
