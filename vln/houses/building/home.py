"""Makes a home: plan, openings, furniture, colours and light, from a seed and a style.

Knows nothing of pictures, graphs or words; those are derived from what this gives.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vln.errors import BadConfig, UnknownName
from vln.houses.building.furnish import furnished
from vln.houses.building.openings import openings_of
from vln.houses.building.paint import finishes, neighbours_of, painted
from vln.houses.building.plan import Cell, Plan, plan_of
from vln.houses.building.scene import WALL, Box, Daylight, Home, Opening, Room, Stairs
from vln.houses.building.styles import STYLES, Style
from vln.runs import generator

VIEWPOINTS: Final = (6, 200)
"""Fewest and most viewpoints that a home can be asked for."""


def make_home(scan: str, *, seed: int, style: str, new_pairs: bool, viewpoints: int) -> Home:
    """Gives a furnished home; the same arguments give the same home on every machine.

    Args:
        scan: Its id, which also takes part in the draws.
        seed: Of its generators.
        style: A name in `STYLES`.
        new_pairs: False: no (colour, category) of `HELD_OUT` is used; true: a third or more of
            its objects are such pairs.
        viewpoints: About how many viewpoints, some 2 m apart, it should have, 6 to 200; fewer than
            10 still give the 10 or so of a kitchen, living room, bedroom and bathroom.

    Raises:
        BadConfig: `viewpoints` is out of range.
        UnknownName: There is no such style.
    """
    low, high = VIEWPOINTS
    if not low <= viewpoints <= high:
        raise BadConfig(
            f"viewpoints={viewpoints!r}: a home has {low} to {high}. Ask for a number between."
        )
    if style not in STYLES:
        raise UnknownName.of("style", style, STYLES)
    plan = plan_of(viewpoints, rng=generator(seed, f"{scan}/plan"))
    openings = openings_of(plan.cells, plan.flight, rng=generator(seed, f"{scan}/openings"))
    taste = STYLES[style]
    rooms = _rooms(plan.cells, openings, taste, rng=generator(seed, f"{scan}/finishes"))
    stairs = _stairs(plan)
    things = furnished(rooms, openings, stairs, rng=generator(seed, f"{scan}/furniture"))
    colours = generator(seed, f"{scan}/colours")
    items = painted(things, rooms, openings, taste, new_pairs=new_pairs, rng=colours)
    daylight = _daylight(taste, rng=generator(seed, f"{scan}/daylight"))
    return Home(scan, seed, style, rooms, openings, stairs, items, daylight)


def _rooms(
    cells: tuple[Cell, ...],
    openings: tuple[Opening, ...],
    style: Style,
    *,
    rng: np.random.Generator,
) -> tuple[Room, ...]:
    kinds = [cell.kind for cell in cells]
    looks = finishes(kinds, neighbours_of(len(cells), openings), style, rng=rng)
    return tuple(
        Room(cell.kind, cell.storey, _inner(cell.box), floor, wall)
        for cell, (floor, wall) in zip(cells, looks, strict=True)
    )


def _inner(box: Box) -> Box:
    """Gives the box between walls' faces, from the one between their centre lines."""
    half = WALL / 2
    x0, y0, x1, y1 = box
    a, b, c, d = (round(v, 3) + 0.0 for v in (x0 + half, y0 + half, x1 - half, y1 - half))
    return a, b, c, d


def _stairs(plan: Plan) -> tuple[Stairs, ...]:
    """Gives the flight with the halls that it starts and ends in."""
    if plan.flight is None:
        return ()
    x0, y0, x1, y1 = plan.flight.box
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    halls = [
        index
        for index, cell in enumerate(plan.cells)
        if cell.box[0] < x < cell.box[2] and cell.box[1] < y < cell.box[3]
    ]
    lower, upper = sorted(halls, key=lambda index: plan.cells[index].storey)
    box = (round(x0, 3), round(y0, 3), round(x1, 3), round(y1, 3))
    return (Stairs(0, box, plan.flight.turn * (math.pi / 2), (lower, upper)),)


def _daylight(style: Style, *, rng: np.random.Generator) -> Daylight:
    heading, strength, warmth = (
        round(float(rng.uniform(*span)), 3)
        for span in ((0.0, 2 * math.pi - 0.01), style.strength, style.warmth)
    )
    return Daylight(heading, strength, warmth)
