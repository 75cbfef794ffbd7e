"""What all furniture is put together with: blocks, beams, panels, tones and common finishes.

The frame of an object: x to its right, y out of its front, z up, from the middle of its base.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from vln.houses.building.catalogue import COLOURS
from vln.houses.building.scene import Finish, Item
from vln.houses.shapes.solids import Part, Vector
from vln.runs import generator

WOOD: Final = Finish("wood", (142, 102, 66))
DARK_WOOD: Final = Finish("wood", (84, 56, 36))
STEEL: Final = Finish("metal", (178, 182, 187))
IRON: Final = Finish("metal", (52, 53, 57))
BRASS: Final = Finish("metal", (190, 156, 84))
DARK: Final = Finish("plastic", (30, 31, 35))
WHITE: Final = Finish("plastic", (240, 239, 235))
LINEN: Final = Finish("fabric", (241, 238, 230))
CANVAS: Final = Finish("paper", (243, 238, 226))
SCREEN: Final = Finish("screen", (22, 27, 38))
WATER: Final = Finish("glass", (96, 168, 200))
SOIL: Final = Finish("stone", (66, 48, 36))
GREENS: Final = tuple(Finish("leaf", rgb) for rgb in ((46, 104, 52), (64, 128, 60), (86, 148, 74)))

QUARTER: Final = math.pi / 2
FACING: Final = (QUARTER, 0.0, 0.0)
"""Turn that lays the axis of a round solid along y."""
LYING: Final = (0.0, QUARTER, 0.0)
"""Turn that lays the axis of a round solid along x."""


@dataclass(frozen=True)
class Kit:
    """What a builder is given.

    Attributes:
        wide: Metres from left to right.
        deep: Metres from back to front.
        high: Metres from base to top.
        main: Finish of the coloured part, which most of what is seen must have.
        item: The object.
    """

    wide: float
    deep: float
    high: float
    main: Finish
    item: Item

    @classmethod
    def of(cls, item: Item) -> Kit:
        """Gives the kit of an object."""
        return cls(*item.size, Finish(item.material, COLOURS[item.colour]), item)

    @property
    def is_dark(self) -> bool:
        """Whether what is drawn on the coloured part must be light to be seen."""
        return sum(self.main.colour) < 3 * 90

    @property
    def is_pale(self) -> bool:
        """Whether the coloured part is white or nearly so."""
        return sum(self.main.colour) > 3 * 200

    @property
    def mark(self) -> Finish:
        """A finish that stands out from the coloured part."""
        return STEEL if self.is_dark else IRON

    def as_material(self, material: str) -> Finish:
        """Gives its colour on another material."""
        return Finish(material, self.main.colour)

    def draw(self) -> np.random.Generator:
        """Gives a generator of its own, the same for the same object at the same place."""
        x, y, z = self.item.position
        return generator(0, f"{self.item.category} {x:.2f} {y:.2f} {z:.2f}")


Builder = Callable[[Kit], list[Part]]


def tone(look: Finish, factor: float) -> Finish:
    """Gives a finish darker (below 1) or lighter (above 1, white at 2)."""
    if factor <= 1:
        red, green, blue = (round(c * factor) for c in look.colour)
    else:
        red, green, blue = (round(c + (255 - c) * (factor - 1)) for c in look.colour)
    return Finish(look.material, (red, green, blue))


def block(
    at: Vector,
    size: Vector,
    look: Finish,
    *,
    solid: str = "box",
    turn: Vector = (0.0, 0.0, 0.0),
) -> Part:
    """Gives a solid that stands on a point.

    Args:
        at: Middle of its base, before it is turned about its own middle.
        size: Along its x, y and z.
        look: Its finish.
        solid: A name in `SOLIDS`.
        turn: As `Part.turn`.
    """
    return Part(solid, (at[0], at[1], at[2] + size[2] / 2), size, look, turn)


def facing(
    at: Vector, size: tuple[float, float], thick: float, look: Finish, *, solid: str = "disc"
) -> Part:
    """Gives a round solid that looks out of the front: centre, width and height, thickness."""
    return Part(solid, at, (size[0], size[1], thick), look, FACING)


def beam(
    start: Vector, end: Vector, thick: float, look: Finish, *, solid: str = "rod", flat: float = 1.0
) -> Part:
    """Gives a solid whose z axis runs from one point to another; `flat` scales its y."""
    dx, dy, dz = (b - a for a, b in zip(start, end, strict=True))
    long = math.sqrt(dx * dx + dy * dy + dz * dz)
    x, y, z = ((a + b) / 2 for a, b in zip(start, end, strict=True))
    turn = (0.0, math.acos(max(-1.0, min(1.0, dz / long))), math.atan2(dy, dx))
    return Part(solid, (x, y, z), (thick, thick * flat, long), look, turn)


def legs(
    kit: Kit, thick: float, high: float, look: Finish, *, inset: float = 0.0, solid: str = "box"
) -> list[Part]:
    """Gives four legs under the corners of its footprint."""
    x = kit.wide / 2 - thick / 2 - inset
    y = kit.deep / 2 - thick / 2 - inset
    size = (thick, thick, high)
    return [block((i * x, j * y, 0), size, look, solid=solid) for i in (-1, 1) for j in (-1, 1)]


def fronts(
    area: tuple[float, float, float, float],
    y: float,
    *,
    columns: int,
    rows: int,
    look: Finish,
    grip: Finish,
    bars: str = "",
) -> list[Part]:
    """Gives a grid of drawers or doors with grips.

    Args:
        area: Lowest x, lowest z, highest x, highest z that they fill.
        y: Of the body's front; panels stand 15 mm out of it, grips 20 mm more.
        columns: Side by side.
        rows: Above each other.
        look: Of the panels.
        grip: Of the grips.
        bars: `across` or `upright` for bars, upright ones at the doors' meeting edges; else knobs.
    """
    x0, z0, x1, z1 = area
    wide, high = (x1 - x0) / columns, (z1 - z0) / rows
    found = []
    for column in range(columns):
        for row in range(rows):
            x, z = x0 + (column + 0.5) * wide, z0 + row * high
            size = (wide - 0.012, 0.015, high - 0.012)
            found.append(block((x, y + 0.0075, z + 0.006), size, look))
            edge = (1 if column % 2 == 0 else -1) * (wide / 2 - 0.05) if columns > 1 else wide * 0.4
            if bars == "across":
                found.append(
                    block((x, y + 0.025, z + high * 0.62), (wide * 0.45, 0.02, 0.02), grip)
                )
            elif bars == "upright":
                tall = min(0.35, high * 0.5)
                at = (x + edge, y + 0.025, z + (high - tall) / 2)
                found.append(block(at, (0.022, 0.02, tall), grip))
            else:
                at = (x, y + 0.025, z + high / 2 - 0.018)
                found.append(block(at, (0.036, 0.02, 0.036), grip))
    return found
