"""Pictures -> what a network sees: fitted to whole grey levels, then normalised.

Sizes and crops are torchvision's `Resize` and `CenterCrop`; the resizing is antialiased as PIL's.
Knows no network.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vln.encoders.recipe import Recipe
from vln.errors import BadImage

# N pictures, H W as given, h w as seen
MAX_SIDE = 16_384
"""Pixels; larger pictures are somebody's mistake."""

Pictures = npt.NDArray[np.uint8] | Tensor
Step = tuple[Literal["resize", "crop"], int, int]


def fitted(images_NHW3: Pictures, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """Gives the part of each picture that a network sees, at the size it sees it.

    Fitting what is fitted already changes nothing.

    Args:
        images_NHW3: uint8 RGB.
        recipe: Which part, and which size.

    Returns:
        (N, h, w, 3) uint8 RGB.

    Raises:
        BadImage: As `prepared`.
    """
    fitted_N3hw = _fit(_checked(images_NHW3), recipe)
    return np.ascontiguousarray(fitted_N3hw.permute(0, 2, 3, 1).numpy(force=True))


def prepared(
    images_NHW3: Pictures, recipe: Recipe, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Gives pictures as a network wants them.

    Args:
        images_NHW3: uint8 RGB.
        recipe: How they are fitted, ordered and normalised.
        device: Where this is done.

    Returns:
        (N, 3, h, w) float32 on the device, channels last in memory.

    Raises:
        BadImage: Not uint8 of that shape; no pixels, more than 16,384 a side, or so narrow that
            its longer side would get so long.
    """
    fitted_N3hw = _fit(_checked(images_NHW3).to(device), recipe)
    # As MatterSim's frames were read by those who took them for RGB: the network's red is blue.
    seen_N3hw = fitted_N3hw.flip(1) if recipe.colour == "bgr" else fitted_N3hw
    mean_311, std_311 = (
        torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)
        for values in (recipe.mean, recipe.std)
    )
    return (seen_N3hw.to(torch.float32) / 255).sub_(mean_311).div_(std_311)


def seen_size(height: int, width: int, recipe: Recipe) -> tuple[int, int]:
    """Gives the height and width in pixels of what a network sees of a picture.

    Raises:
        BadImage: The picture is so narrow that its longer side would get longer than 16,384.
    """
    steps = _steps(height, width, recipe)
    return steps[-1][1:] if steps else (height, width)


def _steps(height: int, width: int, recipe: Recipe) -> list[Step]:
    """Gives what is done to a picture of this size, each step with the size it leads to."""
    size = recipe.size
    if recipe.frame == "native":
        return []
    if recipe.frame == "squash":
        return [("resize", size, size)]
    # torchvision cuts the longer side off to whole pixels: 640 x 480 gets 298 x 224.
    shorter, longer = sorted((height, width))
    long = int(size * longer / shorter)
    if long > MAX_SIDE:
        raise BadImage(
            f"a picture of {width} x {height} pixels: its longer side would get {long} pixels, "
            f"expected at most {MAX_SIDE}. Use +squash, or leave such pictures out."
        )
    resized: Step = ("resize", *((size, long) if height <= width else (long, size)))
    return [resized, ("crop", size, size)] if recipe.frame == "center" else [resized]


def _fit(images_N3HW: Tensor, recipe: Recipe) -> Tensor:
    """Gives (N, 3, h, w) uint8, channels last in memory."""
    for step, height, width in _steps(images_N3HW.shape[2], images_N3HW.shape[3], recipe):
        if tuple(images_N3HW.shape[2:]) == (height, width):
            continue
        if step == "resize":
            images_N3HW = _resized(images_N3HW, (height, width), recipe.interpolation)
        else:
            top, left = (
                round((have - kept) / 2)  # ties to even, as torchvision's
                for have, kept in zip(images_N3HW.shape[2:], (height, width), strict=True)
            )
            images_N3HW = images_N3HW[:, :, top : top + height, left : left + width]
    return images_N3HW


def _resized(images_N3HW: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Gives pictures resized to whole grey levels, antialiased."""
    if not len(images_N3HW):
        return images_N3HW.new_empty((0, 3, *size))
    if images_N3HW.device.type == "cpu":  # its own uint8 path rounds as PIL does, and is quick
        return functional.interpolate(
            images_N3HW, size, mode=mode, align_corners=False, antialias=True
        )
    resized_N3hw = functional.interpolate(
        images_N3HW.to(torch.float32), size, mode=mode, align_corners=False, antialias=True
    )
    return resized_N3hw.round_().clamp_(0, 255).to(torch.uint8)


def _checked(images: Pictures) -> Tensor:
    """Gives (N, 3, H, W) uint8 of pictures (N, H, W, 3), channels last in memory.

    Raises:
        BadImage: They are no such pictures.
    """
    if not isinstance(images, np.ndarray | Tensor):
        raise BadImage(
            f"pictures as a {type(images).__name__}; expected one array, uint8 (N, height, width, "
            "3). Stack pictures of one size with numpy.stack."
        )
    shape, dtype = tuple(images.shape), str(images.dtype).removeprefix("torch.")
    if dtype != "uint8" or len(shape) != 4 or shape[3] != 3:
        raise BadImage(
            f"pictures of type {dtype} and shape {shape}; expected uint8 (N, height, width, 3), "
            "RGB from 0 to 255."
        )
    if not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise BadImage(
            f"pictures of {shape[2]} x {shape[1]} pixels; expected 1 to {MAX_SIDE} a side. Leave "
            "them out, or make them smaller first."
        )
    if isinstance(images, np.ndarray):
        # torch warns of memory it may not write to, and knows no negative strides.
        own = images if images.flags.writeable and images.flags.c_contiguous else images.copy()
        images = torch.from_numpy(own)
    return images.permute(0, 3, 1, 2)
