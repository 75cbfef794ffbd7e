"""Tables and desks."""

from __future__ import annotations

from typing import Final

from vln.houses.building.scene import Finish
from vln.houses.shapes.furniture.kit import (
    BRASS,
    CANVAS,
    STEEL,
    Builder,
    Kit,
    block,
    fronts,
    legs,
    tone,
)
from vln.houses.shapes.solids import Part


def _table(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    dark = tone(kit.main, 0.8)
    if kit.item.material == "glass":
        top = block((0, 0, h - 0.03), (w, d, 0.03), kit.main)
        return [*legs(kit, 0.06, h - 0.03, STEEL, inset=0.05, solid="cylinder"), top]
    return [
        *legs(kit, 0.08, h - 0.04, dark, inset=0.03),
        block((0, 0, h - 0.14), (w - 0.14, d - 0.14, 0.1), dark),
        block((0, 0, h - 0.045), (w, d, 0.045), kit.main),
    ]


def _round_table(kit: Kit) -> list[Part]:
    w, h = min(kit.wide, kit.deep), kit.high
    dark = tone(kit.main, 0.75)
    return [
        block((0, 0, 0), (w * 0.5, w * 0.5, 0.04), dark, solid="disc"),
        block((0, 0, 0.04), (w * 0.3, w * 0.3, 0.06), dark, solid="cone"),
        block((0, 0, 0.03), (0.1, 0.1, h - 0.06), dark, solid="cylinder"),
        block((0, 0, h - 0.08), (w * 0.4, w * 0.4, 0.05), dark, solid="disc"),
        block((0, 0, h - 0.045), (w, w, 0.045), kit.main, solid="disc"),
    ]


def _coffee_table(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    dark = tone(kit.main, 0.8)
    book = Finish("paper", (196, 120, 92))
    return [
        *legs(kit, 0.06, h - 0.04, dark, inset=0.01),
        block((0, 0, 0.1), (w - 0.06, d - 0.06, 0.025), dark),
        block((w * 0.15, 0, 0.125), (0.3, 0.22, 0.035), book),
        block((w * 0.15, 0, 0.16), (0.26, 0.2, 0.025), CANVAS),
        block((0, 0, h - 0.045), (w, d, 0.045), kit.main),
    ]


def _desk(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    dark, pedestal = tone(kit.main, 0.8), 0.4
    x = w / 2 - 0.03 - pedestal / 2
    body = (pedestal, d - 0.09, h - 0.1)
    area = (x - pedestal / 2, 0.06, x + pedestal / 2, h - 0.045)
    return [
        block((0, 0, h - 0.045), (w, d, 0.045), kit.main),
        block((x, -0.025, 0.06), body, dark),
        block((x, -0.025, 0.0), (pedestal - 0.06, d - 0.15, 0.06), dark),
        block((-w / 2 + 0.05, -0.02, 0), (0.05, d - 0.08, h - 0.045), dark),
        block((-0.1, -d / 2 + 0.05, h * 0.4), (w - 0.35, 0.03, h * 0.6 - 0.045), dark),
        *fronts(area, d / 2 - 0.07, columns=1, rows=3, look=kit.main, grip=BRASS, bars="across"),
    ]


def _nightstand(kit: Kit) -> list[Part]:
    w, d, h = kit.wide, kit.deep, kit.high
    front = d / 2 - 0.04
    body = (w - 0.03, d - 0.05, h - 0.17)
    area = (-w / 2 + 0.025, 0.15, w / 2 - 0.025, h - 0.035)
    return [
        *legs(kit, 0.05, 0.15, tone(kit.main, 0.7), inset=0.015),
        block((0, front - body[1] / 2, 0.14), body, tone(kit.main, 0.8)),
        block((0, 0, h - 0.03), (w, d, 0.03), kit.main),
        *fronts(area, front, columns=1, rows=2, look=kit.main, grip=BRASS),
    ]


BUILDERS: Final[dict[str, Builder]] = {
    "table": _table,
    "round table": _round_table,
    "coffee table": _coffee_table,
    "desk": _desk,
    "nightstand": _nightstand,
}
