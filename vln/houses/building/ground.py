"""A room's floor and walls while it is furnished: what stands where, what must stay free.

Plain rectangles (x0, y0, x1, y1) in world metres. Sides and turns count 0 +y, 1 +x, 2 -y, 3 -x; a
thing turned `t` looks that way (heading t * pi / 2). Knows nothing of categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vln.houses.building.scene import Box, Opening, Room

DOOR_FREE: Final = 0.9
"""Metres kept free on both sides of doors and arches."""
WALKWAY: Final = 0.8
"""Metres that a way between things is wide at least."""
GAP: Final = 0.03
"""Metres between a thing and its wall or neighbour."""
_CELL = 0.1
_WINDOW_FREE = 0.7
_SEALED = 25
"""Grid cells of free floor that may be cut off."""

AHEAD: Final = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Unit vector of each turn."""


@dataclass(frozen=True)
class Hole:
    """An opening in a room's wall: side, its interval along the wall, its heights."""

    side: int
    low: float
    high: float
    bottom: float
    top: float
    is_window: bool


@dataclass
class Ground:
    """One room's furniture so far.

    Attributes:
        box: The room's.
        holes: Its openings.
        solids: Where things stand, in the order of placing.
        heights: How high each of `solids` is.
        keeps: Floor that must stay free, with the index of the solid it serves (-1: a door).
        hung: Per side: (low, high, bottom, top) of what hangs there.
        doors: Points 0.45 m inside each door or arch, or beside the ends of stairs.
    """

    box: Box
    holes: tuple[Hole, ...]
    solids: list[Box] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    keeps: list[tuple[Box, int]] = field(default_factory=list)
    hung: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    doors: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        shape = (max(1, round((x1 - x0) / _CELL)), max(1, round((y1 - y0) / _CELL)))
        self._blocked: npt.NDArray[np.bool_] = np.ones(shape, dtype=np.bool_)
        self._blocked[self._slice((x0, y0, x1, y1), -WALKWAY / 2)] = False
        for hole in self.holes:
            self._keep_hole(hole)

    def _keep_hole(self, hole: Hole) -> None:
        if hole.is_window:
            return
        free = wall_box(self.box, hole.side, hole.low, hole.high, DOOR_FREE)
        self.keeps.append((free, -1))
        self.doors.append(((free[0] + free[2]) / 2, (free[1] + free[3]) / 2))
        self._blocked[self._slice(free, -0.2)] = False

    def wall_length(self, side: int) -> float:
        """Gives metres of a side's wall."""
        x0, y0, x1, y1 = self.box
        return x1 - x0 if side % 2 == 0 else y1 - y0

    def wall_start(self, side: int) -> float:
        """Gives the lowest x (sides 0 and 2) or y (sides 1 and 3) of a wall."""
        return self.box[0] if side % 2 == 0 else self.box[1]

    def add(self, solid: Box, high: float, keep: Box | None) -> int:
        """Puts a thing down; gives its index."""
        self.solids.append(solid)
        self.heights.append(high)
        if keep is not None:
            self.keeps.append((keep, len(self.solids) - 1))
        self._blocked[self._slice(solid, WALKWAY / 2)] = True
        return len(self.solids) - 1

    def allows(
        self, solid: Box, high: float, keep: Box | None, *, at: int = -2, gap: float = GAP
    ) -> bool:
        """Whether a thing can stand there.

        Args:
            solid: Its footprint.
            high: Its height in metres.
            keep: Floor that must stay free for it.
            at: Index of a solid whose free floor it may stand in, as a chair at a desk.
            gap: Metres to all other solids.
        """
        if not inside(solid, self.box, 0.0):
            return False
        grown = grow(solid, gap - 1e-6)
        if any(overlap(grown, s) for s in self.solids):
            return False
        if any(owner != at and overlap(solid, k) for k, owner in self.keeps):
            return False
        if keep is not None and not self._can_keep(keep, at):
            return False
        return not self._hides_window(solid, high) and self._is_walkable(solid)

    def _can_keep(self, keep: Box, at: int) -> bool:
        if not inside(keep, self.box, 0.0):
            return False
        return not any(overlap(keep, s) for i, s in enumerate(self.solids) if i != at)

    def _hides_window(self, solid: Box, high: float) -> bool:
        return any(
            hole.is_window
            and high > hole.bottom + 0.05
            and overlap(solid, wall_box(self.box, hole.side, hole.low, hole.high, _WINDOW_FREE))
            for hole in self.holes
        )

    def _is_walkable(self, solid: Box) -> bool:
        """Whether one could still walk from every door to everything."""
        blocked = self._blocked.copy()
        blocked[self._slice(solid, WALKWAY / 2)] = True
        labels, count = ndimage.label(~blocked)
        if count == 0:
            return False
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        main = int(sizes.argmax())
        if sizes.sum() - sizes[main] > _SEALED:
            return False
        for x, y in self.doors:
            if not (labels[self._slice((x, y, x, y), 0.25)] == main).any():
                return False
        return all(
            (labels[self._slice(s, WALKWAY / 2 + 0.3)] == main).any() for s in (*self.solids, solid)
        )

    def _slice(self, box: Box, margin: float) -> tuple[slice, slice]:
        """Gives the grid cells whose middles lie in a box grown by `margin`."""
        x0, y0 = self.box[0], self.box[1]
        lows = (box[0] - margin - x0, box[1] - margin - y0)
        highs = (box[2] + margin - x0, box[3] + margin - y0)
        first, second = (
            slice(max(0, int(np.ceil(low / _CELL - 0.501))), max(0, int(high / _CELL + 0.501)))
            for low, high in zip(lows, highs, strict=True)
        )
        return first, second

    def can_hang(self, side: int, low: float, high: float, heights: tuple[float, float]) -> bool:
        """Whether a stretch of wall is bare between two heights."""
        bottom, top = heights
        start = self.wall_start(side)
        if low < start + 0.1 or high > start + self.wall_length(side) - 0.1:
            return False
        for hole in self.holes:
            if hole.side == side and low < hole.high + 0.12 and high > hole.low - 0.12:
                return False
        for other, a, b, c, d in self.hung:
            if other == side and low < b + 0.15 and high > a - 0.15 and bottom < d and top > c:
                return False
        front = wall_box(self.box, side, low - 0.05, high + 0.05, 0.35)
        return not any(
            tall > bottom - 0.08 and overlap(front, solid)
            for solid, tall in zip(self.solids, self.heights, strict=True)
        )

    def hang(self, side: int, low: float, high: float, heights: tuple[float, float]) -> None:
        """Hangs a thing."""
        self.hung.append((side, low, high, *heights))


def ground_of(index: int, room: Room, openings: Sequence[Opening]) -> Ground:
    """Gives an empty room's ground."""
    holes = [_hole(room.box, o) for o in openings if index in o.rooms]
    return Ground(room.box, tuple(holes))


def _hole(box: Box, opening: Opening) -> Hole:
    (ax, ay), (bx, by) = opening.start, opening.end
    if ax == bx:
        side, low, high = (1 if ax > box[2] else 3), min(ay, by), max(ay, by)
    else:
        side, low, high = (0 if ay > box[3] else 2), min(ax, bx), max(ax, bx)
    return Hole(side, low, high, opening.bottom, opening.top, opening.kind == "window")


def wall_box(box: Box, side: int, low: float, high: float, deep: float) -> Box:
    """Gives the floor before a stretch of a side's wall."""
    x0, y0, x1, y1 = box
    return (
        (low, y1 - deep, high, y1),
        (x1 - deep, low, x1, high),
        (low, y0, high, y0 + deep),
        (x0, low, x0 + deep, high),
    )[side]


def point_at(box: Box, side: int, t: float, away: float) -> tuple[float, float]:
    """Gives the point `away` from a side's wall, at x or y `t` along it."""
    x0, y0, x1, y1 = box
    return ((t, y1 - away), (x1 - away, t), (t, y0 + away), (x0 + away, t))[side]


def footprint(x: float, y: float, across: float, deep: float, turn: int) -> Box:
    """Gives where a thing of that size stands when it looks that way."""
    a, d = (across / 2, deep / 2) if turn % 2 == 0 else (deep / 2, across / 2)
    return (x - a, y - d, x + a, y + d)


def front_of(solid: Box, turn: int, deep: float) -> Box:
    """Gives the floor before a thing."""
    x0, y0, x1, y1 = solid
    return (
        (x0, y1, x1, y1 + deep),
        (x1, y0, x1 + deep, y1),
        (x0, y0 - deep, x1, y0),
        (x0 - deep, y0, x0, y1),
    )[turn]


def grow(box: Box, margin: float) -> Box:
    """Gives a box with `margin` metres more on each side."""
    return (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)


def inside(box: Box, outer: Box, margin: float) -> bool:
    """Whether a box lies in another one, `margin` from its rim at least."""
    slack = 1e-6
    return (
        box[0] >= outer[0] + margin - slack
        and box[1] >= outer[1] + margin - slack
        and box[2] <= outer[2] - margin + slack
        and box[3] <= outer[3] - margin + slack
    )


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes share floor."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
