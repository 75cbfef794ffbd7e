"""The networks that have names, and what each does to a picture unless words say otherwise.

Knows no library: asking what there is costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vln.encoders.handle import Handle
from vln.encoders.recipe import Recipe
from vln.errors import UnknownName

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Source: torchvision's `ResNet50_Weights.IMAGENET1K_V1.transforms`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A network with a name of its own.

    Attributes:
        architecture: open_clip's name of it, or timm's for networks without words.
        dim: Pooled features.
        recipe: What it does to a picture unless words say otherwise.
        views_per_second: Of a CPU core in fp32. Source: benchmarks/results/encode.md.
    """

    architecture: str
    dim: int
    recipe: Recipe
    views_per_second: float


TOWER_SIZE: Final = 84
"""Pixels of the shorter side of what our own small towers see; the longer one is 4/3 of it."""
_GREY: Final = (0.5, 0.5, 0.5)
TOWER_RECIPE: Final = Recipe(
    frame="wide", size=TOWER_SIZE, direct=True, interpolation="bilinear", mean=_GREY, std=_GREY
)
"""The whole view, rendered at the tower's size at once."""


def _clip(architecture: str, dim: int, rate: float, size: int = 224) -> Named:
    return Named(architecture, dim, Recipe(size=size), rate)


def _imagenet(architecture: str, rate: float) -> Named:
    # The whole frame at its own size, as R2R's published ResNet features were made.
    recipe = Recipe(frame="native", interpolation="bilinear", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return Named(architecture, 2048, recipe, rate)


NETWORKS: Final[dict[str, Named]] = {
    "clip_rn50": _clip("RN50-quickgelu", 1024, 7.4),
    "clip_rn101": _clip("RN101-quickgelu", 512, 4.6),
    "clip_rn50x4": _clip("RN50x4-quickgelu", 640, 1.9, 288),
    "clip_rn50x16": _clip("RN50x16-quickgelu", 768, 0.52, 384),
    "clip_vit_b32": _clip("ViT-B-32-quickgelu", 512, 9.2),
    "clip_vit_b16": _clip("ViT-B-16-quickgelu", 512, 2.3),
    "clip_vit_l14": _clip("ViT-L-14-quickgelu", 768, 0.49),
    "imagenet_resnet50": _imagenet("resnet50", 1.5),
    "imagenet_resnet152": _imagenet("resnet152", 0.59),
    "random_rn50": _clip("RN50-quickgelu", 1024, 7.4),
    "clip_house": Named("tower", 256, TOWER_RECIPE, 800.0),
}


def named(handle: Handle) -> Named:
    """Gives the network that a handle without family names.

    Raises:
        UnknownName: There is none; the closest is suggested.
    """
    if handle.name not in NETWORKS:
        raise UnknownName.of("encoder", handle.name, NETWORKS)
    return NETWORKS[handle.name]
