"""Colours and materials of a home: of its rooms' walls and floors, and of its things.

Things of one room and of rooms beside it differ in colour or category where the catalogue allows,
so that "the green bed" means one bed; further off the same words may come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vln.houses.building.catalogue import CATEGORIES, HELD_OUT
from vln.houses.building.scene import Finish, Item, Opening, Room
from vln.houses.building.spots import Thing
from vln.houses.building.styles import Style, group_of

NEW_SHARE: Final = 0.4
"""Share of a home's things that are held-out pairs where those are asked for."""
_TINT = 7

Pair = tuple[str, str]


def finishes(
    kinds: Sequence[str],
    neighbours: Sequence[Sequence[int]],
    style: Style,
    *,
    rng: np.random.Generator,
) -> list[tuple[Finish, Finish]]:
    """Gives floor and wall of each room; walls differ from the neighbours' where they can."""
    chosen: list[tuple[Finish, Finish]] = []
    tint = [int(v) for v in rng.integers(-_TINT, _TINT + 1, 3)]
    bases: list[Finish] = []
    hall = _pick(style.floors["hall"], (), rng=rng)
    for room, kind in enumerate(kinds):
        group = group_of(kind)
        taken = [bases[n] for n in neighbours[room] if n < room]
        wall = _pick(style.walls[group], taken, rng=rng)
        floor = hall if kind == "hallway" else _pick(style.floors[group], (), rng=rng)
        bases.append(wall)
        chosen.append((_tinted(floor, tint), _tinted(wall, tint)))
    return chosen


def _pick(
    finishes: Sequence[Finish], taken: Sequence[Finish], *, rng: np.random.Generator
) -> Finish:
    free = [f for f in finishes if f not in taken] or list(finishes)
    return free[int(rng.integers(len(free)))]


def _tinted(finish: Finish, tint: Sequence[int]) -> Finish:
    """Gives a finish a shade off, so that two homes of a style are not the same."""
    r, g, b = (int(np.clip(c + t, 0, 255)) for c, t in zip(finish.colour, tint, strict=True))
    return Finish(finish.material, (r, g, b))


def neighbours_of(count: int, openings: Sequence[Opening]) -> list[list[int]]:
    """Gives the rooms behind each room's doors and arches, in ascending order."""
    found: list[list[int]] = [[] for _ in range(count)]
    for opening in openings:
        one, two = opening.rooms
        if two >= 0:
            found[one].append(two)
            found[two].append(one)
    return [sorted(dict.fromkeys(rooms)) for rooms in found]


def painted(
    things: Sequence[Thing],
    rooms: Sequence[Room],
    openings: Sequence[Opening],
    style: Style,
    *,
    new_pairs: bool,
    rng: np.random.Generator,
) -> tuple[Item, ...]:
    """Gives things their colours and materials.

    Args:
        things: Of all rooms.
        rooms: The home's rooms.
        openings: Doors, arches, windows.
        style: Says what is likely.
        new_pairs: False: no pair of `HELD_OUT`; true: a third of the things or more.
        rng: Draws.
    """
    neighbours = neighbours_of(len(rooms), openings)
    used: list[dict[Pair, None]] = [{} for _ in rooms]
    looks: list[Pair] = []
    new = 0
    for index, thing in enumerate(things):
        if thing.like >= 0:
            looks.append(looks[thing.like])
        else:
            near = [p for n in neighbours[thing.room] for p in used[n]]
            wants_new = new_pairs and new < (NEW_SHARE + 0.1 * rng.random()) * (index + 1)
            here = used[thing.room]
            options = _options(thing.category, here, near, new=wants_new, allowed=new_pairs)
            weights = [style.colour_weight(c) for c in options]
            colour = _drawn(options, weights, rng=rng)
            materials = CATEGORIES[thing.category].materials
            fits = [style.material_weight(thing.category, m) for m in materials]
            looks.append((colour, _drawn(materials, fits, rng=rng)))
        used[thing.room][looks[-1][0], thing.category] = None
        new += (looks[-1][0], thing.category) in HELD_OUT
    return tuple(_item(t, *look) for t, look in zip(things, looks, strict=True))


def _options(
    category: str, here: dict[Pair, None], near: Sequence[Pair], *, new: bool, allowed: bool
) -> list[str]:
    """Gives the colours that a thing may have: new to its surroundings if there are any."""
    colours = CATEGORIES[category].colours
    held = [c for c in colours if (c, category) in HELD_OUT]
    kept = [c for c in colours if (c, category) not in HELD_OUT]
    pool = (held or kept) if new else kept
    unused = [c for c in pool if (c, category) not in here]
    if not unused and allowed:
        pool = list(colours)
        unused = [c for c in pool if (c, category) not in here]
    distinct = [c for c in unused if (c, category) not in near]
    return distinct or unused or pool


def _drawn(options: Sequence[str], weights: Sequence[float], *, rng: np.random.Generator) -> str:
    edges = np.cumsum(weights)
    at = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    return options[min(at, len(options) - 1)]


def _item(thing: Thing, colour: str, material: str) -> Item:
    heading = thing.turn * (np.pi / 2)
    return Item(thing.category, colour, material, thing.room, thing.position, heading, thing.size)
