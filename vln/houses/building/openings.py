"""Doors, arches and windows of a plan.

Every room is reached from a hallway or, a bathroom, from its bedroom; further doors make loops.
Knows nothing of furniture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vln.houses.building.plan import Cell, Flight
from vln.houses.building.scene import WALL, Box, Opening

DOOR: Final = 0.9
DOOR_TOP: Final = 2.05
ARCH: Final = (1.6, 2.2)
ARCH_TOP: Final = 2.2
SILL: Final = 0.9
WINDOW_TOP: Final = 2.1
LOOPS: Final = 1.36
"""Doors and arches for each one that a tree of rooms would have."""

_OPEN_PLAN: Final = ("kitchen", "dining room", "living room")
_CORNER = 0.3
_APART = 0.35


@dataclass(frozen=True)
class _Wall:
    """A stretch of wall on a centre line: `at` its x if `upright` (runs along y), else its y."""

    rooms: tuple[int, int]
    upright: bool
    at: float
    low: float
    high: float

    @property
    def length(self) -> float:
        return self.high - self.low


class _Holes:
    """The openings so far, and the search for a free stretch of wall."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.openings: list[Opening] = []
        self._taken: dict[tuple[int, bool, float], list[tuple[float, float]]] = {}

    def add(self, wall: _Wall, kind: str, width: float, *, rng: np.random.Generator) -> bool:
        """Opens a wall somewhere, near one of its ends for preference; false: no room for it."""
        low, high = wall.low + _CORNER + width / 2, wall.high - _CORNER - width / 2
        if kind == "arch":
            low, high = wall.low + 0.05 + width / 2, wall.high - 0.05 - width / 2
        if high < low:
            return False
        middles = [rng.uniform(low, high) for _ in range(6)]
        ends = [min(low + 0.1, high), max(high - 0.1, low)]
        tries = ends + middles if rng.random() < 0.5 else middles + ends
        if kind == "arch":
            tries = [(low + high) / 2, *middles, *ends]
        if rng.random() < 0.5 and kind == "door":
            tries[:2] = tries[1::-1]
        return any(self._open(wall, kind, middle, width) for middle in tries)

    def _open(self, wall: _Wall, kind: str, middle: float, width: float) -> bool:
        storey = self.cells[wall.rooms[0]].storey
        key = (storey, wall.upright, wall.at)
        start = round(middle - width / 2, 2)
        end = round(start + width, 2)
        taken = self._taken.setdefault(key, [])
        if any(start < high + _APART and end > low - _APART for low, high in taken):
            return False
        taken.append((start, end))
        points = [(wall.at, v) if wall.upright else (v, wall.at) for v in (start, end)]
        bottom, top = {
            "door": (0.0, DOOR_TOP),
            "arch": (0.0, ARCH_TOP),
            "window": (SILL, WINDOW_TOP),
        }[kind]
        self.openings.append(Opening(kind, storey, wall.rooms, points[0], points[1], bottom, top))
        return True


def openings_of(
    cells: Sequence[Cell], flight: Flight | None, *, rng: np.random.Generator
) -> tuple[Opening, ...]:
    """Gives doors and arches that join all rooms of each storey, and windows."""
    holes = _Holes(cells)
    walls = _shared_walls(cells, flight)
    left = _joined(_needed(walls, holes, rng=rng), holes, rng=rng)
    _add_loops(left, holes, rng=rng)
    _windows(holes, walls, flight, rng=rng)
    return tuple(holes.openings)


def _shared_walls(cells: Sequence[Cell], flight: Flight | None) -> list[_Wall]:
    """Gives every stretch of wall between two rooms that a door fits in."""
    walls = []
    for i, one in enumerate(cells):
        for j in range(i + 1, len(cells)):
            if cells[j].storey == one.storey:
                walls += [w for w in _between(i, one.box, j, cells[j].box) if w.length > 1.6]
    return [wall for wall in walls if not _at_flight(wall, flight)]


def _between(i: int, a: Box, j: int, b: Box) -> list[_Wall]:
    walls = []
    for upright, (lo, hi), (p, q) in ((True, (0, 2), (1, 3)), (False, (1, 3), (0, 2))):
        low, high = max(a[p], b[p]), min(a[q], b[q])
        for at, other in ((a[hi], b[lo]), (a[lo], b[hi])):
            if abs(at - other) < 1e-6 and high > low:
                walls.append(_Wall((i, j), upright, at, low + WALL / 2, high - WALL / 2))
    return walls


def _at_flight(wall: _Wall, flight: Flight | None) -> bool:
    """Whether a wall has stairs along it."""
    if flight is None:
        return False
    x0, y0, x1, y1 = flight.box
    near = WALL
    if wall.upright:
        return x0 - near < wall.at < x1 + near and wall.low < y1 and wall.high > y0
    return y0 - near < wall.at < y1 + near and wall.low < x1 and wall.high > x0


def _needed(walls: list[_Wall], holes: _Holes, *, rng: np.random.Generator) -> list[_Wall]:
    """Opens what joins all rooms and what belongs open; gives the walls that stay closed."""
    kinds = [cell.kind for cell in holes.cells]
    left = []
    ensuite = _ensuite(walls, kinds, rng=rng)
    entered: set[int] = set()
    for wall in (walls[int(i)] for i in rng.permutation(len(walls))):
        one, two = (kinds[r] for r in wall.rooms)
        halls = (one == "hallway") + (two == "hallway")
        room = wall.rooms[0] if two == "hallway" else wall.rooms[1]
        open_plan = one in _OPEN_PLAN and two in _OPEN_PLAN and wall.length > ARCH[0] + 0.15
        if halls == 2 or open_plan:
            done = holes.add(wall, "arch", _arch(wall, rng=rng), rng=rng)
        elif wall in ensuite.values():
            done = holes.add(wall, "door", DOOR, rng=rng)
        elif halls == 1 and room not in entered and room not in ensuite:
            wide = kinds[room] == "living room" and wall.length > 3 and rng.random() < 0.4
            done = holes.add(wall, *(("arch", 1.6) if wide else ("door", DOOR)), rng=rng)
            entered |= {room} if done else set()
        else:
            done = False
        if not done:
            left.append(wall)
    return left


def _joined(walls: list[_Wall], holes: _Holes, *, rng: np.random.Generator) -> list[_Wall]:
    """Opens walls until each storey is whole; gives the others."""
    group = list(range(len(holes.cells)))
    for opening in holes.openings:
        _merge(group, opening.rooms)
    left = []
    for wall in walls:
        one, two = (group[r] for r in wall.rooms)
        if one != two and holes.add(wall, "door", DOOR, rng=rng):
            _merge(group, wall.rooms)
        else:
            left.append(wall)
    return left


def _merge(group: list[int], rooms: tuple[int, int]) -> None:
    one, two = (group[r] for r in rooms)
    group[:] = [one if g == two else g for g in group]


def _arch(wall: _Wall, *, rng: np.random.Generator) -> float:
    return round(min(rng.uniform(*ARCH), wall.length - 0.1), 2)


def _ensuite(walls: list[_Wall], kinds: list[str], *, rng: np.random.Generator) -> dict[int, _Wall]:
    """Gives bathrooms that are entered from a bedroom only: room -> wall with the door."""
    if kinds.count("bathroom") < 2:
        return {}
    found: dict[int, _Wall] = {}
    public = kinds.index("bathroom")
    for wall in walls:
        one, two = wall.rooms
        bath = one if kinds[one] == "bathroom" else two
        fits = {kinds[one], kinds[two]} == {"bedroom", "bathroom"} and bath != public
        if fits and bath not in found and wall.length > DOOR + 3 * _CORNER and rng.random() < 0.5:
            found[bath] = wall
    return found


def _add_loops(walls: list[_Wall], holes: _Holes, *, rng: np.random.Generator) -> None:
    """Opens further walls until there are `LOOPS` times as many openings as a tree has."""
    kinds = [cell.kind for cell in holes.cells]
    storeys = {cell.storey for cell in holes.cells}
    wanted = round(LOOPS * (len(kinds) - len(storeys)))
    joined = {opening.rooms for opening in holes.openings}

    def private(wall: _Wall) -> bool:
        return any(kinds[r] == "bathroom" for r in wall.rooms)

    for wall in sorted(walls, key=private):
        if len(holes.openings) >= wanted:
            return
        if wall.rooms not in joined and holes.add(wall, "door", DOOR, rng=rng):
            joined.add(wall.rooms)


def _windows(
    holes: _Holes, walls: list[_Wall], flight: Flight | None, *, rng: np.random.Generator
) -> None:
    """Opens outer walls: a window every three metres or so."""
    for room, cell in enumerate(holes.cells):
        for wall in _outer_walls(room, holes.cells):
            if wall.length < 1.7 or _at_flight(wall, flight):
                continue
            count = max(1, round(wall.length / 3.2))
            part = wall.length / count
            for i in range(count):
                width = round(rng.uniform(0.9, 1.2 if cell.kind == "bathroom" else 1.7), 2)
                low = wall.low + i * part
                stretch = _Wall((room, -1), wall.upright, wall.at, low, low + part)
                if rng.random() < 0.85:
                    holes.add(stretch, "window", min(width, part - 0.7), rng=rng)


def _outer_walls(room: int, cells: Sequence[Cell]) -> list[_Wall]:
    """Gives the parts of a room's walls behind which there is nothing."""
    box, storey = cells[room].box, cells[room].storey
    found = []
    for upright, at, low, high in (
        (True, box[0], box[1], box[3]),
        (True, box[2], box[1], box[3]),
        (False, box[1], box[0], box[2]),
        (False, box[3], box[0], box[2]),
    ):
        covered = sorted(
            (wall.low, wall.high)
            for other, cell in enumerate(cells)
            if other != room and cell.storey == storey
            for wall in _between(room, box, other, cell.box)
            if wall.upright == upright and abs(wall.at - at) < 1e-6
        )
        start = low + WALL / 2
        for a, b in [*covered, (high - WALL / 2, high)]:
            if a - start > 0.3:
                found.append(_Wall((room, -1), upright, at, start, a))
            start = max(start, b)
    return found
