# SPDX-License-Identifier: GPL-2.0-or-later
"""How rasters are drawn: feature sets as colour composites, class maps by their palette, images in true colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import (
    QgsContrastEnhancement,
    QgsMultiBandColorRenderer,
    QgsPalettedRasterRenderer,
    QgsRasterLayer,
    QgsSingleBandGrayRenderer,
)
from qgis.PyQt.QtGui import QColor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qgis.core import QgsRasterRenderer

__all__ = ["recolor_map", "style_certainty", "style_composite", "style_image", "style_map"]

# A composite leaves out the darkest and brightest 2 % of each band, as QGIS's own cumulative cut does by default.
_CUT = (0.02, 0.98)
# Pixels looked at for the cut; QGIS uses as many by default (QgsRasterLayer::SAMPLE_SIZE).
_SAMPLE_SIZE = 250_000
_CLASS_BAND = 1
# Red, green and blue. Of Sentinel-1, what scatters in its volume (VH: woods, crops) comes out green and walls and bare
# ground, which send back VV, magenta.
_IMAGES = (("B04", "B03", "B02"), ("VV", "VH", "VV"))


def style_composite(layer: QgsRasterLayer, bands: Sequence[int] = (1, 2, 3)) -> None:
    """Draw three bands, numbered from 1, as red, green and blue, each stretched between its 2nd and 98th percentile."""
    provider = layer.dataProvider()
    # A layer of fewer bands shows what it has.
    red, green, blue = (min(band, layer.bandCount()) for band in bands)
    renderer = QgsMultiBandColorRenderer(provider, red, green, blue)
    setters = (
        renderer.setRedContrastEnhancement,
        renderer.setGreenContrastEnhancement,
        renderer.setBlueContrastEnhancement,
    )
    for band, set_enhancement in zip((red, green, blue), setters):
        low, high = provider.cumulativeCut(band, *_CUT, layer.extent(), _SAMPLE_SIZE)
        enhancement = QgsContrastEnhancement(provider.dataType(band))
        enhancement.setContrastEnhancementAlgorithm(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
        )
        enhancement.setMinimumValue(low)
        enhancement.setMaximumValue(high if high > low else low + 1)
        set_enhancement(enhancement)
    _apply(layer, renderer)


def style_image(layer: QgsRasterLayer, bands: Sequence[str | None]) -> bool:
    """Draw Sentinel-2 in true colour and Sentinel-1 as VV, VH, VV, by its band names; False when one is missing."""
    for composite in _IMAGES:
        if all(name in bands for name in composite):
            style_composite(layer, [list(bands).index(name) + 1 for name in composite])
            return True
    return False


def style_map(layer: QgsRasterLayer, names: Mapping[int, str], colors: Mapping[str, QColor]) -> None:
    """Draw a class map with one entry per class; a class without a colour keeps that of the file's colour table."""
    in_file = {int(item.value): item.color for item in layer.dataProvider().colorTable(_CLASS_BAND)}
    classes = [
        QgsPalettedRasterRenderer.Class(value, colors.get(name) or in_file.get(value) or QColor("gray"), name)
        for value, name in sorted(names.items())
    ]
    _apply(layer, QgsPalettedRasterRenderer(layer.dataProvider(), _CLASS_BAND, classes))


def style_certainty(layer: QgsRasterLayer) -> None:
    """Draw a map of percentages from dark, none, to bright, all."""
    provider = layer.dataProvider()
    renderer = QgsSingleBandGrayRenderer(provider, _CLASS_BAND)
    enhancement = QgsContrastEnhancement(provider.dataType(_CLASS_BAND))
    enhancement.setContrastEnhancementAlgorithm(
        QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
    )
    enhancement.setMinimumValue(0)
    enhancement.setMaximumValue(100)
    renderer.setContrastEnhancement(enhancement)
    _apply(layer, renderer)


def recolor_map(layer: QgsRasterLayer, colors: Mapping[str, QColor]) -> None:
    """Give the entries of a class map the colours of the classes of the same name."""
    renderer = layer.renderer()
    if not isinstance(renderer, QgsPalettedRasterRenderer):
        return
    entries = renderer.classes()
    changed = False
    for entry in entries:
        color = colors.get(entry.label)
        if color is not None and color.rgb() != entry.color.rgb():
            entry.color = color
            changed = True
    if changed:
        _apply(layer, QgsPalettedRasterRenderer(layer.dataProvider(), _CLASS_BAND, entries))


def _apply(layer: QgsRasterLayer, renderer: QgsRasterRenderer) -> None:
    if layer.renderer() is not None:
        renderer.setOpacity(layer.renderer().opacity())
    layer.setRenderer(renderer)
    layer.emitStyleChanged()
    layer.triggerRepaint()
