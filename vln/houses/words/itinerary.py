"""What a guide has to tell on a path: turns, doors, stairs, and objects with where they are.

Measured on the home; no words. Step i of a path stands at its viewpoint i and leads to i + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.geometry import heading_of, wrap
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import Home, Item, Opening, Room
from vln.houses.graph.navigate import Walk
from vln.houses.graph.sight import Sights
from vln.houses.words.naming import NAMED_PIXELS

Floats = npt.NDArray[np.float64]

NOTICED: Final = 30.0
"""Pixels at 224 px from which a second object of a name makes the name ambiguous."""
FARTHEST: Final = 8.0
"""Metres up to which a guide mentions things."""
_PASSED: Final = (0.25, 2.0)
"""Metres to the side of one's way at which one passes something."""
_AIM: Final = np.radians(15.0)


@dataclass(frozen=True)
class Glimpse:
    """An object as it is seen from a viewpoint.

    Attributes:
        item: Index of the object.
        heading: Of its visible part, world.
        elevation: Of its visible part.
        turn: Radians to the right of where one looks.
        distance: Metres over the floor to it.
    """

    item: int
    heading: float
    elevation: float
    turn: float
    distance: float


class Itinerary:
    """A path through a home.

    Args:
        home: The home.
        walk: Its viewpoints.
        sights: What is seen from them.
        path: Viewpoint indices, two at least.
        heading: Where one looks at the start.
    """

    def __init__(
        self, home: Home, walk: Walk, sights: Sights, *, path: list[int], heading: float
    ) -> None:
        self.home = home
        self.path = path
        self._walk = walk
        self._sights = sights
        steps = np.diff(walk.position[path], axis=0)
        self._length = np.hypot(steps[:, 0], steps[:, 1])
        self.ahead: list[float] = heading_of(steps).tolist()
        self.facing: list[float] = [heading, *self.ahead]
        self._rows = [self._named(viewpoint) for viewpoint in path]

    def __len__(self) -> int:
        return len(self.ahead)

    def _named(self, viewpoint: int) -> list[int]:
        """Gives the sights from a viewpoint that have a name of their own, the largest first."""
        first, last = np.searchsorted(self._sights.viewpoint, [viewpoint, viewpoint + 1])
        rows = np.arange(first, last)
        rows = rows[self._sights.pixels[rows] >= NOTICED]
        names = [self.home.items[i].name for i in self._sights.item[rows].tolist()]
        large = (self._sights.pixels[rows] >= NAMED_PIXELS) & (
            self._sights.distance[rows] <= FARTHEST
        )
        own = [
            row
            for row, name, ok in zip(rows, names, large, strict=True)
            if ok and names.count(name) == 1
        ]
        return sorted(map(int, own), key=lambda row: -float(self._sights.pixels[row]))

    def item(self, index: int) -> Item:
        """Gives an object."""
        return self.home.items[index]

    def room(self, step: int) -> Room:
        """Gives the room that a step starts in; the path's length gives the last one."""
        return self.home.rooms[int(self._walk.room[self.path[step]])]

    def changes_room(self, step: int) -> bool:
        """Says whether a step ends in another room."""
        return bool(self._walk.room[self.path[step]] != self._walk.room[self.path[step + 1]])

    def turn(self, step: int) -> float:
        """Gives how far to the right one turns before a step."""
        return float(wrap(np.array(self.ahead[step] - self.facing[step])))

    def opening(self, step: int) -> Opening | None:
        """Gives the door or arch that a step passes."""
        number = int(self._walk.door[self.path[step], self.path[step + 1]])
        return self.home.openings[number] if number >= 0 else None

    def climb(self, step: int) -> int:
        """Gives 1 for a step up stairs, -1 for one down, 0 for others."""
        start, end = self.path[step], self.path[step + 1]
        if self._walk.stairs[start, end] < 0:
            return 0
        return 1 if self._walk.position[end, 2] > self._walk.position[start, 2] else -1

    def paces(self, step: int) -> int:
        """Gives how many paces of 0.7 m a step of the path takes."""
        return max(1, round(float(self._length[step]) / 0.7))

    def glimpses(self, step: int, *, facing: float) -> list[Glimpse]:
        """Gives what one sees from the path's viewpoint `step` and can name, the largest first."""
        return [self._glimpse(row, facing) for row in self._rows[step]]

    def _glimpse(self, row: int, facing: float) -> Glimpse:
        heading = float(self._sights.heading[row])
        return Glimpse(
            item=int(self._sights.item[row]),
            heading=heading,
            elevation=float(self._sights.elevation[row]),
            turn=float(wrap(np.array(heading - facing))),
            distance=float(self._sights.distance[row]),
        )

    def aims(self, step: int) -> list[Glimpse]:
        """Gives what a step walks up to: straight ahead, and nearer afterwards."""
        glimpses = self.glimpses(step, facing=self.ahead[step])
        return [
            g
            for g in glimpses
            if abs(g.turn) <= _AIM
            and g.distance >= self._length[step]
            and CATEGORIES[self.item(g.item).category].place not in ("flat", "ceiling")
        ]

    def passed(self, step: int) -> list[tuple[Glimpse, str]]:
        """Gives what a step goes past, with `left`, `right`, `across` or `under`."""
        found = []
        for glimpse in self.glimpses(step, facing=self.ahead[step]):
            how = self._passing(step, self.item(glimpse.item))
            if how and abs(glimpse.turn) < np.pi / 2:
                found.append((glimpse, how))
        return found

    def _passing(self, step: int, item: Item) -> str:
        start = self._walk.position[self.path[step], :2]
        east, north = np.array(item.position[:2]) - start
        sin, cos = np.sin(self.ahead[step]), np.cos(self.ahead[step])
        along, aside = east * sin + north * cos, east * cos - north * sin
        place = CATEGORIES[item.category].place
        if not 0.1 < along < self._length[step] + 0.1:
            return ""
        if place in ("flat", "ceiling"):
            near = abs(aside) < min(item.size[:2]) / 2
            return ("across" if place == "flat" else "under") if near else ""
        if not _PASSED[0] < abs(aside) < _PASSED[1]:
            return ""
        return "right" if aside > 0 else "left"
