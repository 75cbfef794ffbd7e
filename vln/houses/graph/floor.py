"""The floor of a storey as a grid: where a person can stand, what a camera sees past."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import CAMERA_HEIGHT, STOREY, Home, Item, Opening

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CELL: Final = 0.05
"""Metres between points of the grid."""
BODY: Final = 0.2
"""Metres that a person's middle stays away from walls and furniture."""
REACH: Final = 4.0
"""Longest edge in metres, unless a longer one is all that joins two parts of a home."""


class Floor:
    """One storey's floor as grids of cells; `origin` is the corner of cell (0, 0).

    Attributes:
        free: (rows, columns) where a person's middle may be.
        clearance: (rows, columns) metres to the nearest obstacle.
        clear: (rows, columns) what a camera sees through.
        room: (rows, columns) index of the room, -1 in walls and doorways.
    """

    def __init__(self, home: Home, storey: int) -> None:
        self.storey = storey
        self.rooms = [i for i, room in enumerate(home.rooms) if room.storey == storey]
        self.openings = [o for o in home.openings if o.storey == storey and o.kind != "window"]
        boxes = np.array([home.rooms[i].box for i in self.rooms])
        self.origin = boxes[:, :2].min(axis=0) - 0.5
        shape = np.ceil((boxes[:, 2:].max(axis=0) + 0.5 - self.origin) / CELL).astype(int)[::-1]
        self.room = np.full(shape, -1, np.int32)
        for index in self.rooms:
            _fill(self.room, self._pixels(_corners(home.rooms[index].box)), index)
        open_floor = (self.room >= 0).astype(np.uint8)
        for opening in self.openings:
            _fill(open_floor, self._pixels(_corners(_passage(opening))), 1)
        self.clear = open_floor.copy()
        for item in home.items:
            if home.rooms[item.room].storey == storey:
                self._block(item, open_floor)
        for stairs in home.stairs:
            if storey in (stairs.storey, stairs.storey + 1):
                _fill(open_floor, self._pixels(_corners(stairs.box)), 0)
        self.clearance = cv2.distanceTransform(open_floor, cv2.DIST_L2, 5) * CELL
        self.free: Flags = np.greater(self.clearance, BODY)

    def _block(self, item: Item, open_floor: npt.NDArray[np.uint8]) -> None:
        if not CATEGORIES[item.category].blocks:
            return
        outline = self._pixels(footprint(item))
        _fill(open_floor, outline, 0)
        if item.position[2] + item.size[2] > self.storey * STOREY + CAMERA_HEIGHT:
            _fill(self.clear, outline, 0)

    def _pixels(self, corners: Floats) -> npt.NDArray[np.int32]:
        pixels: npt.NDArray[np.int32] = np.floor((corners - self.origin) / CELL).astype(np.int32)
        return pixels

    def at(self, points: Floats) -> tuple[Ints, Ints]:
        """Gives rows and columns of points (..., 2), kept inside the grid."""
        cell = np.floor((points - self.origin) / CELL).astype(np.int64)
        rows, columns = self.free.shape
        return np.clip(cell[..., 1], 0, rows - 1), np.clip(cell[..., 0], 0, columns - 1)

    def walkable(self, start: Floats, end: Floats) -> Flags:
        """Gives (n, m) whether one walks straight from points (n, 2) to points (m, 2), in reach."""
        gap = np.hypot(*np.moveaxis(start[:, None] - end, -1, 0))
        a, b = np.nonzero((gap <= REACH) & (gap > 0))
        found = np.zeros(gap.shape, np.bool_)
        found[a, b] = self.is_clear(self.free, start[a], end[b])
        return found

    def is_clear(self, mask: Flags, start: Floats, end: Floats) -> Flags:
        """Gives (n,) whether straight lines between points (n, 2) stay inside a mask."""
        longest = float(np.abs(end - start).max(initial=0.0))
        along = np.linspace(0.0, 1.0, int(longest / CELL) + 2)[:, None, None]
        inside = mask[self.at(start + along * (end - start))]
        return np.asarray(inside.all(axis=0))


def footprint(item: Item) -> Floats:
    """Gives (4, 2): the corners of the floor that an object stands on or hangs over."""
    # Quarter turns put corners on the lines of the grid: the last bit must not decide a cell.
    sin, cos = np.sin(item.heading).round(12), np.cos(item.heading).round(12)
    across, along = np.array([cos, -sin]), np.array([sin, cos])
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(item.size[:2]) / 2
    corners: Floats = np.array(item.position[:2]) + half[:, :1] * across + half[:, 1:] * along
    return corners


def _corners(box: tuple[float, float, float, float]) -> Floats:
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _passage(opening: Opening) -> tuple[float, float, float, float]:
    """Gives the floor under an opening, from one room's edge to the other's."""
    (x0, y0), (x1, y1) = opening.start, opening.end
    low, high = (min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))
    thick = 0.1  # a little more than half a wall, so that no gap remains to either room
    sideways = (0.0, thick) if high[0] - low[0] > high[1] - low[1] else (thick, 0.0)
    return low[0] - sideways[0], low[1] - sideways[1], high[0] + sideways[0], high[1] + sideways[1]


def _fill(grid: npt.NDArray[Any], outline: npt.NDArray[np.int32], value: int) -> None:
    cv2.fillConvexPoly(grid, outline, value)
