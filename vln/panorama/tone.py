"""Linear radiance -> 8-bit sRGB, the same for the same picture on every machine.

Exposure follows what the whole panorama shows, so all directions share one. Knows nothing of files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Singles = npt.NDArray[np.float32]

KEY: Final = 0.18
"""What the average brightness is exposed to: middle grey."""
WHITE: Final = 4.0
"""Exposed brightness that becomes white; brighter lamps and windows clip."""

_LUMINANCE = np.array([0.0722, 0.7152, 0.2126], np.float32)  # of blue, green, red: Rec. 709


def tone_map(radiance: Singles) -> Bytes:
    """Gives an equirectangular picture as a screen shows it.

    Brightness is scaled so that its geometric mean over the sphere (black pixels left out) is
    `KEY`, compressed by L (1 + L / WHITE^2) / (1 + L) with hue and saturation kept, clipped, and
    encoded with the curve of sRGB.

    Args:
        radiance: (H, 2H, 3) float32, linear BGR of Rec. 709 primaries, any unit. NaN and negative
            values count as black, infinite ones as the brightest there can be.

    Returns:
        (H, 2H, 3) uint8 BGR.

    Source: Reinhard et al. 2002, "Photographic Tone Reproduction for Digital Images", equations
    1, 2 and 4, the mean weighted by solid angle; IEC 61966-2-1 for sRGB. OpenCV's tone mappers
    take their range from the two most extreme pixels, and one lamp then decides the exposure.
    """
    linear = np.clip(np.nan_to_num(radiance, nan=0.0), 0.0, np.float32(1e30))
    brightness = linear @ _LUMINANCE
    exposure = KEY / _mean(brightness)
    # Far beyond white nothing changes; the limit keeps products inside float32.
    np.minimum(linear, 1e6 / exposure, out=linear)
    exposed = np.minimum(brightness, 1e6 / exposure) * np.float32(exposure)
    gain = exposure * (1 + exposed / WHITE**2) / (1 + exposed)
    linear *= gain[..., None]
    return _srgb(linear)


def _mean(brightness: Singles) -> float:
    """Gives the geometric mean over the sphere of all that is not black, 1 where all is."""
    height = len(brightness)
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    lit = brightness > 0
    weight = lit * np.cos(elevation)[:, None]
    logs = np.log(brightness, out=np.zeros_like(brightness), where=lit)
    total = float(weight.sum())
    return float(np.exp((weight * logs).sum() / total)) if total else 1.0


def _srgb(linear: Singles) -> Bytes:
    clipped = np.minimum(linear, 1)
    curve = 1.055 * clipped ** np.float32(1 / 2.4) - 0.055
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, curve)
    return (encoded * 255 + 0.5).astype(np.uint8)
