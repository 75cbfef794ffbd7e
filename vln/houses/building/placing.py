"""Puts things into one room, by the kind of place that their category asks for.

Knows where a bed or a picture goes; which things a room gets is decided in `furnish`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from vln.houses.building.catalogue import Category
from vln.houses.building.ground import (
    GAP,
    Ground,
    footprint,
    front_of,
    grow,
    inside,
    overlap,
    point_at,
)
from vln.houses.building.scene import Box, Room
from vln.houses.building.spots import (
    Size,
    Spot,
    Thing,
    before_spot,
    corner_spots,
    is_at,
    middle_spots,
    seat_spots,
    side_spots,
    top_spots,
    wall_spots,
)

FULL_HEIGHT: Final = 2.9
"""What is higher reaches through the ceiling: stairs."""
_CENTRED: Final = ("bed", "sofa", "piano", "fireplace", "desk", "bathtub")
_ISLAND: Final = 0.5
"""Metres around what stands in the middle of a room."""
_FACED: Final = ("sofa", "bed")


@dataclass
class Work:
    """A room being furnished.

    Attributes:
        index: The room's.
        room: The room.
        ground: What is free in it.
        rng: Draws.
        things: What it holds so far.
        solid: Index of a thing -> its index on the ground.
    """

    index: int
    room: Room
    ground: Ground
    rng: np.random.Generator
    things: list[Thing] = field(default_factory=list)
    solid: dict[int, int] = field(default_factory=dict)

    def of(self, *names: str) -> list[int]:
        """Gives the indices of things of these categories."""
        return [i for i, thing in enumerate(self.things) if thing.category in names]

    def put(
        self, category: Category, spot: Sequence[float], size: Size, *, lift: float = 0.0
    ) -> int:
        """Notes a thing, `lift` metres above the floor; gives its index."""
        x, y, z = (round(float(v), 3) + 0.0 for v in (*spot[:2], self.room.level + lift))
        across, deep, high = (round(float(v), 3) for v in size)
        turn = int(spot[2]) % 4
        self.things.append(Thing(category.name, self.index, (x, y, z), turn, (across, deep, high)))
        return len(self.things) - 1

    def stand(
        self,
        category: Category,
        size: Size,
        spots: Iterator[Spot],
        *,
        clear: float,
        at: int = -2,
        gap: float = GAP,
    ) -> int:
        """Puts a thing on the first spot that is free; gives its index, -1 where none is.

        Args:
            category: Its category.
            size: Its size.
            spots: Best first.
            clear: Metres of floor to keep free in front of it.
            at: Index on the ground of what it may stand close before, as a chair at its desk.
            gap: Metres to all else.
        """
        for spot in spots:
            solid = footprint(spot[0], spot[1], size[0], size[1], spot[2])
            keep = front_of(solid, spot[2], clear) if clear > 0 else None
            if self.ground.allows(solid, size[2], keep, at=at, gap=gap):
                thing = self.put(category, spot, size)
                self.solid[thing] = self.ground.add(solid, size[2], keep)
                return thing
        return -1


def place(work: Work, category: Category, *, clear: float = 1.0) -> bool:
    """Puts one more thing of a category into a room; false where it finds no place.

    Args:
        work: The room.
        category: Its category.
        clear: Share of the free floor before it that must be there.
    """
    category = replace(category, clear=category.clear * clear)
    before = len(work.things)
    _PLACING[category.place](work, category)
    return len(work.things) > before


def _size(category: Category, *, rng: np.random.Generator) -> Size:
    """Gives a size of a category, to the centimetre where it is thicker than that."""
    across, deep, high = (
        round(float(rng.uniform(*span)), 2 if span[0] > 0.1 else 3) for span in category.size
    )
    return across, deep, high


def _at_wall(work: Work, category: Category) -> None:
    size = _size(category, rng=work.rng)
    is_centred = category.name in _CENTRED
    spots = wall_spots(work.ground, size, is_centred=is_centred, rng=work.rng)
    work.stand(category, size, spots, clear=category.clear)


def _in_corner(work: Work, category: Category) -> None:
    size = _size(category, rng=work.rng)
    spots = corner_spots(work.ground, size, rng=work.rng)
    if work.stand(category, size, spots, clear=category.clear) < 0:
        spots = wall_spots(work.ground, size, is_centred=False, rng=work.rng)
        work.stand(category, size, spots, clear=category.clear)


def _in_middle(work: Work, category: Category) -> None:
    """Places a table or the like in the room's middle, a coffee table before a sofa."""
    size = _size(category, rng=work.rng)
    for sofa in work.of("sofa") if category.name == "coffee table" else []:
        spots = iter([before_spot(work.things[sofa], size)])
        if work.stand(category, size, spots, clear=0.0, at=work.solid[sofa], gap=0.3) >= 0:
            return
    spots = middle_spots(work.ground, size, rng=work.rng)
    work.stand(category, size, spots, clear=0.0, gap=_ISLAND)


def _at_table(work: Work, category: Category) -> None:
    """Places a chair at the table or desk with the fewest; all of one table look alike."""
    chairs = work.of(category.name)
    served = {
        host: [chair for chair in chairs if is_at(work.things[chair], work.things[host])]
        for host in work.of(*category.near)
    }
    for host in sorted(served, key=lambda h: len(served[h])):
        twin = served[host][0] if served[host] else -1
        size = work.things[twin].size if twin >= 0 else _size(category, rng=work.rng)
        spots = seat_spots(work.things[host], size)
        thing = work.stand(category, size, spots, clear=0.0, at=work.solid[host])
        if thing >= 0:
            work.things[thing].like = twin
            return


def _at_side(work: Work, category: Category) -> None:
    """Places a nightstand at a side of a bed; two of a room look alike."""
    twins = work.of(category.name)
    size = work.things[twins[0]].size if twins else _size(category, rng=work.rng)
    for host in work.of(*category.near):
        spots = side_spots(work.things[host], size, rng=work.rng)
        thing = work.stand(category, size, spots, clear=0.25)
        if thing >= 0:
            work.things[thing].like = twins[0] if twins else -1
            return


def _on_top(work: Work, category: Category) -> None:
    """Stands a thing wholly on the surface of another one."""
    size = _size(category, rng=work.rng)
    hosts = work.of(*category.near)
    for index in (hosts[int(i)] for i in work.rng.permutation(len(hosts))):
        host = work.things[index]
        taken = [t.box for t in work.things if t.position[2] > work.room.level]
        for x, y in top_spots(host, size, rng=work.rng):
            box = footprint(x, y, size[0], size[1], host.turn)
            if inside(box, host.box, 0.01) and not _hits(grow(box, 0.03), taken):
                work.put(category, (x, y, host.turn), size, lift=host.size[2])
                solid = work.solid[index]
                top = host.size[2] + size[2]
                work.ground.heights[solid] = max(work.ground.heights[solid], top)
                return


def _flat(work: Work, category: Category) -> None:
    """Lays a rug before a sofa, half under a bed, or in the room's middle."""
    across, deep, high = _size(category, rng=work.rng)
    x0, y0, x1, y1 = work.room.box
    spot: Spot = ((x0 + x1) / 2, (y0 + y1) / 2, int(x1 - x0 < y1 - y0))
    anchors = work.of("sofa", "bed", "piano", "desk")
    if anchors:
        host = work.things[anchors[int(work.rng.integers(len(anchors)))]]
        share = 0.25 if host.category == "bed" else 0.5
        spot = (*host.off(host.size[1] / 2 + deep * share + 0.05), host.turn)
    taken = [work.things[i].box for i in work.of(category.name)] + _flights(work)
    for scale in (1.0, 0.9, 0.8, 0.7):
        size = (round(across * scale, 2), round(deep * scale, 2), high)
        box = footprint(spot[0], spot[1], size[0], size[1], spot[2])
        if inside(box, work.room.box, 0.08) and not _hits(box, taken):
            work.put(category, spot, size)
            return


def _hung(work: Work, category: Category) -> None:
    """Hangs a thing on bare wall; a television opposite a sofa or bed where there is one."""
    size = _size(category, rng=work.rng)
    lift = round(float(work.rng.uniform(*category.lift)), 2)
    heights = (lift, lift + size[2])
    ground = work.ground
    for side in _walls_to_hang_on(work, category):
        low, length = ground.wall_start(side), ground.wall_length(side)
        drawn = work.rng.uniform(low, low + length, 12).tolist()
        for t in [low + length / 2, *drawn] if work.room.kind != "hallway" else drawn:
            if ground.can_hang(side, t - size[0] / 2, t + size[0] / 2, heights):
                ground.hang(side, t - size[0] / 2, t + size[0] / 2, heights)
                x, y = point_at(ground.box, side, t, size[1] / 2)
                work.put(category, (x, y, side + 2), size, lift=lift)
                return


def _walls_to_hang_on(work: Work, category: Category) -> list[int]:
    """Gives the sides, best first: faced from a seat, else those with the least on them."""
    sides = [int(s) for s in work.rng.permutation(4)]
    if category.name == "television":
        faced = [work.things[i].turn for i in work.of(*_FACED)]
        return sorted(sides, key=lambda side: side not in faced)
    ground = work.ground
    full = [sum(h[0] == side for h in ground.hung) / ground.wall_length(side) for side in range(4)]
    return sorted(sides, key=lambda side: full[side])


def _from_ceiling(work: Work, category: Category) -> None:
    """Hangs a lamp above a table, or in the room's middle."""
    size = _size(category, rng=work.rng)
    lift = round(float(work.rng.uniform(*category.lift)), 2)
    x0, y0, x1, y1 = work.room.box
    tables = work.of("table", "round table", "coffee table")
    spots = [work.things[i].position[:2] for i in tables]
    for share in (0.5, 0.25, 0.75, 0.35, 0.65):
        along_x = x1 - x0 > y1 - y0
        dx, dy = (share, 0.5) if along_x else (0.5, share)
        spots.append((x0 + dx * (x1 - x0), y0 + dy * (y1 - y0)))
    low = work.room.level + lift - 0.1
    taken = [t.box for t in work.things if t.position[2] + t.size[2] > low] + _flights(work)
    for x, y in spots:
        box = grow(footprint(x, y, size[0], size[1], 0), 0.1)
        if inside(box, work.room.box, 0.1) and not _hits(box, taken):
            work.put(category, (x, y, 0), size, lift=lift)
            return


def _flights(work: Work) -> list[Box]:
    ground = work.ground
    return [s for s, h in zip(ground.solids, ground.heights, strict=True) if h > FULL_HEIGHT]


def _hits(box: Box, others: Sequence[Box]) -> bool:
    return any(overlap(box, other) for other in others)


_PLACING: Final[dict[str, Callable[[Work, Category], None]]] = {
    "wall": _at_wall,
    "corner": _in_corner,
    "middle": _in_middle,
    "seat": _at_table,
    "beside": _at_side,
    "top": _on_top,
    "flat": _flat,
    "hung": _hung,
    "ceiling": _from_ceiling,
}
