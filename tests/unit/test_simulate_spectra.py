# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of spectra is what its docstring says: statistics of EuroSAT pixels."""

from __future__ import annotations

import operator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from ssl4eo.bands import S2_BANDS
from ssl4eo.scenes.simulation.spectra import CLASS_COLOURS, CLASSES, COVERS, Cover

# EuroSAT's files hold B8A last.
FILE_ORDER = [*(band for band in S2_BANDS if band != "B8A"), "B8A"]
COMPARE = {"<": operator.lt, "<=": operator.le}


def pixels(folder: Path) -> dict[str, np.ndarray]:
    stacks = []
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as dataset:
            stacks.append(dataset.read().reshape(len(FILE_ORDER), -1))
    stack = np.concatenate(stacks, axis=1).astype(float)
    return {band: stack[FILE_ORDER.index(band)] for band in S2_BANDS}


def chosen(values: dict[str, np.ndarray], rule: str) -> np.ndarray:
    """Apply a rule such as "0.2 <= NDVI < 0.35, B04 < 1200"."""
    red, infrared = values["B04"], values["B08"]
    known = {**values, "NDVI": (infrared - red) / (infrared + red)}
    mask = np.ones(red.shape, bool)
    for part in rule.split(","):
        words = part.split()
        for left, sign, right in zip(words[::2], words[1::2], words[2::2], strict=False):
            a, b = (known[word] if word in known else float(word) for word in (left, right))
            mask &= COMPARE[sign](a, b)
    return mask


@pytest.mark.parametrize("cover", COVERS, ids=lambda cover: cover.name)
def test_the_table_can_be_computed_again(shared_data: Path, cover: Cover) -> None:
    values = pixels(shared_data / "eurosat" / cover.source)
    mask = chosen(values, cover.rule)
    assert mask.sum() > 1000
    for i, band in enumerate(S2_BANDS):
        assert cover.mean[i] == pytest.approx(values[band][mask].mean(), abs=0.5), band
        assert cover.spread[i] == pytest.approx(values[band][mask].std(), abs=0.5), band


def test_the_table_holds_together() -> None:
    assert len({cover.name for cover in COVERS}) == len(COVERS)
    assert set(CLASSES) == set(CLASS_COLOURS)
    for cover in COVERS:
        assert len(cover.mean) == len(cover.spread) == len(S2_BANDS)
        assert sum(cover.shares) <= 1 + 1e-9
