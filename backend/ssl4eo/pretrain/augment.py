# SPDX-License-Identifier: GPL-2.0-or-later
"""Random views of an image crop: where it is looked at, how it lies, and what the air did to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ssl4eo.bands import S2_BANDS

__all__ = ["WAVELENGTHS", "Augmentation"]

# Centre wavelengths of Sentinel-2A in nm, in the order of S2_BANDS: ESA, Sentinel-2 User Handbook, issue 1.2 (2015),
# table 1.
WAVELENGTHS = (443.0, 490.0, 560.0, 665.0, 705.0, 740.0, 783.0, 842.0, 865.0, 945.0, 1375.0, 1610.0, 2190.0)
# Exponent of the wavelength in scattered path reflectance: 4 for molecules (Rayleigh 1871), about 1 for the usual
# aerosol (Angstrom 1929).
_SCATTERING = (1.0, 4.0)


@dataclass(frozen=True)
class Augmentation:
    """Draws views of regions. Strengths are half-widths of symmetric ranges; 0 switches a part off.

    The spectral parts imitate what differs between two dates of one place: light, air and season. They are strong, so
    that the network cannot tell the scenes by them, and mostly common to all bands, so that the shape of the spectrum,
    which tells land covers apart, stays worth learning.

    Args:
        size: side of a view in pixels.
        source: smallest and largest side, in scene pixels, of the square that becomes a view.
        gain: logarithm of a factor common to all bands (sun height, slope, sensor).
        band_gain: standard deviation of the logarithm of a factor per band (calibration, season).
        haze: path reflectance added at 443 nm, falling with wavelength.
        contrast: logarithm of a factor on the deviation from the view's own mean.
    """

    size: int = 32
    source: tuple[float, float] = (24.0, 48.0)
    gain: float = 0.5
    band_gain: float = 0.1
    haze: float = 0.05
    contrast: float = 0.3

    def __call__(self, region: Tensor, generator: torch.Generator) -> Tensor:
        """Return one view per region.

        Args:
            region: reflectance (B, 13, R, R), R at least the largest `source`.
            generator: on the CPU, so that a seed gives the same views on every device.

        Returns:
            Reflectance (B, 13, size, size) in [0, 1].
        """
        return self._spectral(self._spatial(region, generator), generator)

    def _spatial(self, region: Tensor, generator: torch.Generator) -> Tensor:
        """Cut a square of random size and place, turned by a multiple of 90 degrees and mirrored or not."""
        batch, bands, side, _ = region.shape
        share = _uniform(*self.source, (batch,), generator) / side
        turn = torch.randint(0, 4, (batch,), generator=generator) * (math.pi / 2)
        mirror = torch.randint(0, 2, (batch,), generator=generator) * 2 - 1
        shift = _uniform(-1.0, 1.0, (2, batch), generator) * (1 - share)
        cosine, sine = share * torch.cos(turn), share * torch.sin(turn)
        matrix = torch.stack([cosine * mirror, -sine, shift[0], sine * mirror, cosine, shift[1]], dim=1)
        grid = functional.affine_grid(
            matrix.view(batch, 2, 3), [batch, bands, self.size, self.size], align_corners=False
        )
        # Squares never leave the region; reflection only serves the half pixel at its rim.
        return functional.grid_sample(region, grid.to(region.device), padding_mode="reflection", align_corners=False)

    def _spectral(self, view: Tensor, generator: torch.Generator) -> Tensor:
        batch, bands = view.shape[0], len(S2_BANDS)
        gain = torch.exp(
            _uniform(-self.gain, self.gain, (batch, 1), generator)
            + self.band_gain * torch.randn(batch, bands, generator=generator)
        )
        wavelength = torch.tensor(WAVELENGTHS) / WAVELENGTHS[0]
        haze = _uniform(-self.haze, self.haze, (batch, 1), generator) * wavelength ** -_uniform(
            *_SCATTERING, (batch, 1), generator
        )
        contrast = torch.exp(_uniform(-self.contrast, self.contrast, (batch, 1), generator))
        gain, haze, contrast = (part[..., None, None].to(view.device) for part in (gain, haze, contrast))
        mean = view.mean(dim=(2, 3), keepdim=True)
        return (((view - mean) * contrast + mean) * gain + haze).clamp(0, 1)


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
