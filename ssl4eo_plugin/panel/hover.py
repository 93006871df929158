# SPDX-License-Identifier: GPL-2.0-or-later
"""Says what the live map holds under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

if TYPE_CHECKING:
    from qgis.core import QgsPointXY

    from ssl4eo_plugin.canvas.sample_tool import SampleTool
    from ssl4eo_plugin.panel.state import PanelState

__all__ = ["Hover", "words_of"]

# Milliseconds that the cursor must rest before the backend is asked, which is about one frame of a moving hand.
_REST = 50
# A second class is named when its probability is at least this.
_WORTH_NAMING = 0.2


class Hover(QObject):
    """Asks for the class under the cursor once it rests, and says the newest answer only."""

    # Words for the panel and the status bar, "" when there is nothing to say.
    said = pyqtSignal(str)

    def __init__(self, state: PanelState, tool: SampleTool) -> None:
        """Follow the tool's mouse and the live map."""
        super().__init__(tool)
        self._state = state
        self._point: QgsPointXY | None = None
        self._asked = 0
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._ask)
        tool.hovered.connect(self._moved)
        tool.left.connect(self._left)
        state.live_map.repainted.connect(self._repainted)

    def _moved(self, point: QgsPointXY) -> None:
        self._point = point
        self._rest.start()

    def _repainted(self, _shown: dict[str, Any]) -> None:
        # Under a cursor that rests the map changed.
        if self._point is not None:
            self._rest.start()

    def _left(self) -> None:
        self._point = None
        self._asked += 1
        self._rest.stop()
        self.said.emit("")

    def _ask(self) -> None:
        live = self._state.live
        if live is None or self._point is None:
            self.said.emit("")
            return
        self._asked += 1
        number = self._asked
        crs = self._state.canvas.mapSettings().destinationCrs()
        live.probe(self._point, crs, lambda answer: self._answered(number, answer))

    def _answered(self, number: int, answer: dict[str, Any] | None) -> None:
        if number == self._asked:
            self.said.emit(words_of(answer, self.tr("No data here")))


def words_of(answer: dict[str, Any] | None, no_data: str) -> str:
    """Return class and confidence as words: "forest 87 %", with the second class when it is near."""
    if answer is None:
        return ""
    if answer["nodata"]:
        return no_data
    ranked = sorted((answer.get("probabilities") or {}).items(), key=lambda item: -item[1])
    second = [(name, share) for name, share in ranked if name != answer["class"] and share >= _WORTH_NAMING][:1]
    return ", ".join(f"{name} {share:.0%}" for name, share in [(answer["class"], answer["confidence"]), *second])
