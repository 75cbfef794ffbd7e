"""Pictures cropped, shifted and lit at random, as one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# N pictures, H W pixels as kept, h w as seen


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How much pictures are changed before a tower learns from them.

    No mirror images: captions tell left from right. Hues stay: captions tell colours.

    Attributes:
        smallest: Share of a picture's area that a crop keeps at least.
        stretch: Largest ratio by which a crop's sides are stretched against each other.
        light: Brightness and contrast change by up to so much, a share.
    """

    smallest: float = 0.6
    stretch: float = 1.15
    light: float = 0.25


def augmented(
    images_NHW3: Tensor, settings: Augmentation, *, size: tuple[int, int], rng: torch.Generator
) -> Tensor:
    """Gives (N, 3, h, w) float32 in [-1, 1] of uint8 pictures (N, H, W, 3), each changed otherwise.

    Args:
        images_NHW3: As kept.
        settings: How much they are changed.
        size: h and w.
        rng: Decides.
    """
    number = len(images_NHW3)
    values = images_NHW3.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(number, generator=rng)

    area = uniform(settings.smallest, 1.0)
    log_stretch = torch.log(torch.tensor(settings.stretch)).item()
    ratio = torch.exp(uniform(-log_stretch, log_stretch))
    across = torch.sqrt(area * ratio).clamp_(max=1.0)
    down = torch.sqrt(area / ratio).clamp_(max=1.0)
    theta = torch.zeros(number, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = across, down
    theta[:, 0, 2] = uniform(-1.0, 1.0) * (1 - across)
    theta[:, 1, 2] = uniform(-1.0, 1.0) * (1 - down)
    grid = functional.affine_grid(theta, [number, 3, *size], align_corners=False)
    crops = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    contrast = uniform(1 - settings.light, 1 + settings.light)[:, None, None, None]
    brightness = uniform(-settings.light, settings.light)[:, None, None, None]
    return crops.mul_(contrast).add_(brightness).clamp_(-1, 1)


def plain(images_NHW3: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Gives (N, 3, h, w) float32 in [-1, 1] of pictures as a trained tower sees them."""
    values = images_NHW3.permute(0, 3, 1, 2).to(torch.float32)
    seen = functional.interpolate(values, size, mode="bilinear", antialias=True)
    return seen / 127.5 - 1
