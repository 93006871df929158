# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes: their names and colours are the categories of the renderers of the two samples layers.

There is no other list. What the user changes in QGIS's own symbology panel is changed here too, the project
keeps it, and a copy goes into the GeoPackage as the layers' default style.
"""

from __future__ import annotations

from dataclasses import dataclass

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFeatureRenderer,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QColor

from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.samples_file import AREAS, CLASS_FIELD, POINTS
from ssl4eo_plugin.canvas.symbols import area_symbol, class_color, next_color, paint, point_symbol

__all__ = ["ClassList", "ClassState"]

# The map is 8-bit; 0 is no data there and 255 "none of these".
_MOST_CLASSES = 254
# The names of the classes that the live map does not draw, kept with the points layer.
_HIDDEN = "ssl4eo/hidden_classes"

translate = QCoreApplication.translate


@dataclass
class ClassState:
    """The class list at one time, for undo: the renderers of both layers, symbols and all, and the hidden classes."""

    renderers: tuple[QgsFeatureRenderer, ...]
    hidden: list[str]


class ClassList:
    """Reads and changes the classes of a points layer and an areas layer, which are kept alike."""

    def __init__(self, points: QgsVectorLayer, areas: QgsVectorLayer) -> None:
        """Use the categories that the layers come with; the points layer leads."""
        self._layers = {points: point_symbol, areas: area_symbol}
        self._leader = points
        self.follow_leader()

    def colors(self) -> dict[str, QColor]:
        """Return the colour of each class, in the order of the legend."""
        renderer = self._leader.renderer()
        if not _is_ours(renderer):
            return {}
        return {
            str(item.value()): class_color(item.symbol())
            for item in renderer.categories()
            if _is_name(item.value()) and item.symbol() is not None
        }

    def add(self, name: str | None = None, color: QColor | None = None) -> str:
        """Add a class and return its name; without a name it is the next "class N".

        Raises:
            CanvasError: when the name is empty or taken, or the map has no number left.
        """
        colors = self.colors()
        if len(colors) >= _MOST_CLASSES:
            sentence = translate("Classes", "A map holds at most {} classes; remove one first.")
            raise CanvasError(sentence.format(_MOST_CLASSES))
        name = _default_name(colors) if name is None else self.free_name(name)
        self._write({**colors, name: color or next_color(list(colors.values()))})
        return name

    def rename(self, old: str, new: str) -> None:
        """Give a class another name, one from `free_name`; its samples are renamed by the caller."""
        hidden = [new if name == old else name for name in self.hidden()]
        for layer in self._layers:
            renderer = layer.renderer().clone()
            index = renderer.categoryIndexForValue(old)
            renderer.updateCategoryValue(index, new)
            renderer.updateCategoryLabel(index, new)
            _apply(layer, renderer)
        self._set_hidden(hidden)
        self._save()

    def recolor(self, name: str, color: QColor) -> None:
        """Give a class another colour."""
        self._write({**self.colors(), name: color})

    def remove(self, name: str) -> None:
        """Take a class off the list; its samples are removed by the caller."""
        self._write({other: color for other, color in self.colors().items() if other != name})

    def reorder(self, names: list[str]) -> None:
        """Put the classes into the order of `names`; those that it lacks stay at the end."""
        colors = self.colors()
        known = [name for name in names if name in colors]
        self._write({name: colors[name] for name in [*known, *(name for name in colors if name not in known)]})

    def hidden(self) -> list[str]:
        """Return the classes that the live map does not draw."""
        names = self._leader.customProperty(_HIDDEN) or []
        return [name for name in self.colors() if name in names]

    def hide(self, name: str, hide: bool = True) -> None:
        """Let the live map draw a class or not."""
        names = [other for other in self.hidden() if other != name]
        self._set_hidden([*names, name] if hide else names)

    def state(self) -> ClassState:
        """Return the list as it is, for `restore`."""
        return ClassState(tuple(layer.renderer().clone() for layer in self._layers), self.hidden())

    def restore(self, state: ClassState) -> None:
        """Make the list what it was."""
        for layer, renderer in zip(self._layers, state.renderers):
            _apply(layer, renderer.clone())
        self._set_hidden(state.hidden)
        self._save()

    def include(self, names: list[str]) -> None:
        """Add the classes that samples have and the list lacks, such as those from QGIS's own editing tools."""
        colors = self.colors()
        missing = [name for name in dict.fromkeys(names) if name and name not in colors]
        for name in missing:
            colors[name] = next_color(list(colors.values()))
        if missing:
            self._write(colors)

    def follow_leader(self) -> None:
        """Make the layers alike after the points layer got another style."""
        self._write(self.colors(), save=False)

    def free_name(self, name: str, old: str = "") -> str:
        """Return a name as it is stored, when no class but `old` has it.

        Raises:
            CanvasError: when the name is empty or taken.
        """
        name = " ".join(name.split())
        if not name:
            raise CanvasError(translate("Classes", "A class needs a name; type one."))
        if name != old and name in self.colors():
            sentence = translate("Classes", "There is already a class “{}”; choose another name.")
            raise CanvasError(sentence.format(name))
        return name

    def _write(self, colors: dict[str, QColor], *, save: bool = True) -> None:
        for layer, make_symbol in self._layers.items():
            old = layer.renderer()
            symbols = {}
            if _is_ours(old):
                # Cloned while the category lives: it owns its symbol, and Python does not keep it alive for that.
                symbols = {str(item.value()): item.symbol().clone() for item in old.categories() if item.symbol()}
            categories = []
            for name, color in colors.items():
                symbol = symbols[name] if name in symbols else make_symbol(color)
                if class_color(symbol) != QColor(color.rgb()):
                    paint(symbol, color)
                categories.append(QgsRendererCategory(name, symbol, name))
            if not _is_ours(old) or _content(old) != [(item.value(), item.symbol().color()) for item in categories]:
                _apply(layer, QgsCategorizedSymbolRenderer(CLASS_FIELD, categories))
        if save:
            self._save()

    def _set_hidden(self, names: list[str]) -> None:
        self._leader.setCustomProperty(_HIDDEN, names)

    def _save(self) -> None:
        """Keep the style in the GeoPackage, so that the colours are there without the project too."""
        for layer in self._layers:
            style = POINTS if layer is self._leader else AREAS
            listed = layer.listStylesInDatabase()
            # Saving over a style of the same name would ask the user first. Styles of other tables are listed too,
            # after the first `listed[0]`.
            for style_id, style_name in zip(listed[1][: listed[0]], listed[2]):
                if style_name == style:
                    layer.deleteStyleFromDatabase(style_id)
            layer.saveStyleToDatabase(style, "", True, "")


def _is_ours(renderer: object) -> bool:
    return isinstance(renderer, QgsCategorizedSymbolRenderer) and renderer.classAttribute() == CLASS_FIELD


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _content(renderer: QgsCategorizedSymbolRenderer) -> list[tuple[object, QColor | None]]:
    return [(item.value(), item.symbol() and item.symbol().color()) for item in renderer.categories()]


def _default_name(taken: dict[str, QColor]) -> str:
    number = len(taken) + 1
    while (name := translate("Classes", "class {}").format(number)) in taken:
        number += 1
    return name


def _apply(layer: QgsVectorLayer, renderer: QgsCategorizedSymbolRenderer) -> None:
    layer.setRenderer(renderer)
    layer.emitStyleChanged()
    layer.triggerRepaint()
