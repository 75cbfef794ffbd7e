"""Toys, sport and pastimes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    CANVAS,
    DARK,
    DARK_WOOD,
    WOOD,
    Builder,
    Kit,
    beam,
    block,
    tone,
)
from vln.houses.shapes.solids import Part


def _treadmill(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    mast = d / 2 - 0.3
    belt = Finish("plastic", (44, 45, 48) if not kit.is_dark else (84, 86, 90))
    parts = [
        block((0, 0, 0.02), (w * 0.96, d, 0.12), tone(kit.main, 0.8)),
        block((0, -0.12, 0.14), (w * 0.66, d - 0.34, 0.02), belt),
        block((0, d / 2 - 0.2, 0.1), (w, 0.4, 0.16), kit.main, solid="pad"),
        *[block((i * w * 0.41, -0.1, 0.12), (w * 0.13, d - 0.3, 0.06), kit.main) for i in (-1, 1)],
    ]
    for i in (-1, 1):
        x = i * (w / 2 - 0.04)
        parts.append(beam((x, mast + 0.1, 0.15), (x, mast, h - 0.12), 0.07, kit.main, solid="box"))
        parts.append(beam((x, mast + 0.02, h - 0.26), (x, mast - 0.5, h - 0.34), 0.05, DARK))
        parts.append(beam((x, mast - 0.5, h - 0.34), (x, mast + 0.04, 0.5), 0.04, kit.main))
    console = (w * 0.96, 0.07, 0.26)
    return [
        *parts,
        Part("box", (0, mast, h - 0.15), console, kit.main, (0.3, 0, 0)),
        Part("box", (0, mast - 0.035, h - 0.145), (w * 0.5, 0.02, 0.15),
             Finish("screen", (58, 146, 186)), (0.3, 0, 0)),
        *[
            Part("box", (i * w * 0.36, mast - 0.035, h - 0.145), (0.08, 0.02, 0.1), kit.mark,
                 (0.3, 0, 0))
            for i in (-1, 1)
        ],
    ]  # fmt: skip


def _exercise_ball(kit: Kit) -> list[Part]:
    wide = min(kit.wide, kit.deep, kit.high)
    parts = [block((0, 0, 0), (wide, wide, wide), kit.main, solid="globe")]
    for k in (-3, -2, -1, 1, 2, 3):
        z = k * 0.125 * wide
        across = 2.0 * math.sqrt(wide * wide / 4 - z * z) + 0.004
        at = (0, 0, wide / 2 + z - 0.01)
        parts.append(block(at, (across, across, 0.02), tone(kit.main, 0.7), solid="hoop"))
    return parts


def _rocking_horse(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    body, hair = h * 0.5, Finish("fabric", (238, 226, 190))
    if kit.is_pale:
        hair = Finish("fabric", (110, 70, 44))
    parts = []
    for i in (-1, 1):
        x = i * (w / 2 - 0.025)
        bend = [(-0.47, 0.14), (-0.28, 0.055), (0.0, 0.027), (0.28, 0.055), (0.47, 0.14)]
        for (y0, z0), (y1, z1) in pairwise(bend):
            parts.append(beam((x, y0 * d, z0), (x, y1 * d, z1), 0.045, WOOD))
        for y in (-0.24, 0.22):
            start, end = (i * w * 0.22, y * d * 0.85, body), (x - i * 0.012, y * d * 1.1, 0.07)
            parts.append(beam(start, end, 0.065, kit.main))
    for y in (-0.24, 0.24):
        parts.append(block((0, y * d, 0.05), (w - 0.05, 0.05, 0.03), WOOD))
    neck, head = (0, d * 0.22, body + 0.03), (0, d * 0.34, h - 0.15)
    parts += [
        Part("sphere", (0, -0.02, body + 0.02), (w * 0.62, d * 0.66, h * 0.26), kit.main),
        beam(neck, head, 0.15, kit.main, solid="cylinder"),
        Part("sphere", (0, d * 0.385, h - 0.18), (0.15, d * 0.23, 0.15), kit.main, (-0.5, 0, 0)),
        *[block((i * 0.045, d * 0.32, h - 0.1), (0.04, 0.05, 0.1), kit.main, solid="cone")
          for i in (-1, 1)],
        *[Part("ball", (i * 0.07, d * 0.38, h - 0.15), (0.03, 0.03, 0.03), DARK)
          for i in (-1, 1)],
        beam((0, d * 0.13, body + 0.1), (0, d * 0.27, h - 0.06), 0.08, hair, solid="pad"),
        beam((0, -d * 0.33, body + 0.07), (0, -d * 0.47, body - 0.16), 0.07, hair, solid="cone"),
        block((0, -0.03, body + h * 0.1), (w * 0.5, d * 0.26, 0.06), DARK_WOOD, solid="pad"),
        beam((-w / 2 + 0.02, d * 0.3, h - 0.26), (w / 2 - 0.02, d * 0.3, h - 0.26), 0.035, WOOD),
    ]  # fmt: skip
    return parts


def _teddy_bear(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    pale = tone(kit.main, 1.55 if not kit.is_dark else 1.3)
    if kit.is_pale:
        pale = tone(kit.main, 0.8)
    head, z = h * 0.42, h * 0.7
    parts = [
        block((0, -0.04, 0.02), (w * 0.62, d * 0.6, h * 0.58), kit.main, solid="sphere"),
        Part("ball", (0, d * 0.15, h * 0.28), (w * 0.4, d * 0.3, h * 0.34), pale),
        Part("globe", (0, -0.02, z), (w * 0.62, d * 0.62, head), kit.main),
        Part("ball", (0, d * 0.25, z - 0.03), (w * 0.26, d * 0.26, head * 0.42), pale),
        Part("ball", (0, d * 0.37, z), (0.06, 0.045, 0.045), DARK),
    ]
    for i in (-1, 1):
        parts += [
            Part("ball", (i * w * 0.24, -0.03, h * 0.89), (w * 0.22, 0.1, h * 0.2), kit.main),
            Part("bud", (i * w * 0.24, 0.02, h * 0.89), (w * 0.13, 0.04, h * 0.12), pale),
            Part("bud", (i * w * 0.12, d * 0.27, z + 0.05), (0.04, 0.035, 0.045), DARK),
            Part(
                "sphere",
                (i * w * 0.34, d * 0.06, h * 0.38),
                (w * 0.24, w * 0.24, h * 0.36),
                kit.main,
                (0.5, i * -0.5, 0),
            ),
            Part(
                "sphere", (i * w * 0.27, d * 0.24, h * 0.1), (w * 0.28, d * 0.46, h * 0.2), kit.main
            ),
            Part("ball", (i * w * 0.27, d * 0.45, h * 0.1), (w * 0.2, 0.05, h * 0.15), pale),
        ]
    return parts


def _easel(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    post, ledge = 0.06, h * 0.36
    foot, front = d / 2 - 0.04, 0.02
    parts = [
        beam((0, -0.02, h - 0.06), (0, -foot, 0.02), post, kit.main, solid="box"),
        block((0, 0.16, ledge), (w * 0.92, 0.1, 0.05), kit.main),
        beam((0, front, ledge), (0, -0.0, h - 0.02), post, kit.main, solid="box"),
        block((0, 0.12, h * 0.18), (w * 0.76, 0.05, 0.06), kit.main),
    ]
    for i in (-1, 1):
        end = (i * (w / 2 - 0.04), foot, 0.03)
        parts.append(beam((i * 0.05, 0.0, h - 0.05), end, post, kit.main, solid="box"))
    tilt, middle = (0.12, 0.0, 0.0), ledge + 0.05 + h * 0.22
    board = (w * 0.84, 0.025, h * 0.44)
    # White paint would not show on the canvas.
    paint = tone(kit.as_material("paper"), 0.7 if kit.is_pale else 1.1)
    return [
        *parts,
        Part("box", (0, 0.135, middle), board, CANVAS, tilt),
        *[
            Part("box", (x * w, 0.137 - dz * h * 0.12, middle + dz * h),
                 (wide * w, 0.031, high * h), look, tilt)
            for x, dz, wide, high, look in (
                (0.0, -0.13, 0.76, 0.13, paint),
                (0.2, 0.09, 0.22, 0.12, tone(paint, 0.75)),
                (-0.2, 0.03, 0.26, 0.08, tone(paint, 1.4)),
            )
        ],
    ]  # fmt: skip


def _globe(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    ball = w * 0.86
    z = h - w / 2
    land = Finish("plastic", (222, 204, 140))
    spots = (
        (0.5, 0.4, 0.5), (1.3, -0.1, 0.42), (2.6, 0.5, 0.6), (3.3, -0.3, 0.4), (4.4, 0.2, 0.5),
        (5.4, -0.5, 0.42), (5.6, 0.7, 0.4),
    )  # fmt: skip
    parts = [
        Part("globe", (0, 0, z), (ball, ball, ball), kit.main),
        Part("ring", (0, 0, z), (w, w, 0.03), BRASS, (0.2, math.pi / 2, 0.4)),
        block((0, 0, 0.06), (0.05, 0.05, z - ball / 2 - 0.05), DARK_WOOD, solid="cylinder"),
        block((0, 0, 0.12), (0.1, 0.1, 0.12), DARK_WOOD, solid="ball"),
    ]
    for around, up, wide in spots:
        flat = math.cos(up)
        reach = ball * 0.445
        at = (reach * flat * math.cos(around), reach * flat * math.sin(around),
              z + reach * math.sin(up))  # fmt: skip
        size = (ball * wide, ball * wide * 0.7, ball * 0.15)
        parts.append(Part("ball", at, size, land, (0.0, math.pi / 2 - up, around)))
    for k in range(3):
        x, y = math.cos(k * 2.0944), math.sin(k * 2.0944)
        end = (x * (w / 2 - 0.03), y * (w / 2 - 0.03), 0.025)
        parts.append(beam((0, 0, 0.18), end, 0.045, DARK_WOOD))
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "treadmill": _treadmill,
    "exercise ball": _exercise_ball,
    "rocking horse": _rocking_horse,
    "teddy bear": _teddy_bear,
    "easel": _easel,
    "globe": _globe,
}
