# SPDX-License-Identifier: GPL-2.0-or-later
"""How the live map is drawn: classes in the colours of the class list, likeness from dark to bright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qgis.core import (
    QgsColorRampLegendNodeSettings,
    QgsColorRampShader,
    QgsPalettedRasterRenderer,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QColor

if TYPE_CHECKING:
    from qgis.core import QgsRasterLayer, QgsRasterRenderer

__all__ = ["NONE_OF_THESE", "Look", "style_classes", "style_similarity"]

# The code of pixels that are far from all classes.
NONE_OF_THESE = 255
_NONE_COLOR = QColor(128, 128, 128, 110)
# Five colours of viridis (Smith and van der Walt 2015), dark to bright for every kind of colour vision; by the
# cosine between a pixel and the class, which is stored as 1 to 255 for -1 to 1.
_RAMP = ((0.0, "#440154"), (0.25, "#3b528b"), (0.5, "#21918c"), (0.75, "#5ec962"), (1.0, "#fde725"))
_MIDDLE, _HALF_RANGE = 128, 127

translate = QCoreApplication.translate


@dataclass(frozen=True)
class Look:
    """How the map is drawn.

    `classes` are (code, name, colour as #rrggbb); `none_of_these` says whether some pixels may belong to none.
    """

    classes: tuple[tuple[int, str, str], ...]
    hidden: frozenset[str] = frozenset()
    none_of_these: bool = False
    fade: bool = False
    # The class whose likeness is shown in place of the classes, "" for the classes.
    similar_to: str = ""


def style_classes(layer: QgsRasterLayer, band: int, alpha_band: int, look: Look) -> None:
    """Draw one entry per class; hidden ones are there but not seen.

    Args:
        layer: Of the live map.
        band: With the codes.
        alpha_band: The band that says how opaque each pixel is, 0 for none.
        look: The classes and what is hidden.
    """
    entries = []
    for code, name, color in look.classes:
        shown = QColor(color)
        shown.setAlpha(0 if name in look.hidden else 255)
        entries.append(QgsPalettedRasterRenderer.Class(code, shown, name))
    if look.none_of_these:
        label = translate("Layers", "none of these")
        entries.append(QgsPalettedRasterRenderer.Class(NONE_OF_THESE, _NONE_COLOR, label))
    renderer = QgsPalettedRasterRenderer(layer.dataProvider(), band, entries)
    if alpha_band:
        renderer.setAlphaBand(alpha_band)
    _apply(layer, renderer)


def style_similarity(layer: QgsRasterLayer, band: int) -> None:
    """Draw likeness by a ramp; what is unlike is as dark as what is opposite."""
    ramp = QgsColorRampShader(_MIDDLE, _MIDDLE + _HALF_RANGE, None, QgsColorRampShader.Type.Interpolated)
    ramp.setColorRampItemList(
        [
            QgsColorRampShader.ColorRampItem(_MIDDLE + _HALF_RANGE * cosine, QColor(color), f"{cosine:g}")
            for cosine, color in _RAMP
        ]
    )
    # Steps with their cosine; a continuous legend names the stored numbers.
    legend = QgsColorRampLegendNodeSettings()
    legend.setUseContinuousLegend(False)
    ramp.setLegendSettings(legend)
    shader = QgsRasterShader()
    shader.setRasterShaderFunction(ramp)
    _apply(layer, QgsSingleBandPseudoColorRenderer(layer.dataProvider(), band, shader))


def _apply(layer: QgsRasterLayer, renderer: QgsRasterRenderer) -> None:
    renderer.setOpacity(layer.opacity())
    layer.setRenderer(renderer)
    layer.emitStyleChanged()
