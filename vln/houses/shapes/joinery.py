"""What fills and frames a room's openings and edges: doors, windows, skirting boards, lamps.

Works on one room at a time, in the frame of a wall: `u` along it, `v` up, `out` metres from it into
the room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import CEILING, WALL, Box, Finish, Home, Item, Opening
from vln.houses.shapes.shell import (
    Grid,
    Hole,
    Side,
    Surface,
    holes,
    reveal,
    sheet,
    sides,
    solid_box,
)
from vln.houses.shapes.solids import SOLIDS

Floats = npt.NDArray[np.float64]

TRIM: Final = Finish("trim", (236, 233, 226))
WOODEN_TRIM: Final = Finish("trim", (158, 118, 82))
PANE: Final = Finish("window", (205, 226, 244))
LAMP: Final = Finish("glow", (255, 246, 226))
BRASS: Final = Finish("metal", (186, 154, 90))
DOORS: Final = tuple(
    Finish("door", rgb) for rgb in ((150, 104, 66), (232, 228, 218), (112, 74, 48), (186, 150, 108))
)
"""Looks of door leaves; all of a home's doors share one."""
LAMP_SPACING: Final = 3.4
"""Metres of room for each lamp below the ceiling."""

_CASING = (0.07, 0.02)
_SKIRTING = (0.08, 0.014)
_SASH = 0.05
_BAR = 0.03
_LEAF = (0.03, 0.065)
_BESIDE_LEAF = 0.3

_PALE = 200
"""Mean sRGB value of walls above which white frames would not stand out from them."""

Span = tuple[float, float]


def trim_of(home: Home) -> Finish:
    """Gives the look of all frames and boards of a home: white, or wood where walls are white."""
    values = [value for room in home.rooms for value in room.wall.colour]
    return WOODEN_TRIM if sum(values) > _PALE * len(values) else TRIM


def joinery(home: Home, room: int, grid: Grid, *, step: float | None) -> Iterator[Surface]:
    """Gives what fills and frames a room's openings and edges.

    Args:
        home: The home.
        room: Which of its rooms.
        grid: That room's lines.
        step: As in `home_mesh`.
    """
    trim = trim_of(home)
    for hole in holes(home, room):
        looks = _reveal_looks(home, room, hole, trim)
        for name, corners in reveal(home, room, hole, grid):
            yield Surface(corners, looks[name], room)
        if hole.opening.kind != "arch":
            yield Surface(_casing(hole, step), trim, room)
        if hole.opening.kind == "window":
            yield Surface(_pane(hole, grid), PANE, room)
            yield Surface(_sash(hole, step), trim, room)
        leaf = leaf_place(home, hole.opening) if hole.opening.kind == "door" else None
        if leaf is not None and leaf[0] == room:
            yield from _leaf(home, hole, room, leaf[1], step)
    yield Surface(_skirting(home, room, grid), trim, room)
    yield Surface(_lamps(home, room), LAMP, room)


def _board(side: Side, us: Span, vs: Span, out: Span, step: float | None) -> Floats:
    """Gives a box in the frame of a wall."""
    ends = sorted(side.at + side.inward * distance for distance in out)
    low, high = [0.0, 0.0, vs[0]], [0.0, 0.0, vs[1]]
    low[side.axis], high[side.axis] = ends
    low[1 - side.axis], high[1 - side.axis] = us
    return solid_box(low, high, step=step)


def _reveal_looks(home: Home, room: int, hole: Hole, trim: Finish) -> dict[str, Finish]:
    space = home.rooms[room]
    if hole.opening.kind == "window":
        return dict.fromkeys(("jamb", "lintel", "sill"), trim)
    side = trim if hole.opening.kind == "door" else space.wall
    return {"jamb": side, "lintel": side, "sill": space.floor}


def _casing(hole: Hole, step: float | None) -> Floats:
    """Gives boards around an opening, against the wall; a sill that stands out under a window."""
    wide, thick = _CASING
    low, high, bottom, top = hole.low, hole.high, hole.bottom, hole.top
    out = (0.0, thick)
    boards = [
        _board(hole.side, (low - wide, low), (bottom, top), out, step),
        _board(hole.side, (high, high + wide), (bottom, top), out, step),
        _board(hole.side, (low - wide, high + wide), (top, top + wide), out, step),
    ]
    if hole.opening.kind == "window":
        us, vs = (low - wide - 0.02, high + wide + 0.02), (bottom - 0.035, bottom)
        boards.append(_board(hole.side, us, vs, (0.0, 0.09), step))
    return np.concatenate(boards)


def _pane(hole: Hole, grid: Grid) -> Floats:
    """Gives the glass in the middle of the wall."""
    side = hole.side
    across = grid.between(1 - side.axis, hole.low, hole.high)
    up = grid.between(2, hole.bottom, hole.top)
    at = side.at - side.inward * WALL / 2
    return sheet(side.axis, at, across, up, toward=side.inward)


def _sash(hole: Hole, step: float | None) -> Floats:
    """Gives the frame that holds the glass, and the bars that divide it."""
    side, at = hole.side, -WALL / 2
    low, high, bottom, top = hole.low, hole.high, hole.bottom, hole.top
    out, thin = (at, at + 0.04), (at, at + 0.025)
    boards = [
        _board(side, (low, low + _SASH), (bottom, top), out, step),
        _board(side, (high - _SASH, high), (bottom, top), out, step),
        _board(side, (low, high), (bottom, bottom + _SASH), out, step),
        _board(side, (low, high), (top - _SASH, top), out, step),
    ]
    columns = max(2, round((high - low) / 0.6))
    for k in range(1, columns):
        u = low + (high - low) * k / columns
        boards.append(_board(side, (u - _BAR / 2, u + _BAR / 2), (bottom, top), thin, step))
    v = bottom + (top - bottom) * 0.62
    boards.append(_board(side, (low, high), (v - _BAR / 2, v + _BAR / 2), thin, step))
    return np.concatenate(boards)


def leaf_place(home: Home, opening: Opening) -> tuple[int, int] | None:
    """Gives the room in which a door's leaf stands open, and at which end it hangs.

    A leaf lies flat against the wall beside its door: it must find that much wall without another
    opening, an object or stairs there.

    Returns:
        Index of the room; -1 for the end of lower x or y, 1 for the other. None where there is no
        such place: that door has a frame only.
    """
    for room in opening.rooms:
        for hole in (each for each in holes(home, room) if each.opening is opening):
            for end in (-1, 1):
                if _is_free(home, room, hole, end):
                    return room, end
    return None


def _leaf_span(hole: Hole, end: int) -> Span:
    wide = hole.high - hole.low
    return (hole.low - wide, hole.low) if end < 0 else (hole.high, hole.high + wide)


def _is_free(home: Home, room: int, hole: Hole, end: int) -> bool:
    low, high = _leaf_span(hole, end)
    axis = hole.side.axis
    box = home.rooms[room].box
    if low < box[1 - axis] + 0.02 or high > box[3 - axis] - 0.02:
        return False
    beside = [other for other in holes(home, room) if other.side == hole.side]
    if any(
        other.opening is not hole.opening and low < other.high + 0.1 and high > other.low - 0.1
        for other in beside
    ):
        return False
    ends = sorted((hole.side.at, hole.side.at + hole.side.inward * _BESIDE_LEAF))
    area = (ends[0], low, ends[1], high) if axis == 0 else (low, ends[0], high, ends[1])
    taken = [_around(item) for item in home.items if item.room == room and _takes_wall(item)]
    taken += [stairs.box for stairs in home.stairs if room in stairs.rooms]
    return not any(_overlap(area, each) for each in taken)


def _takes_wall(item: Item) -> bool:
    # Rugs and what hangs from the ceiling may share the leaf's floor.
    return item.size[2] > 0.05 and item.category != "pendant lamp"


def _around(item: Item) -> Box:
    """Gives the axis-aligned box around an object, for any heading."""
    x, y, _ = item.position
    cos, sin = abs(np.cos(item.heading)), abs(np.sin(item.heading))
    dx = float(cos * item.size[0] + sin * item.size[1]) / 2
    dy = float(sin * item.size[0] + cos * item.size[1]) / 2
    return x - dx, y - dy, x + dx, y + dy


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _leaf(home: Home, hole: Hole, room: int, end: int, step: float | None) -> Iterator[Surface]:
    """Gives a door's leaf, folded back against the wall, with two panels and a handle."""
    low, high = _leaf_span(hole, end)
    low, high = low + 0.005, high - 0.005
    bottom, top = hole.bottom + 0.008, hole.top - 0.01
    look = DOORS[home.seed % len(DOORS)]
    yield Surface(_board(hole.side, (low, high), (bottom, top), _LEAF, step), look, room)
    red, green, blue = (round(c * 0.86) for c in look.colour)
    face, middle = (_LEAF[1], _LEAF[1] + 0.008), bottom + (top - bottom) * 0.47
    panels = [
        _board(hole.side, (low + 0.12, high - 0.12), vs, face, step)
        for vs in ((bottom + 0.15, middle - 0.08), (middle + 0.08, top - 0.15))
    ]
    yield Surface(np.concatenate(panels), Finish("door", (red, green, blue)), room)
    u = low + 0.06 if end < 0 else high - 0.06
    inner = u + 0.1 if end < 0 else u - 0.1
    across = (min(u, inner), max(u, inner))
    handle = [
        _board(hole.side, (u - 0.02, u + 0.02), (middle - 0.07, middle + 0.07), face, None),
        _board(hole.side, across, (middle, middle + 0.02), (face[1], face[1] + 0.03), None),
    ]
    yield Surface(np.concatenate(handle), BRASS, room)


def _skirting(home: Home, room: int, grid: Grid) -> Floats:
    """Gives boards along the foot of all walls, leaving out doors and arches."""
    level, (high, thick) = home.rooms[room].level, _SKIRTING
    up = np.array([level, level + high])
    pieces = []
    for side in sides(home, room):
        along, front = 1 - side.axis, side.at + side.inward * thick
        deep = np.array(sorted((side.at, front)))
        line = grid.along[along]
        ends = [float(line[0])]
        low = [h for h in holes(home, room) if h.side == side and h.bottom < level + high]
        for hole in sorted(low, key=lambda h: h.low):
            ends += [hole.low, hole.high]
        ends.append(float(line[-1]))
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            run = grid.between(along, start, end)
            top = (deep, run) if side.axis == 0 else (run, deep)
            pieces += [
                sheet(side.axis, front, run, up, toward=side.inward),
                sheet(2, level + high, *top, toward=1.0),
                sheet(along, start, deep, up, toward=-1.0),
                sheet(along, end, deep, up, toward=1.0),
            ]
    return np.concatenate(pieces)


def lamp_places(home: Home, room: int) -> list[tuple[float, float]]:
    """Gives x, y of the lamps below a room's ceiling, none under the hole of a flight of stairs."""
    x0, y0, x1, y1 = home.rooms[room].box
    across, along = (max(1, round(span / LAMP_SPACING)) for span in (x1 - x0, y1 - y0))
    places = [
        (x0 + (i + 0.5) / across * (x1 - x0), y0 + (j + 0.5) / along * (y1 - y0))
        for i in range(across)
        for j in range(along)
    ]
    open_above = [stairs.box for stairs in home.stairs if stairs.rooms[0] == room]
    return [
        (x, y)
        for x, y in places
        if not any(_overlap((x - 0.2, y - 0.2, x + 0.2, y + 0.2), box) for box in open_above)
    ]


def _lamps(home: Home, room: int) -> Floats:
    """Gives flat bright discs below the ceiling."""
    top = home.rooms[room].level + CEILING
    disc = SOLIDS["disc"] * np.array([0.32, 0.32, 0.04])
    places = [np.array([x, y, top - 0.02]) for x, y in lamp_places(home, room)]
    return np.concatenate([np.empty((0, 3, 3)), *(disc + place for place in places)])
