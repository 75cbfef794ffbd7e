"""Beds, sofas, chairs: what one lies or sits on."""

from __future__ import annotations

from typing import Final

from vln.houses.shapes.furniture.kit import (
    LINEN,
    WOOD,
    Builder,
    Kit,
    beam,
    block,
    legs,
    tone,
)
from vln.houses.shapes.solids import Part


def _bed(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    frame, foot = tone(kit.main, 0.72), kit.deep / 2
    pillow = (w * 0.4, 0.38, 0.15)
    return [
        *legs(kit, 0.07, 0.14, WOOD),
        block((0, 0.02, 0.12), (w, d - 0.04, 0.14), WOOD),
        block((0, 0.02, 0.26), (w - 0.06, d - 0.14, 0.2), LINEN),
        block((0, -foot + 0.045, 0.1), (w, 0.09, h - 0.1), frame),
        block((0, -foot + 0.1, 0.3), (w - 0.12, 0.02, h - 0.4), kit.main),
        block((0, 0.29, 0.2), (w - 0.005, d - 0.62, 0.3), kit.main),
        block((0, -foot + 0.66, 0.3), (w, 0.24, 0.215), tone(kit.main, 1.35)),
        block((-w * 0.23, -foot + 0.34, 0.45), pillow, LINEN, solid="pad", turn=(0.25, 0, 0)),
        block((w * 0.23, -foot + 0.34, 0.45), pillow, LINEN, solid="pad", turn=(0.25, 0, 0)),
        block((0, -foot + 0.5, 0.5), (0.42, 0.14, 0.3), kit.main, solid="pad", turn=(0.35, 0, 0)),
    ]


def _couch(kit: Kit, *, seats: int, arm: float) -> list[Part]:
    """Gives a seat with back and arms, and as many cushions as seats."""
    w, d, h = kit.wide, kit.deep, kit.high
    dark, seat = tone(kit.main, 0.8), 0.44
    each = (w - 2 * arm) / seats
    parts = [
        *legs(kit, 0.06, 0.08, WOOD, inset=0.02),
        block((0, 0, 0.08), (w, d, 0.2), dark),
        block((0, -d / 2 + 0.11, 0.28), (w - 2 * arm, 0.22, h - 0.28), dark, solid="pad"),
    ]
    for side in (-1, 1):
        x = side * (w - arm) / 2
        parts.append(block((x, 0, 0.28), (arm, d, 0.34), kit.main, solid="pad"))
    for i in range(seats):
        x = -w / 2 + arm + each * (i + 0.5)
        size = (each - 0.01, d - 0.24, seat - 0.26)
        parts.append(block((x, 0.11, 0.27), size, kit.main, solid="pad"))
        back = (each - 0.02, 0.17, h - seat - 0.04)
        at = (x, -d / 2 + 0.27, seat - 0.03)
        parts.append(block(at, back, tone(kit.main, 1.12), solid="pad", turn=(0.12, 0, 0)))
    return parts


def _sofa(kit: Kit) -> list[Part]:
    seats = 3 if kit.wide > 2.0 else 2
    w, d = kit.wide, kit.deep
    pillow = tone(kit.main, 1.5)
    turn = (0.35, 0.0, 0.2)
    cushion = block((-w / 2 + 0.42, -d / 2 + 0.45, 0.42), (0.36, 0.14, 0.34), pillow, solid="pad")
    return [
        *_couch(kit, seats=seats, arm=0.2),
        Part(cushion.solid, cushion.centre, cushion.size, pillow, turn),
    ]


def _armchair(kit: Kit) -> list[Part]:
    return _couch(kit, seats=1, arm=0.16)


def _chair(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    post, seat = 0.045, 0.45
    dark = tone(kit.main, 0.8)
    back = -d / 2 + post / 2
    parts = [
        *legs(kit, post, seat, dark),
        block((0, 0, seat - 0.02), (w, d, 0.05), kit.main),
        block((0, d / 2 - 0.03, seat - 0.09), (w - 0.1, 0.025, 0.06), dark),
    ]
    parts += [
        block((i * (w - post) / 2, back, seat), (post, post, h - seat), dark) for i in (-1, 1)
    ]
    if kit.item.material == "plastic":
        size = (w - 0.06, 0.03, (h - seat) * 0.72)
        return [*parts, block((0, back, h - size[2]), size, kit.main)]
    rails = [
        block((0, back, z), (w - 0.08, 0.03, 0.09), kit.main) for z in (h - 0.1, h - 0.25, h - 0.4)
    ]
    return parts + rails


def _stool(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    dark = tone(kit.main, 0.8)
    parts = [
        block((0, 0, h - 0.05), (w, w, 0.05), kit.main, solid="disc"),
        block((0, 0, h * 0.35), (w * 0.78, w * 0.78, 0.03), dark, solid="ring"),
    ]
    for i in (-1, 1):
        for j in (-1, 1):
            foot = (i * (w / 2 - 0.06), j * (w / 2 - 0.06), 0.012)
            top = (i * w * 0.2, j * w * 0.2, h - 0.04)
            parts.append(beam(foot, top, 0.045, dark))
    return parts


def _bench(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    dark = tone(kit.main, 0.8)
    parts = [
        block((0, 0, 0.12), (w - 0.3, 0.05, 0.06), dark),
        *[block((i * (w / 2 - 0.14), 0, 0.0), (0.07, d - 0.04, h - 0.1), dark) for i in (-1, 1)],
    ]
    if kit.item.material == "leather":
        parts.append(block((0, 0, h - 0.15), (w, d, 0.06), WOOD))
        parts.append(block((0, 0, h - 0.1), (w, d, 0.1), kit.main, solid="pad"))
        return parts
    plank = d / 3
    parts.append(block((0, 0, h - 0.1), (w - 0.1, d - 0.06, 0.06), dark))
    parts += [
        block((0, (i - 1) * plank, h - 0.045), (w, plank - 0.012, 0.045), kit.main)
        for i in range(3)
    ]
    return parts


BUILDERS: Final[dict[str, Builder]] = {
    "bed": _bed,
    "sofa": _sofa,
    "armchair": _armchair,
    "chair": _chair,
    "stool": _stool,
    "bench": _bench,
}
