"""Lamps, plants, vases and rugs."""

from __future__ import annotations

import math
from typing import Final

from vln.houses.building.scene import CEILING, STOREY, Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    CANVAS,
    GREENS,
    IRON,
    SOIL,
    Builder,
    Kit,
    beam,
    block,
    tone,
)
from vln.houses.shapes.solids import Part

_BULB: Final = Finish("glow", (255, 240, 205))
_GOLDEN = 2.399963
"""Radians between leaves around a stem, the golden angle."""


def _plant(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    pot, wide = max(0.3, h * 0.34), w * 0.78
    draw = kit.draw()
    count = 26
    rises = draw.random(count).tolist()
    parts = [
        block((0, 0, 0), (wide, wide, pot), kit.as_material("ceramic"), solid="pot"),
        block((0, 0, pot * 0.86), (wide * 0.8, wide * 0.8, pot * 0.06), SOIL, solid="disc"),
    ]
    for k, rise in enumerate(rises):
        around = k * _GOLDEN
        start = pot * 0.9 + (h - pot) * 0.45 * rise
        out = w * (0.3 + 0.17 * (1 - k / count))
        up = min(h - 0.07, start + (h - pot) * (0.15 + 0.5 * k / count))
        tip = (out * math.cos(around), out * math.sin(around), up)
        root = (0.03 * math.cos(around), 0.03 * math.sin(around), start)
        look = GREENS[k % len(GREENS)]
        parts.append(beam(root, tip, 0.13, look, solid="leaf", flat=0.14))
    parts.append(block((0, 0, pot * 0.9), (0.03, 0.03, (h - pot) * 0.75), GREENS[0], solid="rod"))
    for k in range(9):
        around, out = k * _GOLDEN + 0.7, w * (0.18 + 0.02 * k)
        z = h - 0.07 - (h - pot) * 0.075 * k
        at = (out * math.cos(around), out * math.sin(around), z)
        parts.append(Part("bud", at, (0.11, 0.11, 0.1), kit.main))
        parts.append(
            Part("bud", (at[0], at[1], z + 0.035), (0.045,) * 3, Finish("leaf", (240, 206, 90)))
        )
    return parts


def _vase(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    body = h * 0.74
    parts = [block((0, 0, 0), (w, w, body), kit.main, solid="vase")]
    for z in (0.3, 0.5):
        wide = w * (0.97 if z < 0.4 else 1.0)
        parts.append(
            block((0, 0, body * z), (wide, wide, 0.016), tone(kit.main, 1.45), solid="hoop")
        )
    for k in range(5):
        around = k * _GOLDEN
        out = w * 0.36
        top = (out * math.cos(around), out * math.sin(around), h - 0.04 - 0.015 * (k % 3))
        parts.append(beam((0, 0, body * 0.9), top, 0.012, GREENS[k % 3]))
        parts.append(Part("bud", top, (0.06, 0.06, 0.05), tone(kit.as_material("leaf"), 1.35)))
    return parts


def _floor_lamp(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    shade, cloth = h * 0.24, Finish("glow", kit.main.colour)
    trim = tone(kit.main, 0.7)
    return [
        block((0, 0, 0), (w * 0.7, w * 0.7, 0.04), trim, solid="disc"),
        block((0, 0, 0.04), (0.12, 0.12, 0.06), trim, solid="cone"),
        block((0, 0, 0.04), (0.035, 0.035, h - 0.1), IRON, solid="rod"),
        block((0, 0, h - shade), (w, w, shade), cloth, solid="shade"),
        block((0, 0, h - shade), (w, w, 0.025), trim, solid="hoop"),
        block((0, 0, h - shade + 0.03), (0.12, 0.12, 0.12), _BULB, solid="ball"),
    ]


def _lamp(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    shade, foot = h * 0.46, tone(kit.as_material("ceramic"), 0.9)
    return [
        block((0, 0, 0), (w * 0.5, w * 0.5, 0.025), BRASS, solid="disc"),
        block((0, 0, 0.02), (w * 0.55, w * 0.55, h * 0.4), foot, solid="vase"),
        block((0, 0, h * 0.38), (0.025, 0.025, h * 0.3), BRASS, solid="rod"),
        block((0, 0, h - shade), (w, w, shade), Finish("glow", kit.main.colour), solid="shade"),
        block((0, 0, h - shade), (w, w, 0.018), tone(kit.main, 0.7), solid="hoop"),
        block((0, 0, h - 0.02), (0.03, 0.03, 0.02), BRASS, solid="ball"),
    ]


def _pendant_lamp(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    base = kit.item.position[2]
    free = CEILING - base % STOREY
    return [
        block((0, 0, 0.03), (w, w, h - 0.06), kit.main, solid="hood"),
        block((0, 0, 0.03), (w, w, 0.03), tone(kit.main, 0.75), solid="hoop"),
        block((0, 0, 0), (0.16, 0.16, 0.16), _BULB, solid="sphere"),
        block((0, 0, h - 0.07), (0.08, 0.08, 0.07), IRON, solid="cylinder"),
        block((0, 0, h - 0.01), (0.018, 0.018, max(0.01, free - h + 0.01)), IRON, solid="rod"),
    ]


def _rug(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    pale, dark = tone(kit.main, 1.45), tone(kit.main, 0.7)
    edge, band = 0.16, 0.08
    parts = [
        block((0, 0, 0), (w - 0.06, d, h * 0.6), kit.main),
        block((0, 0, 0), (w * 0.3, w * 0.3 * d / w, h * 0.95), pale, solid="disc"),
        block((0, 0, 0), (w * 0.17, w * 0.17 * d / w, h), kit.main, solid="diamond"),
    ]
    for i in (-1, 1):
        x, y = i * (w / 2 - 0.03 - edge), i * (d / 2 - edge)
        parts += [
            block((x, 0, 0), (band, d - 2 * edge + band, h * 0.9), pale),
            block((0, y, 0), (w - 2 * edge - 0.06 - band, band, h * 0.9), pale),
            block((x * 0.62, 0, 0), (0.06, d * 0.4, h * 0.9), dark),
            block((i * (w / 2 - 0.015), 0, 0), (0.03, d - 0.04, h * 0.4), CANVAS),
        ]
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "plant": _plant,
    "vase": _vase,
    "floor lamp": _floor_lamp,
    "lamp": _lamp,
    "pendant lamp": _pendant_lamp,
    "rug": _rug,
}
