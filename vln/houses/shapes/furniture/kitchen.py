"""What one cooks and washes clothes with."""

from __future__ import annotations

from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    DARK,
    STEEL,
    WHITE,
    Builder,
    Kit,
    beam,
    block,
    facing,
    fronts,
    tone,
)
from vln.houses.shapes.solids import Part

_WORKTOP: Final = Finish("stone", (196, 190, 180))
_WINDOW: Final = Finish("glass", (40, 44, 52))


def _counter(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, columns = d / 2 - 0.05, 4 if kit.wide > 1.9 else 3
    body = d - 0.05
    edge = w / 2 - 0.005
    return [
        block((0, front - body / 2 - 0.025, 0), (w - 0.04, body - 0.05, 0.1), DARK),
        block((0, front - body / 2, 0.1), (w, body, h - 0.14), tone(kit.main, 0.75)),
        block((0, 0, h - 0.04), (w, d, 0.04), _WORKTOP),
        *fronts((-edge, h - 0.22, edge, h - 0.045), front, columns=columns, rows=1,
                look=kit.main, grip=STEEL, bars="across"),
        *fronts((-edge, 0.1, edge, h - 0.22), front, columns=columns, rows=1,
                look=kit.main, grip=STEEL, bars="upright"),
    ]  # fmt: skip


def _stove(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front = d / 2 - 0.05
    plate = Finish("metal", (112, 114, 118))
    parts = [
        block((0, -0.025, 0), (w, d - 0.05, h - 0.03), kit.main),
        block((0, -0.025, h - 0.03), (w, d - 0.05, 0.012), Finish("glass", (36, 37, 41))),
        block((0, front + 0.005, 0.22), (w - 0.04, 0.03, h - 0.4), kit.main),
        block((0, front + 0.022, 0.3), (w - 0.2, 0.005, h - 0.58), _WINDOW),
        block((0, front + 0.035, h - 0.23), (w - 0.1, 0.025, 0.025), STEEL),
        block((0, front + 0.005, 0.04), (w - 0.04, 0.03, 0.15), tone(kit.main, 0.9)),
        block((0, front, h - 0.155), (w, 0.012, 0.012), kit.mark),
    ]
    for i in (-1, 1):
        for j, wide in ((-1, 0.16), (1, 0.2)):
            x, y = i * w * 0.24, -0.025 + j * i * d * 0.21
            parts.append(block((x, y, h - 0.02), (wide, wide, 0.012), plate, solid="disc"))
            size = (wide * 0.95, wide * 0.95, 0.016)
            hot = Finish("metal", (176, 72, 44))
            parts.append(block((x, y, h - 0.016), size, hot, solid="ring"))
    for k in range(5):
        at = ((k - 2) * w * 0.17, front + 0.02, h - 0.085)
        parts.append(facing(at, (0.05, 0.05), 0.04, kit.mark, solid="cylinder"))
    return parts


def _refrigerator(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, split = d / 2 - 0.1, h * 0.66
    parts = [
        block((0, -0.05, 0.05), (w, d - 0.1, h - 0.05), tone(kit.main, 0.82)),
        block((0, -0.07, 0), (w - 0.06, d - 0.14, 0.05), DARK),
        block((0, front + 0.025, 0.06), (w - 0.01, 0.05, split - 0.07), kit.main),
        block((0, front + 0.025, split + 0.01), (w - 0.01, 0.05, h - split - 0.015), kit.main),
        block((w * 0.2, front + 0.052, h - 0.16), (0.14, 0.006, 0.035), kit.mark),
    ]
    for z, high in ((split - 0.55, 0.5), (split + 0.05, 0.3)):
        x = -w / 2 + 0.07
        parts.append(block((x, front + 0.085, z), (0.03, 0.028, high), kit.mark))
        parts += [
            block((x, front + 0.065, z + up), (0.03, 0.03, 0.03), kit.mark)
            for up in (0.02, high - 0.05)
        ]
    return parts


def _microwave(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front = d / 2 - 0.04
    x = -w * 0.36  # at the right hand of who stands in front
    parts = [
        *[block((i * w * 0.4, 0, 0), (0.05, d * 0.6, 0.015), DARK) for i in (-1, 1)],
        block((0, -0.02, 0.012), (w, d - 0.04, h - 0.012), kit.main),
        block((w * 0.13, front + 0.006, 0.05), (w * 0.66, 0.012, h - 0.085), tone(kit.main, 0.85)),
        block((w * 0.15, front + 0.012, 0.085), (w * 0.5, 0.008, h - 0.155), _WINDOW),
        block((-w * 0.17, front + 0.025, 0.06), (0.022, 0.024, h - 0.11), kit.mark),
        block((x, front + 0.005, h - 0.085), (w * 0.18, 0.008, 0.045),
              Finish("screen", (64, 190, 120))),
    ]  # fmt: skip
    for row in range(3):
        for column in (-1, 1):
            at = (x + column * 0.025, front + 0.005, 0.05 + row * 0.04)
            parts.append(block(at, (0.034, 0.01, 0.026), kit.mark))
    return parts


def _kettle(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    body, wide = h * 0.72, w * 0.74
    x = -0.02
    lean = x + wide * 0.3
    return [
        block((x, 0, 0), (wide * 0.95, wide * 0.95, 0.02), DARK, solid="disc"),
        block((x, 0, 0.015), (wide, wide, body - 0.015), kit.main, solid="bell"),
        block((x, 0, body - 0.012), (0.05, 0.05, 0.035), DARK, solid="ball"),
        Part("ring", (x, 0, body - 0.02), (wide * 0.95, (h - body) * 2 + 0.03, 0.025), DARK,
             (1.5708, 0, 0)),
        beam((lean, 0, body * 0.4), (w / 2 - 0.02, 0, body * 0.85), 0.045, kit.main),
        beam((lean, 0, body * 0.28), (lean + 0.03, 0, body * 0.48), 0.06, kit.main),
    ]  # fmt: skip


def _washing_machine(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front, door = d / 2 - 0.06, min(0.42, kit.wide * 0.68)
    z = h * 0.43
    return [
        block((0, -0.03, 0.02), (w, d - 0.06, h - 0.02), kit.main),
        block((0, -0.03, 0), (w - 0.06, d - 0.12, 0.02), DARK),
        block((0, front + 0.004, h - 0.16), (w - 0.01, 0.01, 0.01), kit.mark),
        facing((0, front + 0.015, z), (door, door), 0.03, kit.mark),
        facing((0, front + 0.025, z), (door * 0.96, door * 0.96), 0.05, STEEL, solid="ring"),
        facing((0, front + 0.022, z), (door * 0.76, door * 0.76), 0.03, _WINDOW),
        facing((-0.02, front + 0.03, z + 0.02), (door * 0.4, door * 0.3), 0.02,
               Finish("glass", (120, 150, 178))),
        block((door * 0.5, front + 0.035, z - 0.04), (0.04, 0.04, 0.08), STEEL),
        block((-w * 0.3, front + 0.006, h - 0.13), (w * 0.26, 0.014, 0.09), WHITE),
        facing((w * 0.08, front + 0.015, h - 0.08), (0.09, 0.09), 0.03, kit.mark),
        block((w * 0.33, front + 0.005, h - 0.11), (w * 0.2, 0.012, 0.055),
              Finish("screen", (60, 160, 200))),
    ]  # fmt: skip


def _ironing_board(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    top = h - 0.13
    parts = [
        block((0, 0, top - 0.05), (w, d, 0.05), kit.main, solid="board"),
        block((0, 0, top - 0.075), (w - 0.1, d - 0.1, 0.03), STEEL, solid="board"),
    ]
    for y in (-d / 2 + 0.08, d / 2 - 0.08):
        for end in (-1, 1):
            foot, under = (end * w * 0.36, y, 0.03), (-end * w * 0.3, y, top - 0.07)
            parts.append(beam(foot, under, 0.035, STEEL))
    for end in (-1, 1):
        parts.append(block((end * w * 0.36, 0, 0.005), (0.04, d - 0.02, 0.04), DARK))
    x = -w * 0.27
    iron = (0.26, 0.12, 0.05)
    return [
        *parts,
        block((x, 0, top), iron, tone(kit.as_material("plastic"), 0.6), solid="board"),
        block((x - 0.03, 0, top + 0.08), (0.17, 0.04, 0.035), DARK),
        block((x - 0.1, 0, top + 0.04), (0.03, 0.04, 0.05), DARK),
        block((x + 0.04, 0, top + 0.04), (0.03, 0.04, 0.05), DARK),
    ]


BUILDERS: Final[dict[str, Builder]] = {
    "counter": _counter,
    "stove": _stove,
    "refrigerator": _refrigerator,
    "microwave": _microwave,
    "kettle": _kettle,
    "washing machine": _washing_machine,
    "ironing board": _ironing_board,
}
