"""Single changes to a home: objects recoloured, exchanged, moved or removed, and a home mirrored.

Each gives a new home; the old one and its viewpoints stay as they are. Knows nothing of words.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Box, Home, Item, Opening, Point
from vln.houses.graph.floor import BODY, footprint
from vln.houses.graph.navigate import Walk
from vln.houses.shapes.joinery import leaf_place

Floats = npt.NDArray[np.float64]

ALIKE: Final = 0.3
"""Metres that footprints of objects may differ by that stand in each other's place."""
_TOUCH: Final = 0.02
"""Metres that boxes around objects may share."""
_DOOR_CLEAR: Final = 0.6
_SPOTS: Final = 150
"""Places tried for an object that is to move."""
_MOVABLE: Final = 0.7
"""Metres across and deep up to which an object stands anywhere."""


def recoloured(home: Home, first: int, second: int) -> Home:
    """Gives the home with two objects' colours exchanged."""
    items = list(home.items)
    items[first] = replace(items[first], colour=home.items[second].colour)
    items[second] = replace(items[second], colour=home.items[first].colour)
    return replace(home, items=tuple(items))


def can_exchange(home: Home, first: int, second: int) -> bool:
    """Says whether two objects fit into each other's place, and nothing stands on them."""
    a, b = home.items[first], home.items[second]
    same = CATEGORIES[a.category].place == CATEGORIES[b.category].place != "beside"
    near = all(abs(x - y) <= ALIKE for x, y in zip(a.size[:2], b.size[:2], strict=True))
    if not (same and near and is_bare(home, first) and is_bare(home, second)):
        return False
    after = exchanged(home, first, second)
    return _is_clear(after, first) and _is_clear(after, second)


def is_bare(home: Home, index: int) -> bool:
    """Says whether nothing stands on an object."""
    item, corners = home.items[index], footprint(home.items[index])
    low, high = corners.min(axis=0), corners.max(axis=0)
    return not any(
        CATEGORIES[other.category].place == "top"
        and other.position[2] > item.position[2] + 0.1
        and low[0] < other.position[0] < high[0]
        and low[1] < other.position[1] < high[1]
        for other in home.items
        if other is not item
    )


def _is_clear(home: Home, index: int) -> bool:
    """Says whether the box around an object is in its room and touches that of no other one."""
    low, high = _bounds(home.items[index])
    x0, y0, x1, y1 = home.rooms[home.items[index].room].box
    if (low[:2] < [x0, y0]).any() or (high[:2] > [x1, y1]).any():
        return False
    for number, other in enumerate(home.items):
        beside = other.room != home.items[index].room or number == index
        if not beside and CATEGORIES[other.category].place != "flat":
            base, top = _bounds(other)
            if (low + _TOUCH < top).all() and (base + _TOUCH < high).all():
                return False
    return True


def _bounds(item: Item) -> tuple[Floats, Floats]:
    corners = footprint(item)
    base = item.position[2]
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.append(low, base), np.append(high, base + item.size[2])


def exchanged(home: Home, first: int, second: int) -> Home:
    """Gives the home with two objects in each other's place, each as high as its kind hangs."""
    items = list(home.items)
    a, b = items[first], items[second]
    items[first] = _put(a, at=b)
    items[second] = _put(b, at=a)
    return replace(home, items=tuple(items))


def _put(item: Item, *, at: Item) -> Item:
    # Backs stay where backs were: the middle of a deeper object comes forward by half the excess.
    forward = (item.size[1] - at.size[1]) / 2
    x, y, z = at.position
    position = (
        round(x + forward * math.sin(at.heading), 3),
        round(y + forward * math.cos(at.heading), 3),
        z,
    )
    return replace(item, position=position, heading=at.heading, room=at.room)


def removed(home: Home, index: int) -> Home:
    """Gives the home without an object; those after it count one less."""
    return replace(home, items=home.items[:index] + home.items[index + 1 :])


def can_move(home: Home, index: int) -> bool:
    """Says whether an object is small enough, and such, that it stands anywhere on the floor."""
    item = home.items[index]
    small = max(item.size[:2]) <= _MOVABLE
    on_floor = CATEGORIES[item.category].place in ("corner", "wall", "middle")
    return small and on_floor and is_bare(home, index)


class FreeFloor:
    """Where objects of a home could be put so that they touch nothing and bar no way.

    Args:
        home: The home.
        walk: Its viewpoints.
    """

    def __init__(self, home: Home, walk: Walk) -> None:
        self._home = home
        self._walk = walk
        corners = np.array([footprint(item) for item in home.items]).reshape(-1, 4, 2)
        self._low, self._high = corners.min(axis=1), corners.max(axis=1)
        self._level = np.array([home.rooms[item.room].level for item in home.items])
        self._blocks = np.array([CATEGORIES[item.category].blocks for item in home.items], np.bool_)
        start, end = np.nonzero(np.triu(walk.adjacency))
        self._start, self._way = (
            walk.position[start, :2],
            (walk.position[end] - walk.position[start])[:, :2],
        )

    def moved(self, index: int, *, beside: int, rng: np.random.Generator) -> Home | None:
        """Gives the home with an object beside another viewpoint, None where there is no room.

        Args:
            index: The object.
            beside: The viewpoint it shall be near.
            rng: Decides where.
        """
        item, room = self._home.items[index], int(self._walk.room[beside])
        half = math.hypot(*item.size[:2]) / 2
        away, angle = rng.uniform(0.4, 1.3, _SPOTS) + half, rng.uniform(0, 2 * np.pi, _SPOTS)
        middle = self._walk.position[beside, :2]
        spots = middle + away[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        free = np.flatnonzero(self._is_free(spots, index, room, half + 0.02))
        if not len(free):
            return None
        x, y = spots[free[0]].round(3).tolist()
        # Its front looks at the viewpoint, in quarter turns.
        turns = round(math.atan2(middle[0] - x, middle[1] - y) / (math.pi / 2)) % 4
        level = self._home.rooms[room].level
        new = replace(
            item, position=(x, y, level), heading=round(turns * math.pi / 2, 6), room=room
        )
        items = (*self._home.items[:index], new, *self._home.items[index + 1 :])
        return replace(self._home, items=items)

    def _is_free(
        self, spots: Floats, index: int, room: int, radius: float
    ) -> npt.NDArray[np.bool_]:
        """Gives (n,) whether a round there lies in a room and touches nothing."""
        home = self._home
        x0, y0, x1, y1 = home.rooms[room].box
        inside = (spots > np.array([x0, y0]) + radius) & (spots < np.array([x1, y1]) - radius)
        others: npt.NDArray[np.bool_] = self._blocks & (self._level == home.rooms[room].level)
        others[index] = False
        low, high = self._low[others], self._high[others]
        free: npt.NDArray[np.bool_] = np.asarray(inside.all(axis=1))
        free &= (_gap(spots, low, high) > radius).all(axis=1)
        boxes = np.array([stairs.box for stairs in home.stairs]).reshape(-1, 4)
        free &= (_gap(spots, boxes[:, :2], boxes[:, 2:]) > radius).all(axis=1)
        holes = np.array([np.add(o.start, o.end) / 2 for o in home.openings]).reshape(-1, 2)
        free &= (_gap(spots, holes, holes) > radius + _DOOR_CLEAR).all(axis=1)
        return free & (self._to_ways(spots) > radius + BODY).all(axis=1)

    def _to_ways(self, spots: Floats) -> Floats:
        """Gives (n, E) metres from points to the edges between viewpoints."""
        offset = spots[:, None] - self._start
        square = (self._way**2).sum(axis=1).clip(min=1e-9)
        share = ((offset * self._way).sum(axis=2) / square).clip(0, 1)
        distance: Floats = np.linalg.norm(offset - share[..., None] * self._way, axis=2)
        return distance


def _gap(points: Floats, low: Floats, high: Floats) -> Floats:
    """Gives (n, m) metres from points to boxes."""
    outside = np.maximum(low - points[:, None], points[:, None] - high).clip(min=0)
    distance: Floats = np.linalg.norm(outside, axis=2)
    return distance


def mirrored(home: Home) -> Home:
    """Gives the home as a mirror on its west side shows it: x becomes -x."""
    return replace(
        home,
        rooms=tuple(replace(room, box=_flip(room.box)) for room in home.rooms),
        openings=tuple(_flip_opening(opening) for opening in home.openings),
        stairs=tuple(
            replace(s, box=_flip(s.box), heading=_turn_back(s.heading)) for s in home.stairs
        ),
        items=tuple(
            replace(
                item,
                position=(-item.position[0] + 0.0, *item.position[1:]),
                heading=_turn_back(item.heading),
            )
            for item in home.items
        ),
        daylight=replace(home.daylight, heading=_turn_back(home.daylight.heading)),
    )


def _flip(box: Box) -> Box:
    x0, y0, x1, y1 = box
    return -x1 + 0.0, y0, -x0 + 0.0, y1


def _flip_opening(opening: Opening) -> Opening:
    def flip(point: Point) -> Point:
        return -point[0] + 0.0, point[1]

    return replace(opening, start=flip(opening.start), end=flip(opening.end))


def _turn_back(heading: float) -> float:
    return round(-heading % (2 * math.pi), 6)


def walk_in(walk: Walk, scan: str, *, is_mirrored: bool = False) -> Walk:
    """Gives the same viewpoints in a changed home, under ids of their own.

    Args:
        walk: The viewpoints.
        scan: The changed home's id.
        is_mirrored: Whether x becomes -x, and cameras turn with it.
    """
    ids = tuple(
        hashlib.sha256(f"{scan}/{number}".encode()).hexdigest()[:32] for number in range(len(walk))
    )
    if not is_mirrored:
        return replace(walk, ids=ids)
    rotation = walk.rotation.copy()
    # Columns are right, down, out: a camera that looks along heading h now looks along -h.
    rotation[:, 0, 2] *= -1
    rotation[:, 1, 0] *= -1
    return replace(
        walk, ids=ids, position=walk.position * np.array([-1.0, 1.0, 1.0]), rotation=rotation + 0.0
    )


def part_of(walk: Walk, numbers: npt.NDArray[np.int64]) -> Walk:
    """Gives some of the viewpoints, with the edges between them."""
    square = np.ix_(numbers, numbers)
    return Walk(
        ids=tuple(walk.ids[number] for number in numbers.tolist()),
        position=walk.position[numbers],
        rotation=walk.rotation[numbers],
        room=walk.room[numbers],
        adjacency=walk.adjacency[square],
        visible=walk.visible[square],
        door=walk.door[square],
        stairs=walk.stairs[square],
    )


def rooms_that_differ(old: Home, new: Home) -> list[int]:
    """Gives the rooms of a home whose furniture, and so whose light, a change has touched.

    A door's leaf hangs where it finds free wall, so the rooms beside one that hangs elsewhere now
    differ as well.
    """
    before, after = Counter(old.items), Counter(new.items)
    found = {item.room for item in ((before - after) + (after - before))}
    for one, two in zip(old.openings, new.openings, strict=True):
        if one.kind == "door" and leaf_place(old, one) != leaf_place(new, two):
            found.update(one.rooms)
    return sorted(found)
