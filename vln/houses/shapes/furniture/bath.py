"""What a bathroom has."""

from __future__ import annotations

from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    QUARTER,
    STEEL,
    Builder,
    Kit,
    beam,
    block,
    facing,
    tone,
)
from vln.houses.shapes.solids import Part

_WATER: Final = Finish("glass", (150, 200, 218))


def _tap(x: float, y: float, z: float, high: float, reach: float) -> list[Part]:
    """Gives a tap that stands at a point and pours in front of it."""
    return [
        block((x, y, z), (0.035, 0.035, high), STEEL, solid="cylinder"),
        beam((x, y, z + high - 0.02), (x, y + reach, z + high - 0.035), 0.03, STEEL),
        *[block((x + i * 0.075, y, z), (0.045, 0.045, 0.04), STEEL, solid="cylinder")
          for i in (-1, 1)],
    ]  # fmt: skip


def _sink(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    rim = h - 0.12
    return [
        block((0, -d * 0.12, 0), (0.26, 0.22, 0.06), kit.main, solid="cylinder"),
        block((0, -d * 0.12, 0.05), (0.17, 0.16, rim - 0.2), tone(kit.main, 0.92),
              solid="cylinder"),
        block((0, 0, rim - 0.2), (w, d, 0.2), kit.main, solid="tub"),
        block((0, -d / 2 + 0.045, rim - 0.13), (w * 0.94, 0.09, 0.14), kit.main),
        block((0, 0.02, rim - 0.15), (0.05, 0.05, 0.012), STEEL, solid="disc"),
        *_tap(0, -d / 2 + 0.05, rim, 0.12, 0.15),
    ]  # fmt: skip


def _toilet(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    back, seat = -d / 2, 0.42
    lid = h - seat - 0.02  # raised, it leans on the tank
    long = d - 0.2
    middle = back + 0.2 + long / 2
    return [
        block((0, middle - 0.04, 0), (w * 0.55, long * 0.7, 0.24), kit.main, solid="taper"),
        block((0, middle, 0.14), (w * 0.96, long, seat - 0.14), kit.main, solid="bowl"),
        block((0, middle, seat - 0.012), (w, long, 0.035), tone(kit.main, 1.3), solid="seat"),
        block((0, middle, seat - 0.16), (w * 0.6, long * 0.6, 0.02), _WATER, solid="disc"),
        block((0, back + 0.1, 0.3), (w * 0.5, 0.2, 0.14), kit.main),
        block((0, back + 0.09, 0.4), (w, 0.18, h - 0.43), kit.main),
        block((0, back + 0.1, h - 0.04), (w, 0.2, 0.03), tone(kit.main, 0.86)),
        block((0, back + 0.09, h - 0.012), (0.08, 0.05, 0.012), STEEL, solid="disc"),
        Part("disc", (0, back + 0.215, seat + lid / 2), (w * 0.94, lid, 0.025),
             tone(kit.main, 0.93), (QUARTER - 0.12, 0, 0)),
    ]  # fmt: skip


def _bathtub(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    rim = h - 0.08
    x = -w / 2 + 0.06
    feet = [
        block((i * w * 0.34, j * d * 0.26, 0), (0.08, 0.08, 0.1), STEEL, solid="ball")
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    return [
        *feet,
        block((0, 0, 0.05), (w, d, rim - 0.05), kit.main, solid="tub"),
        block((0, 0, rim - 0.2), (w * 0.83, d * 0.72, 0.02), _WATER),
        block((x, 0, rim - 0.02), (0.05, 0.05, 0.1), STEEL, solid="cylinder"),
        beam((x, 0, rim + 0.055), (x + 0.2, 0, rim + 0.03), 0.04, STEEL),
        *[
            block((x, j * 0.1, rim - 0.02), (0.06, 0.06, 0.06), STEEL, solid="cylinder")
            for j in (-1, 1)
        ],
    ]


def _shower(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    pane, half = kit.main, h * 0.62
    post = (0.03, 0.03, h)
    posts = [
        block((i * (w / 2 - 0.015), j * (d / 2 - 0.015), 0), post, STEEL)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    rails = [
        block((0, j * (d / 2 - 0.015), h - 0.035), (w - 0.06, 0.03, 0.03), STEEL) for j in (-1, 1)
    ]
    rails += [
        block((i * (w / 2 - 0.015), 0, h - 0.035), (0.03, d - 0.06, 0.03), STEEL) for i in (-1, 1)
    ]
    folds = [
        block((w / 2 - 0.06 - k * 0.065, d / 2 - 0.035 - 0.02 * (k % 2), 0.12),
              (0.066, 0.03, h - 0.16), tone(kit.as_material("fabric"), 1.0 + 0.14 * (k % 2)))
        for k in range(6)
    ]  # fmt: skip
    return [
        block((0, 0, 0), (w, d, 0.12), Finish("ceramic", (236, 236, 232)), solid="tray"),
        block((0, -d / 2 + 0.015, 0.12), (w - 0.06, 0.02, h - 0.16), tone(pane, 0.92)),
        block((-w / 2 + 0.015, 0, 0.12), (0.02, d - 0.06, half), pane),
        *posts,
        *rails,
        *folds,
        block((0.05, -d / 2 + 0.05, 0.9), (0.03, 0.03, h - 1.0), STEEL, solid="rod"),
        beam((0.05, -d / 2 + 0.05, h - 0.12), (0.05, -d / 2 + 0.3, h - 0.14), 0.03, STEEL),
        block((0.05, -d / 2 + 0.3, h - 0.2), (0.2, 0.2, 0.05), STEEL, solid="cone"),
        facing((0.05, -d / 2 + 0.05, 1.0), (0.12, 0.12), 0.05, STEEL),
    ]


def _towel_rack(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    parts = []
    for i in (-1, 1):
        x = i * (w / 2 - 0.02)
        parts.append(block((x, 0, 0), (0.04, d, 0.03), STEEL))
        parts.append(block((x, -0.05, 0.03), (0.03, 0.03, h - 0.03), STEEL))
        parts.append(block((x, 0.05, 0.03), (0.03, 0.03, h * 0.72), STEEL))
    for y, z in ((-0.05, h - 0.03), (0.05, h * 0.72)):
        parts.append(beam((-w / 2 + 0.02, y, z), (w / 2 - 0.02, y, z), 0.028, STEEL))
    towel, band = kit.main, tone(kit.main, 1.5)
    wide = w - 0.12
    for y, z, low in ((-0.05, h - 0.045, 0.4), (0.05, h * 0.72 - 0.015, 0.12)):
        across = wide if y < 0 else wide * 0.8
        look = tone(towel, 0.82) if y < 0 else towel
        parts += [
            block((0, y + 0.018, low), (across, 0.016, z - low), look),
            block((0, y - 0.018, low + 0.1), (across, 0.016, z - low - 0.1), look),
            block((0, y, z - 0.005), (across, 0.05, 0.045), look),
            block((0, y + 0.027, low + 0.06), (across, 0.006, 0.05), band),
        ]
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "sink": _sink,
    "toilet": _toilet,
    "bathtub": _bathtub,
    "shower": _shower,
    "towel rack": _towel_rack,
}
