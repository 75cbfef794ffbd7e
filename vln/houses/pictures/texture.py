"""Tileable pictures of materials, each with smaller and smaller copies for what is far away.

A picture has two channels, so that one serves every colour: how bright the surface's colour is, and
how much of a second colour (grout, mortar, dots) lies over it. Knows nothing of homes or cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.errors import UnknownName
from vln.houses.pictures.patterns import PATTERNS

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

SMALLEST: Final = 4
"""Pixels along the last copy."""

GLOSS: Final[dict[str, float]] = {
    "planks": 0.12,
    "parquet": 0.18,
    "tiles": 0.2,
    "marble": 0.3,
    "terracotta": 0.06,
    "wall tiles": 0.25,
    "wood": 0.12,
    "leather": 0.25,
    "metal": 0.6,
    "plastic": 0.3,
    "glass": 0.9,
    "ceramic": 0.6,
    "stone": 0.12,
    "leaf": 0.08,
    "door": 0.1,
    "trim": 0.08,
    "screen": 0.5,
}
"""How strongly a material mirrors a lamp; what is not named does not."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """One material's picture.

    Attributes:
        levels: (N, N, 2) float32 tone and share of the second colour, each half as wide as the one
            before.
        metres: That one picture spans in both directions.
        second: sRGB of the second colour, 0 to 255.
    """

    levels: tuple[Floats32, ...]
    metres: float
    second: tuple[int, int, int]


@cache
def pattern(material: str) -> Pattern:
    """Gives the picture of a material, the same on every call.

    Raises:
        UnknownName: There is no such material.
    """
    recipe = PATTERNS.get(material)
    if recipe is None:
        raise UnknownName.of("material", material, PATTERNS)
    tone, mix = recipe.draw()
    picture = np.stack([np.maximum(tone, 0), mix.clip(0, 1)], axis=-1)
    levels = []
    while len(picture) >= SMALLEST:
        levels.append(picture.astype(np.float32))
        picture = (picture[::2] + picture[1::2]) / 2
        picture = (picture[:, ::2] + picture[:, 1::2]) / 2
    return Pattern(tuple(levels), recipe.metres, recipe.second)


@dataclass(frozen=True, eq=False)
class Atlas:
    """The pictures of several materials in one list of texels.

    Attributes:
        texels: (B, 2) float32: all levels of all pictures, each row by row.
        starts: (M, L) int64: where each level of each material begins.
        widths: (M,) int64 pixels along level 0.
        metres: (M,) float64 that one picture spans.
        seconds: (M, 3) float64 linear RGB of the second colours.
    """

    texels: Floats32
    starts: Ints
    widths: Ints
    metres: Floats
    seconds: Floats

    @classmethod
    def of(cls, materials: tuple[str, ...]) -> Atlas:
        """Gives the pictures of materials, in their order."""
        patterns = [pattern(material) for material in materials]
        depth = min(len(each.levels) for each in patterns)
        starts = np.zeros((len(patterns), depth), np.int64)
        flat: list[Floats32] = []
        used = 0
        for row, each in zip(starts, patterns, strict=True):
            for level in range(depth):
                row[level] = used
                flat.append(each.levels[level].reshape(-1, 2))
                used += len(flat[-1])
        return cls(
            texels=np.concatenate(flat),
            starts=starts,
            widths=np.array([len(each.levels[0]) for each in patterns], np.int64),
            metres=np.array([each.metres for each in patterns], np.float64),
            seconds=linear(np.array([each.second for each in patterns], np.float64)),
        )


def linear(colour: Floats) -> Floats:
    """Gives light, 0 to 1, for sRGB values 0 to 255 of any shape."""
    share = np.asarray(colour, np.float64) / 255
    # IEC 61966-2-1's curve, by multiplication alone: powers differ from machine to machine.
    light: Floats = share * (0.012522878 + share * (0.682171111 + share * 0.305306011))
    return light


def srgb_table(*, entries: int, brightest: float) -> Bytes:
    """Gives (entries,) uint8 sRGB for light from 0 to `brightest`, rolled off like film.

    Up to 0.6 light is kept as it is; what is brighter comes closer and closer to white.
    """
    light = np.linspace(0, brightest, entries)
    over = np.maximum(light - 0.6, 0)
    light = np.where(light > 0.6, 0.6 + 0.4 * over / (over + 0.4), light)
    steps = linear(np.arange(256, dtype=np.float64) + 0.5)
    return np.searchsorted(steps, light).clip(0, 255).astype(np.uint8)
