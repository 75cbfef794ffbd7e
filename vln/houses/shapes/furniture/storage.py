"""What keeps things: bookcases, wardrobes, chests, baskets."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    LINEN,
    LYING,
    Builder,
    Kit,
    beam,
    block,
    fronts,
    legs,
    tone,
)
from vln.houses.shapes.solids import Part

_SPINES: Final = tuple(
    Finish("paper", rgb)
    for rgb in (
        (150, 52, 44), (44, 78, 120), (52, 96, 66), (214, 190, 136), (94, 62, 44), (188, 134, 60),
        (110, 74, 112), (226, 220, 204), (62, 66, 74), (74, 132, 138),
    )
)  # fmt: skip
_BOARD = 0.03


def _bookcase(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    dark, count = tone(kit.main, 0.8), 5
    rise = (h - 0.08 - _BOARD) / count
    draw = kit.draw()
    parts = [
        block((0, -d / 2 + 0.01, 0), (w, 0.02, h), dark),
        *[block((i * (w / 2 - 0.02), 0, 0), (0.04, d, h), kit.main) for i in (-1, 1)],
        block((0, 0, h - 0.045), (w, d, 0.045), kit.main),
        block((0, 0, 0), (w - 0.02, d - 0.02, 0.08), kit.main),
    ]
    for shelf in range(count):
        z = 0.08 + shelf * rise
        parts.append(block((0, 0, z), (w - 0.06, d - 0.01, _BOARD), kit.main))
        parts += _books(kit, draw, z + _BOARD, rise - _BOARD)
    return parts


def _books(kit: Kit, draw: np.random.Generator, z: float, space: float) -> list[Part]:
    """Gives a row of books that leaves part of the shelf free, on its left or its right."""
    inside = kit.wide - 0.1
    count = int(draw.integers(6, 10))
    widths = 0.035 + 0.045 * draw.random(count)
    heights = space * (0.62 + 0.28 * draw.random(count))
    looks = draw.integers(len(_SPINES), size=count)
    slack = inside - float(widths.sum())
    x = -inside / 2 + (slack if draw.random() < 0.4 else 0.0)
    parts = []
    for wide, high, look in zip(widths.tolist(), heights.tolist(), looks.tolist(), strict=True):
        size = (wide - 0.003, kit.deep * 0.62, high)
        parts.append(block((x + wide / 2, 0.02, z), size, _SPINES[look]))
        x += wide
    return parts


def _wardrobe(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, dark = d / 2 - 0.05, tone(kit.main, 0.75)
    body = (w - 0.04, d - 0.07, h - 0.14)
    doors = (-w / 2 + 0.03, 0.38, w / 2 - 0.03, h - 0.09)
    drawers = (-w / 2 + 0.03, 0.1, w / 2 - 0.03, 0.37)
    inset = tone(kit.main, 1.15)
    panels = [
        block((i * w * 0.235, front + 0.014, z), (w * 0.32, 0.008, high), inset)
        for i in (-1, 1)
        for z, high in ((0.5, (h - 0.7) * 0.42), (0.56 + (h - 0.7) * 0.46, (h - 0.7) * 0.46))
    ]
    return [
        *legs(kit, 0.08, 0.1, dark, inset=0.02),
        block((0, front - body[1] / 2, 0.08), body, dark),
        block((0, 0, h - 0.07), (w, d, 0.07), kit.main),
        *fronts(doors, front, columns=2, rows=1, look=kit.main, grip=BRASS, bars="upright"),
        *fronts(drawers, front, columns=2, rows=1, look=kit.main, grip=BRASS),
        *panels,
    ]


def _dresser(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front = d / 2 - 0.045
    body = (w - 0.03, d - 0.055, h - 0.15)
    area = (-w / 2 + 0.03, 0.14, w / 2 - 0.03, h - 0.04)
    return [
        *legs(kit, 0.06, 0.13, tone(kit.main, 0.7), inset=0.02, solid="taper"),
        block((0, front - body[1] / 2, 0.12), body, tone(kit.main, 0.7)),
        block((0, 0, h - 0.035), (w, d, 0.035), kit.main),
        *fronts(area, front, columns=2, rows=3, look=kit.main, grip=BRASS),
    ]


def _cabinet(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, low = d / 2 - 0.045, 0.2
    body = (w - 0.02, d - 0.055, h - low - 0.02)
    drawers = (-w / 2 + 0.02, h - 0.24, w / 2 - 0.02, h - 0.04)
    doors = (-w / 2 + 0.02, low + 0.02, w / 2 - 0.02, h - 0.25)
    slats = [
        block((i * w * 0.235, front + 0.014, low + 0.1 + k * (h - low - 0.48) / 5),
              (w * 0.34, 0.008, (h - low - 0.48) / 8), tone(kit.main, 1.18))
        for i in (-1, 1)
        for k in range(5)
    ]  # fmt: skip
    return [
        *legs(kit, 0.05, low, tone(kit.main, 0.6), inset=0.02),
        block((0, front - body[1] / 2, low), body, tone(kit.main, 0.75)),
        block((0, 0, h - 0.03), (w, d, 0.03), kit.main),
        *fronts(drawers, front, columns=2, rows=1, look=kit.main, grip=BRASS),
        *fronts(doors, front, columns=2, rows=1, look=kit.main, grip=BRASS, bars="upright"),
        *slats,
    ]


def _shelf(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    count = 4
    rise = (h - 0.15) / (count - 1)
    parts = legs(kit, 0.04, h, tone(kit.main, 0.75))
    draw = kit.draw()
    for shelf in range(count):
        z = 0.1 + shelf * rise
        parts.append(block((0, 0, z), (w - 0.01, d - 0.01, 0.05), kit.main))
        if shelf < count - 1:
            parts += _stored(kit, z + 0.05, rise, draw)
    return parts


def _stored(kit: Kit, z: float, rise: float, draw: np.random.Generator) -> list[Part]:
    """Gives a crate in the shelf's colour and two jars."""
    w, d = kit.wide, kit.deep
    side = 1 if draw.random() < 0.5 else -1
    crate = (w * 0.38, d * 0.8, rise * 0.5)
    jars = [
        block((-side * w * x, 0, z), (0.12, 0.12, rise * high), look, solid="cylinder")
        for x, high, look in ((0.14, 0.4, LINEN), (0.3, 0.55, Finish("ceramic", (176, 170, 158))))
    ]
    return [
        block((side * w * 0.24, 0, z), crate, tone(kit.as_material("wicker"), 1.3), solid="tray"),
        *jars,
    ]


def _trunk(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    lid, dark = h * 0.36, tone(kit.main, 0.7)
    low = h - lid
    depth = d - 0.03
    parts = [
        block((0, 0, 0), (w - 0.02, depth - 0.02, low), kit.main),
        Part("disc", (0, 0, low), (2 * lid - 0.02, depth - 0.02, w - 0.02), kit.main, LYING),
        block((0, 0, low - 0.03), (w, depth, 0.04), dark),
    ]
    for x in (-w * 0.42, -w * 0.2, w * 0.2, w * 0.42):
        parts.append(block((x, 0, 0), (0.05, depth, low), dark))
        parts.append(Part("disc", (x, 0, low), (2 * lid, depth, 0.05), dark, LYING))
    parts.append(block((0, d / 2 - 0.015, low - 0.09), (0.09, 0.03, 0.13), BRASS))
    return parts


def _basket(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    body = h * 0.88
    parts = [
        block((0, 0, 0), (w * 0.96, w * 0.96, body), kit.main, solid="barrel"),
        block((0, 0, body * 0.72), (w * 0.62, w * 0.62, h - body * 0.72), LINEN, solid="dome"),
        block((0, 0, body - 0.05), (w, w, 0.06), tone(kit.main, 0.75), solid="ring"),
    ]
    for k in range(1, 5):
        wide = w * (0.79 + 0.2 * k / 5)
        at = (0, 0, body * k / 5 - 0.02)
        parts.append(block(at, (wide, wide, 0.035), tone(kit.main, 0.82), solid="hoop"))
    for side in (-1, 1):
        size = (0.16, h - body + 0.02, 0.03)
        parts.append(
            Part("ring", (side * (w / 2 - 0.015), 0.0, (body + h) / 2 - 0.02), size, kit.main,
                 (math.pi / 2, 0, math.pi / 2))
        )  # fmt: skip
    return parts


def _coat_rack(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    reach = w / 2 - 0.035
    parts = [
        block((0, 0, 0.08), (0.06, 0.06, h - 0.14), kit.main, solid="cylinder"),
        block((0, 0, h - 0.1), (0.1, 0.1, 0.1), kit.main, solid="ball"),
    ]
    for k in range(4):
        x, y = math.cos(k * math.pi / 2 + 0.785), math.sin(k * math.pi / 2 + 0.785)
        foot, tip = (x * reach, y * reach, 0.03), (x * reach, y * reach, h - 0.09)
        parts.append(beam((0, 0, 0.25), foot, 0.05, kit.main))
        parts.append(beam((0, 0, h - 0.26), tip, 0.035, kit.main))
        parts.append(block((tip[0], tip[1], tip[2] - 0.02), (0.06, 0.06, 0.06), kit.main,
                           solid="ball"))  # fmt: skip
    cloth = kit.as_material("fabric")
    coat = tone(cloth, 0.85)
    x = reach * 0.55
    return [
        *parts,
        block((x, 0.06, h - 0.95), (0.24, 0.16, 0.72), coat, solid="coat"),
        block((-x, -0.04, h - 0.75), (0.13, 0.1, 0.55), tone(cloth, 1.25), solid="pad"),
    ]


BUILDERS: Final[dict[str, Builder]] = {
    "bookcase": _bookcase,
    "wardrobe": _wardrobe,
    "dresser": _dresser,
    "cabinet": _cabinet,
    "shelf": _shelf,
    "trunk": _trunk,
    "basket": _basket,
    "coat rack": _coat_rack,
}
