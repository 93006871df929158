# SPDX-License-Identifier: GPL-2.0-or-later
"""From features to 8-bit components: principal components per level, and a scale and offset per component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COMPONENTS", "NODATA", "Projection", "Quantiser", "fit_projection", "fit_quantiser"]

# 64 components with 8 bits lose less than 2 % on EuroSAT (Robinson and Corley 2026, "compressing earth embeddings").
COMPONENTS = 64
# Bytes are stored unsigned with 0 for "no data": GDAL before 3.7, which QGIS 3.22 ships with, reads signed bytes as
# unsigned, so that -128 showed as +128 and as valid.
NODATA = 0
_LEVELS = 254
# The range covers all but this percentage of the sample on each side, and a quarter more for what the sample missed.
_TAIL, _HEADROOM = 0.05, 1.25


@dataclass(frozen=True)
class Projection:
    """Principal components of one level: `mean` (C,), `components` (K, C), `variance` (K,) as shares of the total."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variance: NDArray[np.float32]

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the components (K, H, W) of features (C, H, W); NaN stays NaN."""
        channels, height, width = features.shape
        centred = features.reshape(channels, -1) - self.mean[:, None]
        return (self.components @ centred).reshape(-1, height, width)

    def of_rows(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the components (N, K) of features (N, C)."""
        return np.asarray((sample - self.mean) @ self.components.T, np.float32)


@dataclass(frozen=True)
class Quantiser:
    """Per component: value = byte * scale + offset, for bytes 1 to 255."""

    scale: NDArray[np.float32]
    offset: NDArray[np.float32]

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return bytes (K, H, W) of values (K, H, W); NaN becomes `NODATA`."""
        steps = np.rint((values - self.offset[:, None, None]) / self.scale[:, None, None])
        return np.where(np.isfinite(values), np.clip(steps, 1, _LEVELS + 1), NODATA).astype(np.uint8)


def fit_projection(sample: NDArray[np.float32], components: int = COMPONENTS) -> Projection:
    """Fit principal components, ordered by variance.

    Args:
        sample: (N, C) features of valid cells.
        components: how many to keep; fewer when N or C is smaller.

    Raises:
        InputError: when there is no valid cell.
    """
    if len(sample) == 0:
        raise InputError("No feature cell is valid: the extent is too small or all nodata; choose a larger extent.")
    kept = min(components, *sample.shape)
    if len(sample) == 1:
        # One cell has no variance: any basis describes it, the first channels are as good as any.
        identity = np.eye(kept, sample.shape[1], dtype=np.float32)
        return Projection(sample[0].astype(np.float32), identity, np.zeros(kept, np.float32))
    # Imported here: it takes longer than telling that a scene does not exist.
    from sklearn.decomposition import PCA

    pca = PCA(n_components=kept, svd_solver="covariance_eigh").fit(sample.astype(np.float64))
    total = float(sample.astype(np.float64).var(axis=0, ddof=1).sum())
    share = pca.explained_variance_ / total if total > 0 else np.zeros(kept)
    return Projection(pca.mean_.astype(np.float32), pca.components_.astype(np.float32), share.astype(np.float32))


def fit_quantiser(sample: NDArray[np.float32]) -> Quantiser:
    """Fit scale and offset of each component to a sample (N, K)."""
    low, high = np.percentile(sample, [_TAIL, 100 - _TAIL], axis=0)
    centre, half = (low + high) / 2, (high - low) / 2 * _HEADROOM
    scale = np.maximum(2 * half / _LEVELS, 1e-8)
    offset = centre - scale * (1 + _LEVELS / 2)
    return Quantiser(scale.astype(np.float32), offset.astype(np.float32))
