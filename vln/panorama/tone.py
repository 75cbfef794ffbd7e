"""Linear radiance -> 8-bit sRGB, the same for the same picture on every machine.

Exposure follows what the whole panorama shows, so all directions share one. Knows nothing of files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

KEY: Final = 0.18
"""What the average brightness is exposed to: middle grey."""
WHITE: Final = 4.0
"""Exposed brightness that becomes white; brighter lamps and windows clip."""

BAND: Final = 1 << 17
"""Pixels worked on at once: a panorama of 8192 x 4096 takes 400 MB as it is."""

_LUMINANCE = np.array([0.0722, 0.7152, 0.2126])  # of blue, green, red: Rec. 709


def tone_map(radiance: Singles) -> Bytes:
    """Gives an equirectangular picture as a screen shows it.

    Brightness is scaled so that its geometric mean over the sphere (black and infinite pixels left
    out) is `KEY`, compressed by L (1 + L / WHITE^2) / (1 + L) with hue and saturation kept,
    clipped, and encoded with the curve of sRGB.

    Args:
        radiance: (H, 2H, 3) float32, linear BGR of Rec. 709 primaries, any unit; left as it is. NaN
            and negative values count as black, infinite ones as the brightest there can be.

    Returns:
        (H, 2H, 3) uint8 BGR.

    Source: Reinhard et al. 2002, "Photographic Tone Reproduction for Digital Images", equations
    1, 2 and 4, the mean weighted by solid angle; IEC 61966-2-1 for sRGB. OpenCV's tone mappers
    take their range from the two most extreme pixels, and one lamp then decides the exposure.
    """
    rows = max(BAND // radiance.shape[1], 1)
    bands = [slice(top, top + rows) for top in range(0, len(radiance), rows)]
    exposure = KEY / _mean(radiance, bands)
    shown = np.empty(radiance.shape, np.uint8)
    for band in bands:
        linear = _light(radiance[band])
        exposed = linear @ _LUMINANCE * exposure
        linear *= (exposure * (1 + exposed / WHITE**2) / (1 + exposed))[..., None]
        shown[band] = _srgb(linear)
    return shown


def _light(radiance: Singles) -> Doubles:
    """Gives float64 values without a sign or NaN, at most 1e39, above all that float32 can say.

    Exposures reach 1e44 and more: products that float32 would not hold.
    """
    return np.clip(np.nan_to_num(radiance.astype(np.float64), nan=0.0), 0.0, 1e39)


def _mean(radiance: Singles, bands: list[slice]) -> float:
    """Gives the geometric mean over the sphere of what is neither black nor infinite; else 1."""
    height = len(radiance)
    weight = np.cos((0.5 - (np.arange(height) + 0.5) / height) * np.pi)
    weighted = total = 0.0
    for band in bands:
        brightness = _light(radiance[band]) @ _LUMINANCE
        counts = (brightness > 0) & ~np.isposinf(radiance[band]).any(axis=-1)
        logs = np.log(brightness, out=np.zeros_like(brightness), where=counts)
        weighted += float(weight[band] @ logs.sum(axis=1))
        total += float(weight[band] @ counts.sum(axis=1))
    return float(np.exp(weighted / total)) if total else 1.0


def _srgb(linear: Doubles) -> Bytes:
    clipped = np.minimum(linear, 1).astype(np.float32)  # 0 to 1: precise enough, and faster
    curve = np.float32(1.055) * clipped ** np.float32(1 / 2.4) - np.float32(0.055)
    encoded = np.where(clipped <= 0.0031308, np.float32(12.92) * clipped, curve)
    return (encoded * 255 + 0.5).astype(np.uint8)
