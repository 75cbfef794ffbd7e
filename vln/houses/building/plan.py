"""Floor plans: where a home's rooms, corridors and stairs are, and what each room is for.

A storey is corridors with strips along them; a strip is cut into rooms side by side. Cells are
bounded by walls' centre lines. Knows nothing of doors (`openings`) or furniture (`furnish`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from vln.houses.building.program import fill
from vln.houses.building.scene import WALL, Box

FLOOR_PER_VIEWPOINT: Final = 4.7
"""Square metres, furniture and walls included; measured against `navigate`."""
LEAST_AREA: Final = 44.0
"""Square metres that a kitchen, a living room, a bedroom and a bathroom need."""
TWO_STOREYS: Final = 45
"""Viewpoints from which on a home may have two storeys."""
STAIRS: Final = (1.0, 4.2)
"""Metres across and along a flight."""
LANDING: Final = 1.15
"""Metres of floor kept free at both ends of a flight."""


@dataclass(frozen=True)
class Cell:
    """A room to be: its kind, storey, and box between its walls' centre lines."""

    kind: str
    storey: int
    box: Box


@dataclass(frozen=True)
class Flight:
    """Stairs to be: footprint and direction (0 +y, 1 +x, 2 -y, 3 -x) of a climb."""

    box: Box
    turn: int


@dataclass(frozen=True)
class Plan:
    """Cells of all storeys, hallways among them, and the flight if there are two storeys."""

    cells: tuple[Cell, ...]
    flight: Flight | None


@dataclass(frozen=True)
class _Strip:
    """Floor to cut into rooms: its box, and whether they follow one another along x."""

    box: Box
    along_x: bool

    @property
    def length(self) -> float:
        x0, y0, x1, y1 = self.box
        return x1 - x0 if self.along_x else y1 - y0


@dataclass(frozen=True)
class _Frame:
    """A storey before its rooms: strips, corridors and, for stairs, the hall they are in."""

    strips: tuple[_Strip, ...]
    corridors: tuple[Box, ...]
    hall: Box | None


def plan_of(viewpoints: int, *, rng: np.random.Generator) -> Plan:
    """Gives a plan for a home of about that many viewpoints."""
    storeys = 1 + (viewpoints >= TWO_STOREYS and rng.random() < 0.42)
    area = max(viewpoints * FLOOR_PER_VIEWPOINT, LEAST_AREA)
    frames = [_frame(area, rng=rng)] if storeys == 1 else _two_frames(area, rng=rng)
    chosen: Counter[str] = Counter()
    cells: list[Cell] = []
    for storey, frame in enumerate(frames):
        cells += _cells(frame, storey=storey, chosen=chosen, rng=rng)
    hall = frames[0].hall
    flight = None if hall is None else _flight(hall, rng=rng)
    return _turned(Plan(tuple(cells), flight), rng=rng)


def _frame(area: float, *, rng: np.random.Generator) -> _Frame:
    """Gives a storey of that many square metres, without stairs."""
    depths, corridor = _depths(area, rng=rng)
    single = area / (depths[0] + depths[1] + corridor)
    if single < 15 or (single < 20 and rng.random() < 0.5):
        return _single(single, depths, corridor)
    shapes = [_winged, _double, _quad] if area > 330 else [_winged, _double]
    return shapes[int(rng.integers(len(shapes)))](area, depths, corridor, rng=rng)


def _depths(area: float, *, rng: np.random.Generator) -> tuple[list[float], float]:
    """Gives four strips' depths and a corridor's width."""
    share = min(1.0, area / 200)
    depths = [_cm(rng.uniform(5.3, 7.3) * (0.45 + 0.55 * share)) for _ in range(4)]
    return depths, _cm(rng.uniform(2.3, 2.7) * (0.72 + 0.28 * share) + WALL)


def _single(length: float, depths: list[float], corridor: float) -> _Frame:
    """Gives one corridor between two strips."""
    length, (a, b) = _cm(length), depths[:2]
    y1, y2 = _cm(a + corridor), _cm(a + corridor + b)
    strips = (_Strip((0, 0, length, a), along_x=True), _Strip((0, y1, length, y2), along_x=True))
    return _Frame(strips, ((0, a, length, y1),), None)


def _winged(
    area: float, depths: list[float], corridor: float, *, rng: np.random.Generator
) -> _Frame:
    """Gives a main corridor, and a second one that leaves it at a right angle with its wing."""
    a, b, c, d = depths
    high, wide = a + corridor + b, c + corridor + d
    length = _cm(np.clip(area * rng.uniform(0.45, 0.6) / high, 12.0, 26.0))
    wing = _cm(max(4.5, (area - length * high) / wide))
    places = (c, length - corridor - d, rng.uniform(c, max(c, length - corridor - d)))
    x = _cm(np.clip(places[int(rng.integers(3))], 4.0, length - corridor - 4.0))
    y1, y2 = _cm(a + corridor), _cm(high)
    x1, y3 = _cm(x + corridor), _cm(high + wing)
    strips = (
        _Strip((0, 0, length, a), along_x=True),
        _Strip((0, y1, x, y2), along_x=True),
        _Strip((x1, y1, length, y2), along_x=True),
        _Strip((_cm(x - c), y2, x, y3), along_x=False),
        _Strip((x1, y2, _cm(x1 + d), y3), along_x=False),
    )
    return _Frame(strips, ((0, a, length, y1), (x, y1, x1, y3)), None)


def _double(
    area: float, depths: list[float], corridor: float, *, rng: np.random.Generator
) -> _Frame:
    """Gives two parallel corridors, joined by one or two short ones."""
    a, b, c, _ = depths
    return _parallel(area, (a, c), (b,), corridor, rng=rng)


def _quad(area: float, depths: list[float], corridor: float, *, rng: np.random.Generator) -> _Frame:
    """Gives two parallel corridors with two strips, back to back, between them."""
    a, b, c, d = depths
    return _parallel(area, (a, c), (b, d), corridor, rng=rng)


def _parallel(
    area: float,
    outer: tuple[float, float],
    inner: tuple[float, ...],
    corridor: float,
    *,
    rng: np.random.Generator,
) -> _Frame:
    length = _cm(area / (sum(outer) + sum(inner) + 2 * corridor))
    y1 = _cm(outer[0] + corridor)
    levels = [y1]
    for depth in inner:
        levels.append(_cm(levels[-1] + depth))
    y2 = levels[-1]
    y3 = _cm(y2 + corridor)
    joins = _joins(length, corridor, rng=rng)
    strips = [
        _Strip((0, 0, length, outer[0]), along_x=True),
        _Strip((0, y3, length, _cm(y3 + outer[1])), along_x=True),
    ]
    starts = [0.0, *(_cm(x + corridor) for x in joins)]
    for low, high in pairwise(levels):
        ends = [*joins, length]
        strips += [
            _Strip((x0, low, x1, high), along_x=True)
            for x0, x1 in zip(starts, ends, strict=True)
            if x1 - x0 > 1e-6
        ]
    corridors = [(0.0, outer[0], length, y1), (0.0, y2, length, y3)]
    corridors += [(x, y1, _cm(x + corridor), y2) for x in joins]
    return _Frame(tuple(strips), tuple(corridors), None)


def _joins(length: float, corridor: float, *, rng: np.random.Generator) -> list[float]:
    """Gives where corridors cross from one parallel corridor to the other."""
    if length > 22 or (length > 16 and rng.random() < 0.5):
        return [_cm(length * rng.uniform(0.2, 0.3)), _cm(length * rng.uniform(0.66, 0.76))]
    if rng.random() < 0.3:
        return [0.0 if rng.random() < 0.5 else _cm(length - corridor)]
    return [_cm(np.clip(length * rng.uniform(0.35, 0.65), 4.0, length - corridor - 4.0))]


def _two_frames(area: float, *, rng: np.random.Generator) -> list[_Frame]:
    """Gives two storeys along one corridor, with a hall for the stairs at its end."""
    depths, corridor = _depths(area, rng=rng)
    depths[0] = _cm(max(depths[0], STAIRS[1] + 2 * LANDING + 0.4 - corridor))
    width = _cm(rng.uniform(2.7, 3.0) + WALL)
    share = rng.uniform(0.5, 0.62)
    high = depths[0] + depths[1] + corridor
    lengths = [max(area * share / high, 7.5), max(area * (1 - share) / high, 7.0)]
    frames = []
    for length in lengths:
        full = _single(length, depths, corridor) if length <= 24 else None
        if full is None:
            # a wing of the ground floor or the upper one keeps corridors short
            full = _winged(length * high, depths, corridor, rng=rng)
        frames.append(_with_hall(full, width))
    return frames


def _with_hall(frame: _Frame, width: float) -> _Frame:
    """Gives a frame whose first strip and corridor begin with a hall across both."""
    (x0, y0, x1, y1), (_, _, _, y2) = frame.strips[0].box, frame.corridors[0]
    first = replace(frame.strips[0], box=(_cm(x0 + width), y0, x1, y1))
    corridor = (_cm(x0 + width), y1, x1, y2)
    hall = (x0, y0, _cm(x0 + width), y2)
    return _Frame((first, *frame.strips[1:]), (corridor, *frame.corridors[1:]), hall)


def _flight(hall: Box, *, rng: np.random.Generator) -> Flight:
    """Gives stairs along the outer wall of their hall, climbing either way."""
    x0, y0, _, y1 = hall
    wide, long = STAIRS
    x = _cm(x0 + WALL / 2)
    slack = y1 - y0 - WALL - long
    y = _cm(y0 + WALL / 2 + LANDING + rng.uniform(0, max(0.0, slack - 2 * LANDING)))
    return Flight((x, y, _cm(x + wide), _cm(y + long)), 0 if rng.random() < 0.5 else 2)


def _cells(
    frame: _Frame, *, storey: int, chosen: Counter[str], rng: np.random.Generator
) -> list[Cell]:
    """Gives a storey's rooms and hallways; counts the kinds it chose."""
    cells = [Cell("hallway", storey, frame.hall)] if frame.hall else []
    for box in frame.corridors:
        cells += [Cell("hallway", storey, part) for part in _shortened(box)]
    # the longest strip first: the rooms that belong together find their place there
    for strip in sorted(frame.strips, key=lambda s: -s.length):
        cells += _rooms(strip, storey=storey, chosen=chosen, rng=rng)
    return cells


def _shortened(box: Box) -> list[Box]:
    """Gives a corridor as parts of 14 m at most."""
    x0, y0, x1, y1 = box
    along_x = x1 - x0 >= y1 - y0
    parts = int(np.ceil(max(x1 - x0, y1 - y0) / 14))
    if along_x:
        cuts = [_cm(x) for x in np.linspace(x0, x1, parts + 1)]
        return [(a, y0, b, y1) for a, b in pairwise(cuts)]
    cuts = [_cm(y) for y in np.linspace(y0, y1, parts + 1)]
    return [(x0, a, x1, b) for a, b in pairwise(cuts)]


def _rooms(
    strip: _Strip, *, storey: int, chosen: Counter[str], rng: np.random.Generator
) -> list[Cell]:
    """Gives rooms that fill a strip."""
    kinds, widths = fill(strip.length, chosen=chosen, rng=rng)
    scale = strip.length / sum(widths)
    cuts = [_cm(c * scale) for c in np.concatenate([[0.0], np.cumsum(widths)])]
    x0, y0, x1, y1 = strip.box
    cells = []
    for kind, (low, high) in zip(kinds, pairwise(cuts), strict=True):
        box = (
            (_cm(x0 + low), y0, _cm(x0 + high), y1)
            if strip.along_x
            else (x0, _cm(y0 + low), x1, _cm(y0 + high))
        )
        cells.append(Cell(kind, storey, box))
    return cells


def _turned(plan: Plan, *, rng: np.random.Generator) -> Plan:
    """Gives a plan mirrored and turned at random."""
    across, along, swap = (bool(b) for b in rng.integers(0, 2, 3))

    def box_of(box: Box) -> Box:
        x0, y0, x1, y1 = box
        if across:
            x0, x1 = -x1, -x0
        if along:
            y0, y1 = -y1, -y0
        # -0.0 and 0.0 are equal, and are not the same bytes
        x0, y0, x1, y1 = (0.0 + v for v in (x0, y0, x1, y1))
        return (y0, x0, y1, x1) if swap else (x0, y0, x1, y1)

    def turn_of(turn: int) -> int:
        turn = (turn + 2) % 4 if along else turn
        return turn + 1 if swap else turn  # it was 0 or 2, along y

    flight = plan.flight
    if flight is not None:
        flight = Flight(box_of(flight.box), turn_of(flight.turn))
    return Plan(tuple(replace(c, box=box_of(c.box)) for c in plan.cells), flight)


def _cm(value: float) -> float:
    """Gives a coordinate on whole centimetres, so that wall faces lie on whole millimetres."""
    return round(float(value), 2)
