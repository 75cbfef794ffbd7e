"""Which rooms and objects an eye may see, through doors, arches and stair wells.

What is left out cannot be seen; what is named may still be hidden. Rays are followed in
plan: each opening leaves a wedge of directions, and the next opening a part of that.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import STOREY, WALL, Home, Item, Point

Wedge = tuple[float, float]
"""Headings from the first to the second, turning right; the second less than pi after the first."""

_CLOSE: Final = 0.15
"""Metres from an opening within which it hides nothing."""


def in_sight(home: Home, eye: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Gives what may be seen from a place: (R,) bool for rooms, (I,) bool for objects.

    Args:
        home: The home.
        eye: (3,) world coordinates; outside of all rooms everything may be seen.
    """
    x, y, z = (float(value) for value in np.asarray(eye, np.float64))
    within = [
        index
        for index, room in enumerate(home.rooms)
        if room.box[0] - WALL <= x <= room.box[2] + WALL
        and room.box[1] - WALL <= y <= room.box[3] + WALL
        and room.level - 0.1 <= z <= room.level + STOREY
    ]
    wedges: list[list[Wedge | None]] = [[] for _ in home.rooms]
    doors = _doors(home)
    for room in within:
        _look(doors, (x, y), room, None, wedges, (room,))
    rooms = np.array([bool(some) or not within for some in wedges], np.bool_)
    items = np.array(
        [not within or _is_in(item, (x, y), wedges[item.room]) for item in home.items], np.bool_
    )
    return rooms, items


def _is_in(item: Item, eye: Point, wedges: list[Wedge | None]) -> bool:
    """Tells whether a circle around an object reaches into one of the wedges."""
    if not wedges or None in wedges:
        return bool(wedges)
    x, y = item.position[0] - eye[0], item.position[1] - eye[1]
    far, reach = math.hypot(x, y), 0.1 + math.hypot(item.size[0], item.size[1]) / 2
    if far <= reach:
        return True
    half, heading = math.asin(reach / far), math.atan2(x, y)
    span = heading - half, heading + half
    return any(_shared(wedge, span) is not None for wedge in wedges if wedge is not None)


Door = tuple[int, tuple[Point, ...]]
"""The room behind, and points whose hull in plan every ray into it crosses."""


def _doors(home: Home) -> list[list[Door]]:
    """Gives the ways out of every room."""
    doors: list[list[Door]] = [[] for _ in home.rooms]
    for opening in home.openings:
        a, b = opening.rooms
        if opening.kind != "window":
            doors[a].append((b, (opening.start, opening.end)))
            doors[b].append((a, (opening.start, opening.end)))
    for stairs in home.stairs:
        x0, y0, x1, y1 = stairs.box
        corners = (x0, y0), (x1, y0), (x1, y1), (x0, y1)
        low, high = stairs.rooms
        doors[low].append((high, corners))
        doors[high].append((low, corners))
    return doors


def _look(
    doors: list[list[Door]],
    eye: Point,
    room: int,
    wedge: Wedge | None,
    wedges: list[list[Wedge | None]],
    path: tuple[int, ...],
) -> None:
    """Adds a wedge to a room's and to those of all that is seen through it; None is all around."""
    wedges[room].append(wedge)
    for behind, points in doors[room]:
        if behind in path:
            continue
        part = _wedge(eye, points)
        both = wedge if part is None else part if wedge is None else _shared(wedge, part)
        if both is not None or (part is None and wedge is None):
            _look(doors, eye, behind, both, wedges, (*path, behind))


def _wedge(eye: Point, points: tuple[Point, ...]) -> Wedge | None:
    """Gives the headings in which points' hull lies, None where the eye is in it or close."""
    xs, ys = [p[0] - eye[0] for p in points], [p[1] - eye[1] for p in points]
    near = (max(min(xs), -max(xs), 0.0), max(min(ys), -max(ys), 0.0))
    if max(near) < _CLOSE:
        return None
    headings = [math.atan2(x, y) for x, y in zip(xs, ys, strict=True)]
    apart = [_turn(h - headings[0]) for h in headings]
    return headings[0] + min(apart), headings[0] + max(apart)


def _shared(one: Wedge, other: Wedge) -> Wedge | None:
    """Gives what two wedges share, None where it is nothing."""
    start = one[0] + _turn(other[0] - one[0])
    low, high = max(one[0], start), min(one[1], start + other[1] - other[0])
    return (low, high) if low < high else None


def _turn(angle: float) -> float:
    """Gives an angle as one from -pi to pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi
