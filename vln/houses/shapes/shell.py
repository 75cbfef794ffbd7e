"""The walls, floors and ceilings of a home as triangles, with holes for openings and stairs.

Every room has one set of grid lines along x, y and z, which its floor, ceiling and walls share, so
that they meet corner to corner. Doors and windows in the holes are in `joinery`, flights in
`flights`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import CEILING, WALL, Finish, Home, Opening
from vln.houses.shapes.solids import SOLIDS

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CEILING_FINISH: Final = Finish("ceiling", (244, 243, 239))
_NEAR = 1e-6
_REACH = WALL / 2 + 0.01


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one look.

    Attributes:
        corners: (T, 3, 3) float64 metres in the world, counter-clockwise seen from in front.
        finish: What they show.
        room: The room they belong to.
    """

    corners: Floats
    finish: Finish
    room: int


@dataclass(frozen=True)
class Side:
    """One wall of a room.

    Attributes:
        axis: 0 for a wall at one x, 1 for a wall at one y.
        at: That x or y.
        inward: 1.0 or -1.0: the direction along the axis into the room.
    """

    axis: int
    at: float
    inward: float


@dataclass(frozen=True)
class Hole:
    """An opening as one of its rooms sees it: on which side, from where to where along it."""

    opening: Opening
    side: Side
    low: float
    high: float
    bottom: float
    top: float


def sides(home: Home, room: int) -> tuple[Side, ...]:
    """Gives the four walls of a room: at x0, x1, y0, y1."""
    x0, y0, x1, y1 = home.rooms[room].box
    return Side(0, x0, 1.0), Side(0, x1, -1.0), Side(1, y0, 1.0), Side(1, y1, -1.0)


def holes(home: Home, room: int) -> list[Hole]:
    """Gives a room's openings, in the home's order; heights are z in the world."""
    level = home.rooms[room].level
    found = []
    for opening in home.openings:
        if room not in opening.rooms:
            continue
        axis = 0 if abs(opening.start[0] - opening.end[0]) < _NEAR else 1
        for side in sides(home, room):
            beside = (side.at - opening.start[axis]) * side.inward
            if side.axis == axis and abs(beside - WALL / 2) < _REACH:
                low, high = sorted((opening.start[1 - axis], opening.end[1 - axis]))
                height = level + opening.bottom, level + opening.top
                found.append(Hole(opening, side, low, high, *height))
    return found


def lines(marks: Sequence[float], step: float | None) -> Floats:
    """Gives ascending grid lines through all marks, no two further apart than `step`."""
    fixed = sorted(marks)
    kept = [low for low, high in pairwise(fixed) if high - low > _NEAR]
    kept.append(fixed[-1])
    if step is None:
        return np.array(kept)
    spans = pairwise(kept)
    pieces = [
        np.linspace(low, high, math.ceil((high - low) / step - _NEAR), endpoint=False)
        for low, high in spans
    ]
    return np.concatenate([*pieces, kept[-1:]])


def sheet(
    axis: int, at: float, us: Floats, vs: Floats, *, toward: float, keep: Flags | None = None
) -> Floats:
    """Gives a flat grid of triangles across an axis.

    Args:
        axis: 0, 1 or 2: x, y or z is `at` everywhere.
        at: Where.
        us: Lines along the first of the other two axes.
        vs: Lines along the second.
        toward: 1.0 where it is seen from above `at`, -1.0 from below.
        keep: (U - 1, V - 1) bool, the cells to make; None for all.

    Returns:
        (T, 3, 3) float64.
    """
    first, second = (other for other in range(3) if other != axis)
    cells = np.empty((len(us) - 1, len(vs) - 1, 4, 3))
    cells[..., axis] = at
    cells[:, :, 0::3, first], cells[:, :, 1:3, first] = us[:-1, None, None], us[1:, None, None]
    cells[:, :, :2, second], cells[:, :, 2:, second] = vs[None, :-1, None], vs[None, 1:, None]
    quads = cells.reshape(-1, 4, 3) if keep is None else cells[keep]
    # x cross z looks along -y, the other two pairs look along +.
    if (toward > 0) == (axis == 1):
        quads = quads[:, ::-1]
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3, 3)


def solid_box(low: Sequence[float], high: Sequence[float], *, step: float | None = None) -> Floats:
    """Gives an upright box between two corners of the world, its faces split as `lines`."""
    if step is None or all(b - a <= step for a, b in zip(low, high, strict=True)):
        return np.where(SOLIDS["box"] < 0, np.asarray(low), np.asarray(high))
    grid = [lines((a, b), step) for a, b in zip(low, high, strict=True)]
    faces = []
    for axis in range(3):
        us, vs = (grid[other] for other in range(3) if other != axis)
        faces.append(sheet(axis, low[axis], us, vs, toward=-1.0))
        faces.append(sheet(axis, high[axis], us, vs, toward=1.0))
    return np.concatenate(faces)


@dataclass(frozen=True, eq=False)
class Grid:
    """A room's lines along x, y, z, shared by all its surfaces; z in the world."""

    along: tuple[Floats, Floats, Floats]

    @classmethod
    def of(cls, home: Home, room: int, *, step: float | None) -> Grid:
        """Gives the lines of a room: its edges, its openings' and its stairs', split."""
        x0, y0, x1, y1 = home.rooms[room].box
        level = home.rooms[room].level
        marks = [[x0, x1], [y0, y1], [level, level + CEILING]]
        for hole in holes(home, room):
            marks[1 - hole.side.axis] += [hole.low, hole.high]
            marks[2] += [hole.bottom, hole.top]
        for stairs in home.stairs:
            if room in stairs.rooms:
                marks[0] += [stairs.box[0], stairs.box[2]]
                marks[1] += [stairs.box[1], stairs.box[3]]
        x, y, z = (lines(each, step) for each in marks)
        return cls((x, y, z))

    def between(self, axis: int, low: float, high: float) -> Floats:
        """Gives the lines from low to high, both of them lines."""
        line = self.along[axis]
        return line[(line >= low - _NEAR) & (line <= high + _NEAR)]


def room_surfaces(home: Home, room: int, grid: Grid) -> Iterator[Surface]:
    """Gives a room's floor, ceiling and walls, and the depth of its openings."""
    space = home.rooms[room]
    x, y, z = grid.along
    over = _outside(home, room, grid, part=1)
    yield Surface(sheet(2, space.level, x, y, toward=1.0, keep=over), space.floor, room)
    under = _outside(home, room, grid, part=0)
    corners = sheet(2, space.level + CEILING, x, y, toward=-1.0, keep=under)
    yield Surface(corners, CEILING_FINISH, room)
    cut = holes(home, room)
    for side in sides(home, room):
        along = grid.along[1 - side.axis]
        keep = np.ones((len(along) - 1, len(z) - 1), dtype=np.bool_)
        for hole in (each for each in cut if each.side == side):
            keep &= ~_covered(along, hole.low, hole.high)[:, None] | ~_covered(
                z, hole.bottom, hole.top
            )
        corners = sheet(side.axis, side.at, along, z, toward=side.inward, keep=keep)
        yield Surface(corners, space.wall, room)


def _outside(home: Home, room: int, grid: Grid, *, part: int) -> Flags:
    """Gives which cells of a floor (`part` 1) or a ceiling (0) no flight of stairs opens."""
    x, y, _ = grid.along
    keep = np.ones((len(x) - 1, len(y) - 1), dtype=np.bool_)
    for stairs in home.stairs:
        if stairs.rooms[part] == room:
            x0, y0, x1, y1 = stairs.box
            keep &= ~(_covered(x, x0, x1)[:, None] & _covered(y, y0, y1))
    return keep


def _covered(line: Floats, low: float, high: float) -> Flags:
    middle = (line[:-1] + line[1:]) / 2
    return (middle > low) & (middle < high)


def reveal(home: Home, room: int, hole: Hole, grid: Grid) -> Iterator[tuple[str, Floats]]:
    """Gives the depth of an opening up to the middle of the wall, on one room's side.

    Yields:
        What it is (`jamb`, `lintel` or `sill`), and its triangles.
    """
    axis, along = hole.side.axis, 1 - hole.side.axis
    deep = np.array(sorted((hole.side.at, hole.side.at - hole.side.inward * WALL / 2)))
    up = grid.between(2, hole.bottom, hole.top)
    across = grid.between(along, hole.low, hole.high)
    # The other two axes come in ascending order: x before y before z.
    for at, toward in ((hole.low, 1.0), (hole.high, -1.0)):
        yield "jamb", sheet(along, at, deep, up, toward=toward)
    for name, at, toward in (("sill", hole.bottom, 1.0), ("lintel", hole.top, -1.0)):
        us, vs = (deep, across) if axis == 0 else (across, deep)
        yield name, sheet(2, at, us, vs, toward=toward)
