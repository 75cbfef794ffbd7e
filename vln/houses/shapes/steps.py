"""Flights of stairs: treads, railings, and the edge of the hole in the floor above.

A flight fills its footprint: each step is solid down to the lower floor, the last riser ends at the
upper floor. Works in the frame of the flight: `along` from its foot, `across` from its middle to
the right, `up` from the lower floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import CEILING, STOREY, Finish, Home, Stairs
from vln.houses.shapes.shell import CEILING_FINISH, Surface, lines, sheet, solid_box
from vln.houses.shapes.solids import Part, place

Floats = npt.NDArray[np.float64]
Flight = tuple[float, float, float]

RISERS: Final = 16
RAIL: Final = 0.9
"""Metres of handrails above treads and floors."""
TREAD: Final = Finish("wood", (150, 108, 70))
RISER: Final = Finish("trim", (232, 228, 220))
BALUSTER: Final = Finish("trim", (240, 238, 232))
HANDRAIL: Final = Finish("wood", (112, 74, 46))

_BOARD = 0.03
_EDGE = 0.04
_NEAR_WALL = 0.35


def flights(home: Home, *, step: float | None) -> Iterator[Surface]:
    """Gives all flights of a home.

    Args:
        home: The home.
        step: As in `home_mesh`.
    """
    for stairs in home.stairs:
        lower, upper = stairs.rooms
        long, wide = _spans(stairs)
        treads, risers = _treads(stairs, step)
        yield Surface(treads, TREAD, lower)
        yield Surface(risers, RISER, lower)
        yield Surface(_rim(stairs, step), CEILING_FINISH, lower)
        bars, rails = [], []
        for across in (-wide / 2 + _EDGE, wide / 2 - _EDGE):
            rails.append(_bar((0.0, across, RAIL), (long, across, STOREY + RAIL), HANDRAIL))
            bars += _balusters(long, across)
        yield Surface(_placed(stairs, bars), BALUSTER, lower)
        yield Surface(_placed(stairs, rails), HANDRAIL, lower)
        guard = _guard(home, stairs)
        for look in (BALUSTER, HANDRAIL):
            some = [part for part in guard if part.finish == look]
            yield Surface(_placed(stairs, some), look, upper)


def _spans(stairs: Stairs) -> tuple[float, float]:
    """Gives metres along and across a flight."""
    x0, y0, x1, y1 = stairs.box
    upright = abs(math.cos(stairs.heading)) > 0.5
    return (y1 - y0, x1 - x0) if upright else (x1 - x0, y1 - y0)


def _axes(stairs: Stairs) -> tuple[Floats, Floats, Floats]:
    """Gives the foot's middle, and the unit vectors along and across, exact for right angles."""
    x0, y0, x1, y1 = stairs.box
    along = np.array([round(math.sin(stairs.heading)), round(math.cos(stairs.heading)), 0.0])
    across = np.array([along[1], -along[0], 0.0])
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2, stairs.storey * STOREY])
    return middle - along * _spans(stairs)[0] / 2, along, across


def _placed(stairs: Stairs, parts: list[Part]) -> Floats:
    """Gives parts whose frame is along, across, up as triangles in the world."""
    foot, along, across = _axes(stairs)
    corners, _ = place(parts)
    # Along, right, up is a left-handed frame: mirrored triangles must be turned over.
    corners = corners[:, ::-1]
    a, b, c = corners[..., 0:1], corners[..., 1:2], corners[..., 2:3]
    placed: Floats = foot + a * along + b * across + c * np.array([0.0, 0.0, 1.0])
    return placed


def _box(stairs: Stairs, low: Flight, high: Flight, step: float | None) -> Floats:
    """Gives a box between two corners in the frame of the flight."""
    foot, along, across = _axes(stairs)
    ends = [foot + a * along + b * across + np.array([0.0, 0.0, c]) for a, b, c in (low, high)]
    return solid_box(np.minimum(*ends).tolist(), np.maximum(*ends).tolist(), step=step)


def _treads(stairs: Stairs, step: float | None) -> tuple[Floats, Floats]:
    """Gives the boards one steps on, and the solid steps below them."""
    long, wide = _spans(stairs)
    run, rise = long / (RISERS - 1), STOREY / RISERS
    treads, risers = [], []
    for k in range(RISERS - 1):
        top, start, half = (k + 1) * rise, k * run, wide / 2
        low, high = (max(0.0, start - 0.02), -half, top - _BOARD), (start + run, half, top)
        treads.append(_box(stairs, low, high, step))
        low, high = (start, -half + 0.01, 0.0), (start + run, half - 0.01, top - _BOARD)
        risers.append(_box(stairs, low, high, step))
    return np.concatenate(treads), np.concatenate(risers)


def _rim(stairs: Stairs, step: float | None) -> Floats:
    """Gives the cut edges of the floor above, all around the hole."""
    x0, y0, x1, y1 = stairs.box
    base = stairs.storey * STOREY
    up = lines((base + CEILING, base + STOREY), step)
    x, y = lines((x0, x1), step), lines((y0, y1), step)
    return np.concatenate(
        [
            sheet(0, x0, y, up, toward=1.0),
            sheet(0, x1, y, up, toward=-1.0),
            sheet(1, y0, x, up, toward=1.0),
            sheet(1, y1, x, up, toward=-1.0),
        ]
    )


def _bar(start: Flight, end: Flight, look: Finish, *, thick: float = 0.05) -> Part:
    """Gives a bar that runs along the flight or along a railing, its ends overlapping."""
    (a0, b0, c0), (a1, b1, c1) = start, end
    middle = ((a0 + a1) / 2, (b0 + b1) / 2, (c0 + c1) / 2)
    if a0 == a1:
        return Part("box", middle, (thick, abs(b1 - b0) + thick, thick), look)
    long = math.hypot(a1 - a0, c1 - c0)
    turn = (0.0, -math.atan2(c1 - c0, a1 - a0), 0.0)
    return Part("box", middle, (long, thick, thick), look, turn)


def _post(along: float, across: float, low: float, high: float, thick: float) -> Part:
    middle = (along, across, (low + high) / 2)
    return Part("box", middle, (thick, thick, high - low), BALUSTER)


def _balusters(long: float, across: float) -> list[Part]:
    """Gives a post at the foot and a thin one on every tread."""
    run, rise = long / (RISERS - 1), STOREY / RISERS
    posts = [_post(0.04, across, 0.0, RAIL + 0.12, 0.08)]
    for k in range(RISERS - 1):
        along = (k + 0.5) * run
        top = RAIL + along / long * STOREY
        posts.append(_post(along, across, (k + 1) * rise, top, 0.025))
    return posts


def _guard(home: Home, stairs: Stairs) -> list[Part]:
    """Gives the railing around the hole, open where the flight arrives or a wall is close."""
    long, wide = _spans(stairs)
    foot, along, across = _axes(stairs)
    x0, y0, x1, y1 = home.rooms[stairs.rooms[1]].box
    half, parts = wide / 2 + 0.05, []
    edges = (
        ((0.0, -half), (long, -half), -across, foot - across * wide / 2),
        ((0.0, half), (long, half), across, foot + across * wide / 2),
        ((-0.05, -half), (-0.05, half), -along, foot),
    )
    for (a0, b0), (a1, b1), outward, edge in edges:
        x, y = (edge + outward * _NEAR_WALL)[:2]
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            continue
        top = STOREY + RAIL
        parts.append(_bar((a0, b0, top), (a1, b1, top), HANDRAIL))
        count = max(2, round(math.hypot(a1 - a0, b1 - b0) / 0.14))
        for k in range(count + 1):
            share, thick = k / count, 0.07 if k in (0, count) else 0.025
            at = (a0 + (a1 - a0) * share, b0 + (b1 - b0) * share)
            parts.append(_post(*at, STOREY, top + (0.04 if thick > 0.05 else 0.0), thick))
    return parts
