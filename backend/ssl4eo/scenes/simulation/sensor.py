# SPDX-License-Identifier: GPL-2.0-or-later
"""What the instrument does to a band: blur, its own pixel size, noise, whole numbers, and back to 10 m pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssl4eo.bands import NATIVE_GSD

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["QUANTIFICATION", "noise_at_reference", "observe"]

# ESA's Level-1C products store reflectance * 10000 (QUANTIFICATION_VALUE).
QUANTIFICATION = 10000

# Required signal-to-noise ratio of Sentinel-2A and 2B at the reference radiance: Copernicus SentiWiki, Sentinel-2
# mission page, table 3 "Spectral information and associated SNR per band".
_SNR = {
    "B01": 129, "B02": 154, "B03": 168, "B04": 142, "B05": 117, "B06": 89, "B07": 105,
    "B08": 174, "B8A": 72, "B09": 114, "B10": 50, "B11": 100, "B12": 100,
}  # fmt: skip

# The reference radiance, W m-2 sr-1 um-1: senbox-org/snap-rut@7cd6fb98, src/main/python/s2_l1_rad_conf.py:5.
_REFERENCE_RADIANCE = {
    "B01": 129.11, "B02": 128.0, "B03": 128.0, "B04": 108.0, "B05": 74.6, "B06": 68.23, "B07": 66.70,
    "B08": 103.0, "B8A": 52.39, "B09": 8.77, "B10": 6.0, "B11": 4.0, "B12": 1.70,
}  # fmt: skip

# Solar irradiance outside the atmosphere, W m-2 um-1: SOLAR_IRRADIANCE in the metadata of Sentinel-2A products
# (for example S2A_MSIL2A_20240611T130251_N0510_R095_T23KPS).
_SOLAR_IRRADIANCE = {
    "B01": 1884.69, "B02": 1959.66, "B03": 1823.24, "B04": 1512.06, "B05": 1424.64, "B06": 1287.61, "B07": 1162.08,
    "B08": 1041.63, "B8A": 955.32, "B09": 812.92, "B10": 367.15, "B11": 245.59, "B12": 85.25,
}  # fmt: skip

# Sun over central Europe at the time of overpass in early summer, degrees from the zenith.
_SUN_ZENITH = 35.0

# The modulation transfer function at the Nyquist frequency is required to lie between 0.15 and 0.30 (SentiWiki, same
# page); 0.22 is the middle. Averaging over the pixel gives sinc(1/2) = 0.637 of it, a Gaussian of this many pixels
# the rest: 0.637 * exp(-2 (pi * sigma / 2)^2) = 0.22.
_BLUR_PIXELS = math.sqrt(math.log(0.637 / 0.22) / 2) * 2 / math.pi

# Noise falls with the square root of the signal (photon noise) down to that of the electronics, taken as a tenth.
_ELECTRONIC_SHARE = 0.1


def noise_at_reference(band: str) -> tuple[float, float]:
    """Return reflectance at the reference radiance, and the standard deviation of its noise.

    reflectance = pi * radiance / (irradiance * cos(sun zenith)), at the mean distance of the sun.
    """
    per_radiance = math.pi / (_SOLAR_IRRADIANCE[band] * math.cos(math.radians(_SUN_ZENITH)))
    reference = _REFERENCE_RADIANCE[band] * per_radiance
    return reference, reference / _SNR[band]


def observe(reflectance: NDArray[np.float32], band: str, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Turn true reflectance on 10 m pixels (H, W) into what a 10 m stack of a Level-1C product holds.

    A 20 m or 60 m band is averaged to its own pixels, which get noise and become whole numbers, and is then
    resampled bilinearly to 10 m, as in SSL4EO-S12. DN 0 means no data and is not used.
    """
    height, width = reflectance.shape
    factor = NATIVE_GSD[band] // NATIVE_GSD["B02"]
    blurred = ndimage.gaussian_filter(reflectance, _BLUR_PIXELS * factor, mode="nearest")
    native = _block_mean(blurred, factor)
    reference, sigma = noise_at_reference(band)
    level = np.sqrt(np.maximum(native / reference, 0)).clip(_ELECTRONIC_SHARE, None)
    native = native + sigma * level * rng.standard_normal(native.shape)
    digital = np.rint(native * QUANTIFICATION).clip(1, np.iinfo(np.uint16).max)
    if factor > 1:
        # grid_mode: the corners of the first pixels coincide, not their centres.
        digital = ndimage.zoom(digital, factor, order=1, mode="nearest", grid_mode=True)
    return np.asarray(np.rint(digital[:height, :width]), np.uint16)


def _block_mean(values: NDArray[np.float32], factor: int) -> NDArray[np.float64]:
    height, width = values.shape
    rows, cols = -height % factor, -width % factor
    padded = np.pad(values, ((0, rows), (0, cols)), mode="edge").astype(np.float64)
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return np.asarray(blocks.mean(axis=(1, 3)))
