"""Which things each room of a home gets, and in which order they are placed.

Where a thing goes is decided in `placing`, what colour it has in `paint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.ground import Ground, front_of, ground_of
from vln.houses.building.placing import FULL_HEIGHT, Work, place
from vln.houses.building.scene import STOREY, Opening, Room, Stairs
from vln.houses.building.spots import Thing

TYPICAL_AREA: Final = 17.0
"""Square metres of the room that `Category.rooms` counts for."""
TYPICAL_HALL: Final = 5.0
"""Metres of hallway that `Category.rooms` counts for."""
THINGS_PER_AREA: Final = 0.72
"""Things on each square metre that a room has at least, as long as that makes 13 or fewer."""

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "bedroom": ("bed", "nightstand"),
    "bathroom": ("toilet", "sink"),
    "kitchen": ("stove", "refrigerator", "counter"),
    "living room": ("sofa",),
    "dining room": ("table", "chair", "chair"),
    "office": ("desk", "chair"),
    "library": ("bookcase", "bookcase"),
    "playroom": ("rocking horse",),
    "laundry room": ("washing machine",),
    "gym": ("treadmill",),
    "music room": ("piano",),
    "hallway": (),
}
"""What makes a room what it is, in the order of placing it."""

_ORDER: Final = ("middle", "seat", "wall", "beside", "corner", "top", "flat", "hung", "ceiling")
_LATE: Final = ("coffee table", "round table")
_ONE: Final = (
    "bed",
    "toilet",
    "table",
    "round table",
    "stove",
    "refrigerator",
    "piano",
    "desk",
    "pendant lamp",
    "bathtub",
    "shower",
    "ironing board",
)
"""Categories that even a large room has one of."""


def furnished(
    rooms: Sequence[Room],
    openings: Sequence[Opening],
    stairs: Sequence[Stairs],
    *,
    rng: np.random.Generator,
) -> list[Thing]:
    """Gives the things of all rooms, room by room."""
    things: list[Thing] = []
    for index, room in enumerate(rooms):
        work = Work(index, room, ground_of(index, room, openings), rng)
        for flight in stairs:
            if index in flight.rooms:
                _keep_stairs(work.ground, flight)
        needed, further = _chosen(room, rng=rng)
        for name in needed:
            # a small room has it all the same, with less floor before it
            _ = any(place(work, CATEGORIES[name], clear=clear) for clear in (1.0, 0.7, 0.5))
        for name in further:
            place(work, CATEGORIES[name])
        for thing in work.things:
            thing.like += len(things) if thing.like >= 0 else 0
        things += work.things
    return things


def _keep_stairs(ground: Ground, flight: Stairs) -> None:
    """Puts stairs on the ground, with free floor at both ends."""
    assert STOREY > FULL_HEIGHT
    turn = round(flight.heading / (math.pi / 2)) % 4
    index = ground.add(flight.box, STOREY, None)
    x0, y0, x1, y1 = ground.box
    for end in (turn, (turn + 2) % 4):
        a, b, c, d = front_of(flight.box, end, 1.0)
        ground.doors.append(((a + c) / 2, (b + d) / 2))
        # across the whole hall, so that one turns from the flight's end to the floor beside it
        ground.keeps.append(((x0, b, x1, d) if turn % 2 == 0 else (a, y0, c, y1), index))


def _chosen(room: Room, *, rng: np.random.Generator) -> tuple[tuple[str, ...], list[str]]:
    """Gives categories in the order of placing them: what the room needs, and what else it has."""
    needed = NEEDED[room.kind]
    means = {c.name: c.rooms[room.kind] for c in CATEGORIES.values() if room.kind in c.rooms}
    scale = _scale(room, sum(means.values()))
    rest: list[str] = []
    for name, mean in means.items():
        count = int(mean * scale + rng.random()) - needed.count(name)
        single = name in _ONE and room.kind != "hallway"
        rest += [name] * min(count, 1 - needed.count(name) if single else count)
    urgency = {name: _urgency(name, rng=rng) for name in dict.fromkeys(rest)}
    return needed, sorted(rest, key=lambda name: urgency[name])


def _scale(room: Room, usual: float) -> float:
    """Gives how many times as much a room holds as `Category.rooms`, `usual` in all, says."""
    x0, y0, x1, y1 = room.box
    if room.kind == "hallway":
        return max(x1 - x0, y1 - y0) / TYPICAL_HALL
    area = (x1 - x0) * (y1 - y0)
    wanted = min(13.0, THINGS_PER_AREA * area)
    as_large: float = min(max(area / TYPICAL_AREA, 0.6), 1.4) ** 0.7
    return max(as_large, wanted / usual)


def _urgency(name: str, *, rng: np.random.Generator) -> tuple[int, float]:
    """Gives a sort key: by kind of place, large things first."""
    category = CATEGORIES[name]
    place = "wall" if category.name in _LATE else category.place
    across, deep, _ = (sum(span) / 2 for span in category.size)
    return _ORDER.index(place), -across * deep * rng.uniform(0.6, 1.4)
