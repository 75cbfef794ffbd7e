"""What one looks at: screens, pictures, a fire, fish."""

from __future__ import annotations

import math
from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    CANVAS,
    DARK,
    DARK_WOOD,
    FACING,
    GREENS,
    IRON,
    SCREEN,
    WATER,
    Builder,
    Kit,
    beam,
    block,
    facing,
    tone,
)
from vln.houses.shapes.solids import Part

_MIRROR: Final = Finish("glass", (188, 208, 222))


def _border(kit: Kit, wide: float, thick: float, look: Finish) -> list[Part]:
    """Gives a frame around its upright rectangle, flush with its back."""
    w, h = kit.wide, kit.high
    y = -kit.deep / 2 + thick / 2
    return [
        *[block((0, y, z), (w, thick, wide), look) for z in (0.0, h - wide)],
        *[block((i * (w - wide) / 2, y, wide), (wide, thick, h - 2 * wide), look) for i in (-1, 1)],
    ]


def _screen(kit: Kit, at: tuple[float, float], size: tuple[float, float]) -> list[Part]:
    """Gives a dark screen with two pale gleams, its middle at y, z."""
    (y, z), (wide, high) = at, size
    gleam = Finish("screen", (58, 74, 102))
    return [
        Part("box", (0, y, z), (wide, 0.012, high), SCREEN),
        Part("box", (-wide * 0.22, y + 0.004, z + high * 0.12), (wide * 0.34, 0.008, high * 0.5),
             gleam),
        Part("box", (wide * 0.2, y + 0.004, z - high * 0.16), (wide * 0.3, 0.008, high * 0.3),
             tone(gleam, 0.75)),
    ]  # fmt: skip


def _television(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    edge = 0.055
    inside = (w - 2 * edge, h - 2 * edge - 0.04)
    return [
        block((0, -0.008, 0), (w, d - 0.016, h), kit.main),
        *_screen(kit, (d / 2 - 0.014, h / 2 + 0.02), inside),
        block((0, d / 2 - 0.012, 0.03), (0.1, 0.01, 0.02), kit.mark),
        *[block((i * w * 0.3, d / 2 - 0.012, 0.025), (w * 0.2, 0.008, 0.03), tone(kit.main, 0.7))
          for i in (-1, 1)],
    ]  # fmt: skip


def _monitor(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    low = h * 0.22
    high = h - low
    return [
        block((0, 0, 0), (w * 0.44, d, 0.02), kit.main),
        block((0, -0.03, 0.02), (0.07, 0.04, low + 0.05), kit.main),
        block((0, 0, low), (w, 0.035, high), kit.main),
        *_screen(kit, (0.017, low + high / 2 + 0.01), (w - 0.06, high - 0.08)),
    ]


def _picture(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    edge = 0.075
    inside = (w - 2 * edge, h - 2 * edge)
    y = -d / 2 + 0.008
    frame = kit.as_material("wood")
    parts = [
        *_border(kit, edge, d, frame),
        block((0, y, edge - 0.01), (inside[0] + 0.02, 0.016, inside[1] + 0.02), CANVAS),
    ]
    draw = kit.draw()
    paint, kind = kit.as_material("paper"), int(draw.integers(3))
    if kind == 0:
        shapes = [(0.0, -0.3, 1.0, 0.4, tone(paint, 0.8), "box"),
                  (0.12, -0.06, 0.76, 0.16, tone(paint, 1.3), "box"),
                  (-0.24, 0.24, 0.28, 0.28, paint, "disc")]  # fmt: skip
    elif kind == 1:
        shapes = [(-0.26, 0.1, 0.34, 0.56, paint, "box"),
                  (0.2, 0.22, 0.4, 0.3, tone(paint, 1.4), "box"),
                  (0.14, -0.22, 0.56, 0.34, tone(paint, 0.7), "box")]  # fmt: skip
    else:
        shapes = [(0.0, 0.0, 0.86, 0.86, tone(paint, 1.4), "box"),
                  (0.0, 0.0, 0.5, 0.56, paint, "disc"),
                  (0.08, 0.0, 0.26, 0.3, tone(paint, 0.6), "disc")]  # fmt: skip
    for k, (x, z, wide, high, look, solid) in enumerate(shapes):
        turn = FACING if solid == "disc" else (0.0, 0.0, 0.0)
        thick = 0.006 + 0.004 * k
        across, tall = wide * inside[0], high * inside[1]
        size = (across, tall, thick) if solid == "disc" else (across, thick, tall)
        at = (x * inside[0], y + 0.008 + thick / 2 - 0.002, h / 2 + z * inside[1])
        parts.append(Part(solid, at, size, look, turn))
    return parts


def _mirror(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    edge = 0.075
    inner = h - 2 * edge
    y = -d / 2 + 0.006
    gleam = Finish("glass", (224, 236, 244))
    return [
        *_border(kit, edge, d, kit.as_material("wood")),
        block((0, y, edge - 0.01), (w - 2 * edge + 0.02, 0.012, inner + 0.02), _MIRROR),
        *[
            Part("box", (x * w, y + 0.005, h / 2 + z * h), (wide, 0.008, inner * 0.55), gleam,
                 (0.0, 0.5, 0.0))
            for x, z, wide in ((-0.08, 0.06, 0.05), (0.06, -0.02, 0.025))
        ],
    ]  # fmt: skip


def _clock(kit: Kit) -> list[Part]:
    w, d = min(kit.wide, kit.high), kit.deep
    z, y = kit.high / 2, -d / 2
    face = w * 0.68
    parts = [
        facing((0, y + 0.018, z), (w, w), 0.036, kit.main),
        facing((0, y + 0.036, z), (face, face), 0.012, CANVAS),
    ]
    for k in range(12):
        around = k * math.pi / 6
        at = (math.sin(around) * face * 0.42, y + 0.042, z + math.cos(around) * face * 0.42)
        size = (0.022, 0.008, 0.04) if k % 3 == 0 else (0.012, 0.008, 0.022)
        parts.append(Part("box", at, size, DARK, (0.0, around, 0.0)))
    for around, long, wide in ((-1.05, 0.24, 0.022), (1.05, 0.36, 0.014)):
        x, up = math.sin(around) * long * face, math.cos(around) * long * face
        size = (wide, 0.006, long * face)
        parts.append(Part("box", (x / 2, y + 0.046, z + up / 2), size, DARK, (0.0, around, 0.0)))
    parts.append(facing((0, y + 0.047, z), (0.035, 0.035), 0.006, kit.main))
    return parts


def _fireplace(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    pillar, top = w * 0.2, h - 0.09
    soot, flame = Finish("stone", (40, 36, 34)), Finish("glow", (255, 138, 38))
    hole = w - 2 * pillar
    lintel = 0.3
    back = -d / 2
    parts = [
        block((0, 0, h - 0.08), (w, d, 0.08), tone(kit.main, 0.9)),
        block((0, -0.02, top - 0.04), (w * 0.95, d - 0.06, 0.05), tone(kit.main, 0.8)),
        block((0, -0.05, top - lintel), (w * 0.9, d - 0.12, lintel), kit.main),
        block((0, -0.05, top - lintel + 0.08), (w * 0.4, d - 0.1, 0.14), tone(kit.main, 0.85)),
        block((0, back + 0.02, 0.05), (hole, 0.04, top - lintel - 0.05), soot),
        block((0, 0, 0), (w * 0.96, d, 0.05), tone(kit.main, 0.75)),
        beam((-hole * 0.32, 0.0, 0.1), (hole * 0.3, 0.05, 0.1), 0.1, DARK_WOOD),
        beam((-hole * 0.28, -0.08, 0.1), (hole * 0.32, -0.1, 0.1), 0.1, DARK_WOOD),
        beam((-hole * 0.2, -0.02, 0.18), (hole * 0.24, -0.06, 0.17), 0.09, DARK_WOOD),
    ]
    for i in (-1, 1):
        x = i * (w * 0.9 - pillar) / 2
        parts.append(block((x, -0.05, 0.05), (pillar, d - 0.12, top - lintel - 0.05), kit.main))
        parts.append(block((x, -0.02, 0.05), (pillar, d - 0.06, 0.1), tone(kit.main, 0.85)))
    for x, high, look in (
        (-0.2, 0.2, flame),
        (-0.06, 0.32, Finish("glow", (255, 186, 62))),
        (0.08, 0.26, flame),
        (0.2, 0.16, Finish("glow", (255, 186, 62))),
    ):
        parts.append(block((x * hole * 1.4, -0.03, 0.18), (0.12, 0.08, high), look, solid="cone"))
    return parts


def _aquarium(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    stand, lid = h * 0.48, 0.07
    low, high = stand + 0.03, h - lid
    cabinet = kit.as_material("wood")
    front = d / 2
    parts = [
        block((0, 0, 0), (w, d - 0.02, stand), cabinet),
        block((0, 0, stand), (w, d, 0.04), tone(cabinet, 0.8)),
        block((0, 0, high), (w, d, lid), tone(cabinet, 0.85)),
        block((0, -0.04, low), (w - 0.02, d - 0.1, high - low), WATER),
        block((0, 0.0, stand + 0.04), (w - 0.05, d - 0.03, 0.04), Finish("stone", (214, 190, 140))),
        block((-w * 0.2, front - 0.06, stand + 0.07), (0.16, 0.07, 0.1),
              Finish("stone", (120, 112, 106)), solid="dome"),
        *[block((i * w * 0.24, d / 2 - 0.012, 0.06), (w * 0.46, 0.015, stand - 0.1),
                tone(cabinet, 1.15)) for i in (-1, 1)],
        *[block((i * 0.05, d / 2 - 0.008, stand * 0.5), (0.02, 0.016, 0.1), BRASS)
          for i in (-1, 1)],
    ]  # fmt: skip
    parts += [
        block((i * (w / 2 - 0.01), j * (d / 2 - 0.01), stand), (0.02, 0.02, high - stand), IRON)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    for x, lean in ((0.3, 0.03), (0.36, -0.03), (-0.36, 0.02)):
        start = (x * w, front - 0.05, stand + 0.06)
        end = ((x + lean) * w, front - 0.05, stand + (high - stand) * 0.72)
        parts.append(beam(start, end, 0.05, GREENS[1], solid="leaf", flat=0.4))
    for x, z, side in ((-0.12, 0.5, 1), (0.12, 0.68, -1), (0.06, 0.32, 1), (-0.28, 0.72, -1)):
        at = (x * w, front - 0.045, stand + (high - stand) * z)
        gold = Finish("plastic", (240, 136, 40))
        parts.append(Part("ball", at, (0.11, 0.04, 0.06), gold))
        tail = (at[0] - side * 0.065, at[1], at[2])
        parts.append(Part("leaf", tail, (0.05, 0.06, 0.02), gold, FACING))
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "television": _television,
    "monitor": _monitor,
    "picture": _picture,
    "mirror": _mirror,
    "clock": _clock,
    "fireplace": _fireplace,
    "aquarium": _aquarium,
}
