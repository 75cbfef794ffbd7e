"""How much light falls on points of a home: the compiled part of `vln.houses.pictures.light`.

Light comes from sample points of lamps, windows and openings, from the sun through windows, and
from everywhere (what walls throw back), less near corners and furniture. What stands in between is
looked up in a grid of little cells per room. Knows nothing of triangles or pictures.

Legend: N points, R rooms, L samples of lamps, W windows.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from vln.houses.pictures.compiled import compiled

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

CELL: Final = 0.08
"""Metres along a cell of the grids."""
NEAR: Final = 0.9
"""Metres within which a wall or an object keeps light from everywhere away."""
_FAINT: Final = 0.004
"""Light that is not worth looking for what stands in its way."""
_SOFT: Final = 0.4
"""Square metres: nothing is lit as if it touched a lamp."""


class Grids(NamedTuple):
    """Which cells of each room are full.

    Attributes:
        low: (R, 3) metres: the corner where each room's grid begins.
        high: (R, 3) metres: the opposite corner of the room.
        shape: (R, 3) cells along x, y, z.
        start: (R,) where each room's cells begin.
        full: (C,) uint8, 1 where something stands; z varies fastest.
    """

    low: Floats
    high: Floats
    shape: Ints
    start: Ints
    full: Bytes


class Lights(NamedTuple):
    """What shines in each room.

    Attributes:
        start: (R + 1,) where each room's samples begin.
        place: (L, 3) metres.
        toward: (L, 3) where a window's or opening's sample looks; zero for lamps, which shine all
            around.
        power: (L, 3) linear RGB of what falls on a surface one metre away.
        sun: (3,) unit vector to the sun.
        sunlight: (3,) linear RGB of the sun.
        pane_start: (R + 1,) where each room's windows begin.
        pane_low: (W, 3) metres, one corner of each window.
        pane_high: (W, 3) metres, the opposite one.
        around: (R, 2, 3) linear RGB of light from everywhere: on what looks up, and down.
    """

    start: Ints
    place: Floats
    toward: Floats
    power: Floats
    sun: Floats
    sunlight: Floats
    pane_start: Ints
    pane_low: Floats
    pane_high: Floats
    around: Floats


@compiled
def fill(corners: Floats32, room: Ints, grids: Grids) -> None:
    """Marks the cells that triangles (T, 3, 3) of rooms (T,) touch."""
    low, shape, start, full = grids.low, grids.shape, grids.start, grids.full
    cell = np.empty(3, np.int64)
    for t in range(corners.shape[0]):
        here = room[t]
        longest = 0.0
        for axis in range(3):
            a, b, c = corners[t, 0, axis], corners[t, 1, axis], corners[t, 2, axis]
            longest = max(longest, abs(b - a), abs(c - a), abs(c - b))
        steps = int(longest / (CELL * 0.6)) + 1
        for i in range(steps + 1):
            for j in range(steps + 1 - i):
                p, q = i / steps, j / steps
                inside = True
                for axis in range(3):
                    at = corners[t, 0, axis] * (1 - p - q) + corners[t, 1, axis] * p
                    at += corners[t, 2, axis] * q - low[here, axis]
                    cell[axis] = math.floor(at / CELL)
                    inside = inside and 0 <= cell[axis] < shape[here, axis]
                if inside:
                    row = cell[0] * shape[here, 1] + cell[1]
                    full[start[here] + row * shape[here, 2] + cell[2]] = 1


@compiled
def march(
    x: float,
    y: float,
    z: float,
    dx: float,
    dy: float,
    dz: float,
    first: float,
    last: float,
    nx: int,
    ny: int,
    nz: int,
    start: int,
    full: Bytes,
) -> float:
    """Gives how far along a ray the first full cell is, -1 where there is none; all in cells.

    The ray begins at (x, y, z) from the corner of a room of nx, ny and nz cells, which begin at
    `start` in `full`, and runs along a unit vector; cells before `first` do not count.
    """
    at = first
    while at < last:
        i, j, k = int(x + dx * at), int(y + dy * at), int(z + dz * at)
        if 0 <= i < nx and 0 <= j < ny and 0 <= k < nz and full[start + (i * ny + j) * nz + k]:
            return at
        at += 1.0
    return -1.0


@compiled
def _frame(n: Floats, frame: Floats) -> None:
    """Sets two unit vectors (2, 3) across a unit normal and each other."""
    x, y, z = n[0], n[1], n[2]
    if abs(x) < 0.7:
        length = math.sqrt(y * y + z * z)
        frame[0, 0], frame[0, 1], frame[0, 2] = 0.0, z / length, -y / length
    else:
        length = math.sqrt(x * x + z * z)
        frame[0, 0], frame[0, 1], frame[0, 2] = -z / length, 0.0, x / length
    a, b, c = frame[0, 0], frame[0, 1], frame[0, 2]
    frame[1, 0], frame[1, 1], frame[1, 2] = y * c - z * b, z * a - x * c, x * b - y * a


@compiled
def openness(p: Floats, n: Floats, frame: Floats, room: int, ways: Floats, grids: Grids) -> float:
    """Gives how much of the half space above a point is free nearby, 0 to 1.

    Args:
        p: (3,) the point, in cells from the room's corner.
        n: (3,) its unit normal.
        frame: (2, 3) unit vectors across it.
        room: Whose walls and cells count.
        ways: (K, 3) unit vectors around z, spread like the cosine.
        grids: What stands there.
    """
    shape, start, full = grids.shape, grids.start, grids.full
    nx, ny, nz = shape[room, 0], shape[room, 1], shape[room, 2]
    x, y, z = p[0], p[1], p[2]
    reach, closed = NEAR / CELL, 0.0
    for k in range(ways.shape[0]):
        a, b, c = ways[k, 0], ways[k, 1], ways[k, 2]
        dx = a * frame[0, 0] + b * frame[1, 0] + c * n[0]
        dy = a * frame[0, 1] + b * frame[1, 1] + c * n[1]
        dz = a * frame[0, 2] + b * frame[1, 2] + c * n[2]
        stop = min(_exit(x, dx, nx), _exit(y, dy, ny), _exit(z, dz, nz), reach)
        found = march(x, y, z, dx, dy, dz, 1.2, stop, nx, ny, nz, start[room], full)
        near, weight = (found, 1.0) if found >= 0 else (stop, 0.55)
        closed += weight * (1 - near / reach) * (1 - near / reach)
    return float(1 - closed / ways.shape[0])


@compiled
def _exit(at: float, way: float, count: int) -> float:
    """Gives how far along a ray a room ends along one axis, in cells."""
    if abs(way) < 1e-9:
        return 1e9
    return max(((count if way > 0 else 0) - at) / way, 0.0)


@compiled
def _add_samples(
    p: Floats, n: Floats, room: int, lights: Lights, grids: Grids, light: Floats
) -> None:
    """Adds what lamps, windows and openings throw on a point, given in cells."""
    place, toward, power, low = lights.place, lights.toward, lights.power, grids.low
    shape, start, full = grids.shape, grids.start, grids.full
    nx, ny, nz = shape[room, 0], shape[room, 1], shape[room, 2]
    for s in range(lights.start[room], lights.start[room + 1]):
        x = place[s, 0] - low[room, 0] - p[0] * CELL
        y = place[s, 1] - low[room, 1] - p[1] * CELL
        z = place[s, 2] - low[room, 2] - p[2] * CELL
        squared = x * x + y * y + z * z + 1e-9
        far = math.sqrt(squared)
        facing = (x * n[0] + y * n[1] + z * n[2]) / far
        leaving = 0.7 + 0.35 * z / far  # lamps shine down more than up
        if toward[s, 0] != 0 or toward[s, 1] != 0 or toward[s, 2] != 0:
            leaving = -(x * toward[s, 0] + y * toward[s, 1] + z * toward[s, 2]) / far
        share = facing * leaving / (squared + _SOFT)
        if facing <= 0 or leaving <= 0 or share * power[s, 1] < _FAINT:
            continue
        x, y, z, stop = x / far, y / far, z / far, far / CELL - 1
        if march(p[0], p[1], p[2], x, y, z, 1.6, stop, nx, ny, nz, start[room], full) < 0:
            for channel in range(3):
                light[channel] += share * power[s, channel]


@compiled
def _sunshine(p: Floats, n: Floats, room: int, lights: Lights, grids: Grids) -> float:
    """Gives how much of the sun a point (in cells) sees through windows, times the cosine."""
    sun, low, high, base = lights.sun, lights.pane_low, lights.pane_high, grids.low
    facing = sun[0] * n[0] + sun[1] * n[1] + sun[2] * n[2]
    if facing <= 0:
        return 0.0
    shape, start = grids.shape, grids.start[room]
    for w in range(lights.pane_start[room], lights.pane_start[room + 1]):
        axis = 0 if high[w, 0] - low[w, 0] < high[w, 1] - low[w, 1] else 1
        apart = low[w, axis] - base[room, axis] - p[axis] * CELL
        if abs(sun[axis]) < 1e-3 or apart * sun[axis] <= 0:
            continue
        far = apart / sun[axis]
        side = 1 - axis
        u = base[room, side] + p[side] * CELL + far * sun[side]
        v = base[room, 2] + p[2] * CELL + far * sun[2]
        inside = min(u - low[w, side], high[w, side] - u, v - low[w, 2], high[w, 2] - v)
        if inside <= -0.03:
            continue
        nx, ny, nz = shape[room, 0], shape[room, 1], shape[room, 2]
        far /= CELL
        way = march(
            p[0], p[1], p[2], sun[0], sun[1], sun[2], 1.6, far, nx, ny, nz, start, grids.full
        )
        if way < 0:
            return float(facing * min((inside + 0.03) / 0.08, 1.0))
    return 0.0


@compiled
def bake(
    points: Floats32,
    normals: Floats32,
    room: Ints,
    ways: Floats,
    lights: Lights,
    grids: Grids,
) -> Floats32:
    """Gives (N, 3) float32 linear RGB of the light on points (N, 3) with unit normals (N, 3)."""
    baked = np.empty((points.shape[0], 3), np.float32)
    p, n, light, frame = np.empty(3), np.empty(3), np.empty(3), np.empty((2, 3))
    around, sunlight, low = lights.around, lights.sunlight, grids.low
    for index in range(points.shape[0]):
        here = room[index]
        for axis in range(3):
            n[axis] = normals[index, axis]
            p[axis] = (points[index, axis] - low[here, axis]) / CELL + 0.25 * n[axis]
        _frame(n, frame)
        free = openness(p, n, frame, here, ways, grids)
        up = 0.5 + 0.5 * n[2]
        sun = _sunshine(p, n, here, lights, grids)
        for k in range(3):
            both = around[here, 1, k] + up * (around[here, 0, k] - around[here, 1, k])
            light[k] = free * both + sun * sunlight[k]
        _add_samples(p, n, here, lights, grids, light)
        for k in range(3):
            baked[index, k] = light[k]
    return baked
