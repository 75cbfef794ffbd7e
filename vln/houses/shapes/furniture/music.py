"""Instruments."""

from __future__ import annotations

import math
from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    CANVAS,
    DARK,
    DARK_WOOD,
    IRON,
    STEEL,
    WHITE,
    WOOD,
    Builder,
    Kit,
    beam,
    block,
    facing,
    tone,
)
from vln.houses.shapes.solids import Part

_HEAD: Final = Finish("plastic", (240, 236, 222))


def _piano(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, keys = d / 2, 0.7
    body = d - 0.3
    back = -d / 2 + body / 2
    parts = [
        block((0, back, 0.0), (w, body, h - 0.03), kit.main),
        block((0, -0.135, h - 0.03), (w, d - 0.27, 0.03), tone(kit.main, 0.8)),
        block((0, front - 0.15, keys - 0.1), (w, 0.3, 0.08), kit.main),
        block((0, front - 0.13, keys - 0.02), (w - 0.2, 0.2, 0.03), WHITE),
        block((0, back + body / 2 + 0.005, 0.12), (w - 0.3, 0.01, 0.42), tone(kit.main, 0.82)),
        block((0, back + body / 2 + 0.02, keys + 0.08), (w * 0.5, 0.03, 0.02), tone(kit.main, 0.8)),
        block((0, back + body / 2 + 0.012, keys + 0.1), (0.42, 0.012, 0.28), CANVAS),
        block((0, back + body / 2 + 0.019, keys + 0.1), (0.006, 0.004, 0.28), DARK),
    ]
    for i in (-1, 1):
        parts.append(block((i * (w / 2 - 0.05), front - 0.15, keys - 0.02), (0.1, 0.3, 0.06),
                           kit.main))  # fmt: skip
        parts.append(block((i * (w / 2 - 0.06), front - 0.05, 0), (0.08, 0.08, keys - 0.1),
                           kit.main))  # fmt: skip
        parts.append(block((i * 0.07, front - 0.22, 0.04), (0.04, 0.14, 0.02), BRASS))
    pitch = (w - 0.22) / 36
    for octave in range(5):
        for step in (1, 2, 4, 5, 6):
            x = -w / 2 + 0.11 + pitch * (octave * 7 + step)
            size = (pitch * 0.6, 0.12, 0.02)
            parts.append(block((x, front - 0.17, keys + 0.008), size, DARK))
    return parts


def _guitar(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    body, thick, y = h * 0.46, 0.1, 0.0
    low, base = w * 0.98, 0.06
    high = w * 0.74
    pale = tone(kit.main, 0.72)
    z0, z1 = base + low * 0.46, base + body - high * 0.42
    face = y + thick / 2
    top = base + body
    parts = [
        Part("disc", (0, y, z0), (low, low * 0.92, thick), kit.main, (math.pi / 2, 0, 0)),
        Part("disc", (0, y, z1), (high, high * 0.84, thick), kit.main, (math.pi / 2, 0, 0)),
        block((0, y, z0), (w * 0.6, thick - 0.004, z1 - z0), kit.main),
        facing((0, face, z0 + 0.12), (0.12, 0.12), 0.012, DARK),
        facing((0, face, z0 + 0.12), (0.15, 0.15), 0.016, CANVAS, solid="ring"),
        block((0, face + 0.006, z0 - 0.03), (0.18, 0.014, 0.03), DARK_WOOD),
        block((0, face + 0.002, z0 + 0.17), (0.06, 0.03, h - 0.16 - z0 - 0.17), DARK_WOOD),
        block((0, face - 0.005, h - 0.17), (0.09, 0.03, 0.17), pale),
        block((0, face + 0.02, z0 - 0.02), (0.03, 0.004, h - 0.2 - z0), STEEL),
    ]
    for i in (-1, 1):
        parts += [
            block((i * 0.06, face - 0.005, h - 0.14 + k * 0.045), (0.03, 0.02, 0.02), STEEL)
            for k in range(3)
        ]
        parts.append(beam((i * 0.1, 0.05, 0.1), (i * 0.14, d / 2 - 0.02, 0.015), 0.025, IRON))
        parts.append(beam((i * 0.1, 0.0, 0.1), (i * 0.1, face + 0.03, 0.1), 0.025, IRON))
    parts.append(beam((0, -0.06, top - 0.1), (0, -d / 2 + 0.02, 0.015), 0.025, IRON))
    parts.append(beam((0, -0.06, 0.1), (0, -d / 2 + 0.02, 0.015), 0.025, IRON))
    return parts


def _drum(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    low, top = 0.14, h - 0.02
    body = w * 0.88
    parts = [
        block((0, 0, low), (body, body, top - low), kit.main, solid="disc"),
        block((0, 0, top - 0.01), (body * 0.97, body * 0.97, 0.022), _HEAD, solid="disc"),
        block((0, 0, top - 0.05), (w * 0.93, w * 0.93, 0.06), STEEL, solid="ring"),
        block((0, 0, low - 0.02), (w * 0.93, w * 0.93, 0.06), STEEL, solid="ring"),
    ]
    for k in range(8):
        x, y = math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)
        at = (x * body * 0.505, y * body * 0.505, low + 0.03)
        parts.append(block(at, (0.022, 0.022, top - low - 0.06), STEEL, solid="rod"))
    for k in range(3):
        x, y = math.cos(k * 2.0944 + 0.3), math.sin(k * 2.0944 + 0.3)
        start, end = (x * w * 0.44, y * w * 0.44, h * 0.5), (x * w * 0.47, y * w * 0.47, 0.015)
        parts.append(beam(start, end, 0.03, IRON))
    for y in (-0.05, 0.06):
        parts.append(beam((-w * 0.3, y, h - 0.008), (w * 0.3, y * 2.5, h - 0.008), 0.014, WOOD))
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "piano": _piano,
    "guitar": _guitar,
    "drum": _drum,
}
