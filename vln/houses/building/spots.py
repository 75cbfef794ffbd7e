"""Where a thing may stand in a room: candidates, best first, as x, y and turn.

They are only proposals; `ground` says which of them are free. Turns count 0 +y, 1 +x, 2 -y, 3 -x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vln.houses.building.ground import (
    AHEAD,
    GAP,
    Ground,
    footprint,
    grow,
    overlap,
    point_at,
    wall_box,
)
from vln.houses.building.scene import Box

Spot = tuple[float, float, int]
Size = tuple[float, float, float]

_REACH: Final = 0.42
"""Metres between a coffee table and its sofa."""
_NARROW: Final = 2.8
"""Metres across a corridor at most."""
_TRIES: Final = 26


@dataclass
class Thing:
    """An object without colour.

    Attributes:
        category: Its name.
        room: Index of its room.
        position: x, y, z of the middle of its base.
        turn: Where its front looks.
        size: Across, front to back, high.
        like: Index of the thing whose colour and material it shares, or -1.
    """

    category: str
    room: int
    position: tuple[float, float, float]
    turn: int
    size: Size
    like: int = -1

    @property
    def box(self) -> Box:
        """Its footprint."""
        x, y, _ = self.position
        return footprint(x, y, self.size[0], self.size[1], self.turn)

    def off(self, ahead: float, right: float = 0.0) -> tuple[float, float]:
        """Gives the point that many metres before and beside its middle, to the millimetre."""
        (dx, dy), (sx, sy) = AHEAD[self.turn], AHEAD[(self.turn + 1) % 4]
        x, y, _ = self.position
        return round(x + dx * ahead + sx * right, 3), round(y + dy * ahead + sy * right, 3)


def wall_spots(
    ground: Ground, size: Size, *, is_centred: bool, rng: np.random.Generator
) -> Iterator[Spot]:
    """Gives spots with the back to a wall: its middle, or in corners and beside what is there."""
    lengths = [ground.wall_length(side) for side in range(4)]
    sides = [int(s) for s in rng.permutation(4)]
    if min(lengths) < _NARROW:  # who stands at the end of a corridor stands in the way
        sides = [s for s in sides if lengths[s] > min(lengths)] or sides
    snug: list[tuple[int, float]] = []
    loose: list[tuple[int, float]] = []
    for side in sides:
        low = ground.wall_start(side) + GAP + size[0] / 2
        high = ground.wall_start(side) + lengths[side] - GAP - size[0] / 2
        if high >= low:
            beside = [low, high, *_beside(ground, side, size[0])]
            snug += [(side, t) for t in ([(low + high) / 2] if is_centred else beside)]
            loose += [(side, float(t)) for t in rng.uniform(low, high, _TRIES // 4)]
    for side, t in _shuffled(snug, rng=rng) + _shuffled(loose, rng=rng):
        yield _against(ground, side, t, size[1])


def corner_spots(ground: Ground, size: Size, *, rng: np.random.Generator) -> Iterator[Spot]:
    """Gives the four corners, looking along the room's longer way first."""
    along = 0 if ground.wall_length(1) > ground.wall_length(0) else 1
    corners = [(side, other) for side in (0, 2) for other in (1, 3)]
    for corner in _shuffled(corners, rng=rng):
        for axis in (along, 1 - along):
            side, other = corner[axis], corner[1 - axis]
            start, length = ground.wall_start(side), ground.wall_length(side)
            half = size[0] / 2 + GAP
            yield _against(
                ground, side, start + length - half if other < 2 else start + half, size[1]
            )


def middle_spots(ground: Ground, size: Size, *, rng: np.random.Generator) -> Iterator[Spot]:
    """Gives spots around the room's middle, further and further out."""
    x0, y0, x1, y1 = ground.box
    turn = int((x1 - x0 > y1 - y0) != (size[0] > size[1]))
    for k in range(_TRIES):
        spread = 0.05 + 0.4 * k / _TRIES
        x = (x0 + x1) / 2 + float(rng.uniform(-spread, spread)) * (x1 - x0)
        y = (y0 + y1) / 2 + float(rng.uniform(-spread, spread)) * (y1 - y0)
        flip = 2 * int(rng.integers(2))
        yield round(x, 3), round(y, 3), (turn + (k % 3 == 2) + flip) % 4


def before_spot(host: Thing, size: Size) -> Spot:
    """Gives the spot before a sofa, at arm's length, looking as it does."""
    return (*host.off(host.size[1] / 2 + _REACH + size[1] / 2), host.turn)


def seat_spots(host: Thing, size: Size) -> Iterator[Spot]:
    """Gives spots around a table, or before a desk, that look at it."""
    across, deep, _ = host.size
    step = across / 4 if across > 2 * size[0] + 0.3 else 0.0
    places = [(0, -step), (2, step), (0, step), (2, -step), (1, 0.0), (3, 0.0)]
    for quarter, shift in [(0, 0.0)] if host.category == "desk" else places:
        away = (deep if quarter % 2 == 0 else across) / 2 + 0.06 + size[1] / 2
        side = 1 if quarter < 2 else -1
        x, y = host.off(away * side, shift) if quarter % 2 == 0 else host.off(shift, away * side)
        yield x, y, (host.turn + quarter + 2) % 4


def side_spots(host: Thing, size: Size, *, rng: np.random.Generator) -> Iterator[Spot]:
    """Gives the spots at both sides of a bed's head."""
    back, away = (size[1] - host.size[1]) / 2, (host.size[0] + size[0]) / 2 + 2 * GAP
    for sign in _shuffled([1, -1], rng=rng):
        yield (*host.off(back, away * sign), host.turn)


def top_spots(
    host: Thing, size: Size, *, rng: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Gives points of a surface: about the middle of a table, towards the back of all else."""
    right, ahead = (max(0.0, (host.size[i] - size[i]) / 2 - 0.02) for i in (0, 1))
    for _ in range(10):
        if host.category.endswith("table"):
            yield host.off(ahead * rng.uniform(-0.25, 0.25), right * rng.uniform(-0.25, 0.25))
        else:
            yield host.off(-ahead * rng.uniform(0.2, 0.8), right * rng.uniform(-0.95, 0.95))


def is_at(seat: Thing, host: Thing) -> bool:
    """Whether a chair stands at a table."""
    return overlap(grow(seat.box, 0.2), host.box)


def _beside(ground: Ground, side: int, across: float) -> list[float]:
    """Gives places along a wall that touch what already stands there."""
    start = ground.wall_start(side)
    near = wall_box(ground.box, side, start, start + ground.wall_length(side), 0.3)
    found = []
    for solid in ground.solids:
        if overlap(near, solid):
            low, high = solid[side % 2], solid[side % 2 + 2]
            found += [low - 2 * GAP - across / 2, high + 2 * GAP + across / 2]
    return found


def _against(ground: Ground, side: int, t: float, deep: float) -> Spot:
    """Gives a spot with its back to a side's wall, `t` along it."""
    x, y = point_at(ground.box, side, t, GAP + deep / 2)
    return round(x, 3), round(y, 3), (side + 2) % 4


def _shuffled(options: list[Any], *, rng: np.random.Generator) -> list[Any]:
    return [options[int(i)] for i in rng.permutation(len(options))]
