"""Colours of samples: what a surface is made of, times the light on it, plus what it mirrors.

Compiled; runs row by row after `vln.houses.pictures.raster` has found what is seen.

Legend: S pixels along a face, N samples of a row.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vln.houses.pictures.bake import Lights
from vln.houses.pictures.compiled import compiled
from vln.houses.pictures.light import Charts
from vln.houses.pictures.outdoors import HIGHEST, LOWEST
from vln.houses.pictures.samples import (
    GLOW,
    WINDOW,
    Looks,
    Samples,
    Triangles,
    collect,
    develop,
    locate,
)

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints32 = npt.NDArray[np.int32]
Colour = tuple[float, float, float]


@compiled
def shade(
    triangle: Ints32,
    nearness: Floats32,
    eye: Floats,
    ways: Floats,
    triangles: Triangles,
    looks: Looks,
    charts: Charts,
    lights: Lights,
    outdoors: Floats32,
    table: Bytes,
    brightest: float,
    samples: Samples,
    picture: Bytes,
) -> None:
    """Colours one face, row by row.

    Args:
        triangle: (2 S, at least 2 S) as `raster.draw` leaves it.
        nearness: (2 S, at least 2 S) as `raster.draw` leaves it.
        eye: (3,) world coordinates.
        ways: (3, 3) rows out of, right along and down along the face, in the world.
        triangles: What is drawn.
        looks: Of its finishes.
        charts: Light on the shell.
        lights: What is mirrored.
        outdoors: What windows show.
        table: sRGB for light from 0 to `brightest`.
        brightest: Light at the table's end.
        samples: Memory, as `samples.room_for` gives.
        picture: (S, S, 3) uint8, filled with RGB.
    """
    size, scale = picture.shape[0], table.shape[0] / brightest
    for row in range(size):
        count = collect(row, triangle, nearness, triangles, samples)
        locate(count, 2.0 / size, eye, ways, triangles, samples)
        _set_texture(count, triangles, looks, samples)
        _set_light(count, eye, triangles, charts, samples)
        _reflect(count, triangles, looks, lights, samples)
        _emit(count, triangles, looks, outdoors, samples)
        develop(count, samples, table, scale, picture[row])


@compiled
def _set_texture(count: int, triangles: Triangles, looks: Looks, samples: Samples) -> None:
    """Sets tone and share of the second colour, as fine as pixels can show."""
    of, widths, densities, start = triangles.finish, looks.width, looks.per_metre, looks.start
    texels, us, vs, blurs = looks.texels, samples.u, samples.v, samples.blur
    tones, mixes, deepest = samples.tone, samples.mix, start.shape[1] - 1
    depths = looks.depth
    seen = samples.triangle
    for i in range(count):
        finish = of[max(seen[i], 0)]
        level, width, per_metre = 0, widths[finish], densities[finish]
        blur = blurs[i] * per_metre * per_metre
        while blur > 2.25 and level < deepest:
            level, width, per_metre, blur = level + 1, width >> 1, per_metre * 0.5, blur * 0.25
        x, y = us[i] * per_metre - 0.5, vs[i] * per_metre - 0.5
        column, row = math.floor(x), math.floor(y)
        q, p = x - column, y - row
        j, k = column & (width - 1), (column + 1) & (width - 1)
        first = start[finish, level]
        m, n = first + (row & (width - 1)) * width, first + ((row + 1) & (width - 1)) * width
        wa, wb, wc, wd = (1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q
        a, b, c, d = m + j, m + k, n + j, n + k
        tone = texels[a, 0] * wa + texels[b, 0] * wb + texels[c, 0] * wc + texels[d, 0] * wd
        tones[i] = 1 + depths[finish] * (tone - 1)
        mixes[i] = texels[a, 1] * wa + texels[b, 1] * wb + texels[c, 1] * wc + texels[d, 1] * wd


@compiled
def _set_light(
    count: int, eye: Floats, triangles: Triangles, charts: Charts, samples: Samples
) -> None:
    """Sets the light that falls on a row's pixels."""
    chart, corners, lit, light = triangles.chart, triangles.corners, triangles.light, samples.light
    way, share, u, v = samples.way, samples.share, samples.u, samples.v
    edges = np.empty((3, 3))
    last = -1
    seen = samples.triangle
    for i in range(count):
        t = max(seen[i], 0)
        if chart[t] >= 0:
            light[0, i], light[1, i], light[2, i] = _charted(u[i], v[i], chart[t], charts)
            continue
        if t != last:
            _set_forms(corners, t, eye, edges)
            last = t
        a = edges[0, 0] * way[0, i] + edges[0, 1] * way[1, i] + edges[0, 2] * way[2, i]
        b = edges[1, 0] * way[0, i] + edges[1, 1] * way[1, i] + edges[1, 2] * way[2, i]
        c = edges[2, 0] * way[0, i] + edges[2, 1] * way[1, i] + edges[2, 2] * way[2, i]
        a, b, c = max(a, 0.0), max(b, 0.0), max(c, 0.0)
        total = a + b + c + 1e-30
        a, b, c = a / total, b / total, c / total
        share[0, i], share[1, i], share[2, i] = a, b, c
        for k in range(3):
            light[k, i] = lit[t, 0, k] * a + lit[t, 1, k] * b + lit[t, 2, k] * c


@compiled
def _reflect(
    count: int, triangles: Triangles, looks: Looks, lights: Lights, samples: Samples
) -> None:
    """Turns light that falls on pixels into light that comes back."""
    finish, room = triangles.finish, triangles.room
    colour, second, gloss = looks.colour, looks.second, looks.gloss
    light, tone, mix, facing = samples.light, samples.tone, samples.mix, samples.facing
    seen = samples.triangle
    for i in range(count):
        t = max(seen[i], 0)
        f = finish[t]
        own = tone[i] * (1 - mix[i])
        for k in range(3):
            light[k, i] *= colour[f, k] * own + second[f, k] * mix[i]
        if gloss[f] > 0 and lights.pane_start[room[t]] < lights.pane_start[room[t] + 1]:
            shine = _mirrored(i, t, triangles, lights, samples)
            shine *= gloss[f] * (0.25 + 0.75 * (1 - facing[i]) ** 3)
            light[0, i] += 0.97 * shine
            light[1, i] += shine
            light[2, i] += 1.02 * shine


@compiled
def _emit(
    count: int, triangles: Triangles, looks: Looks, outdoors: Floats32, samples: Samples
) -> None:
    """Replaces the light of pixels that show a window or a lamp."""
    finish, kinds, colour, light, way = (
        triangles.finish,
        looks.kind,
        looks.colour,
        samples.light,
        samples.way,
    )
    facing = samples.facing
    seen = samples.triangle
    for i in range(count):
        f = finish[max(seen[i], 0)]
        if kinds[f] == WINDOW:
            light[0, i], light[1, i], light[2, i] = _outside(
                way[0, i], way[1, i], way[2, i], outdoors
            )
        elif kinds[f] == GLOW:
            gain = 1.25 + 0.7 * facing[i]
            light[0, i] = colour[f, 0] * gain + 0.05 * facing[i]
            light[1, i] = colour[f, 1] * gain + 0.045 * facing[i]
            light[2, i] = colour[f, 2] * gain + 0.03 * facing[i]
        if seen[i] < 0:
            light[0, i], light[1, i], light[2, i] = 0.0, 0.0, 0.0


@compiled
def _set_forms(corners: Floats32, t: int, eye: Floats, forms: Floats) -> None:
    """Sets three linear forms (3, 3), whose values on a ray are its shares of the corners.

    They are unscaled, and all positive where the ray meets the triangle's front.
    """
    for edge in range(3):
        a, b = (edge + 2) % 3, (edge + 1) % 3
        ax, ay, az = corners[t, a, 0] - eye[0], corners[t, a, 1] - eye[1], corners[t, a, 2] - eye[2]
        bx, by, bz = corners[t, b, 0] - eye[0], corners[t, b, 1] - eye[1], corners[t, b, 2] - eye[2]
        forms[edge, 0] = ay * bz - az * by
        forms[edge, 1] = az * bx - ax * bz
        forms[edge, 2] = ax * by - ay * bx


@compiled
def _outside(dx: float, dy: float, dz: float, outdoors: Floats32) -> Colour:
    rows, columns = outdoors.shape[0], outdoors.shape[1]
    turn = math.atan2(dx, dy) / (2 * math.pi)
    rise = dz / math.sqrt(dx * dx + dy * dy + 1e-12)
    across = (turn - math.floor(turn)) * columns
    down = (HIGHEST - rise) / (HIGHEST - LOWEST) * (rows - 1)
    down = min(max(down, 0.0), rows - 1.001)
    i, j = int(down), int(across) % columns
    p, q, m, k = down - i, across - math.floor(across), i + 1, (j + 1) % columns
    wa, wb, wc, wd = (1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q
    out = outdoors
    return (
        out[i, j, 0] * wa + out[i, k, 0] * wb + out[m, j, 0] * wc + out[m, k, 0] * wd,
        out[i, j, 1] * wa + out[i, k, 1] * wb + out[m, j, 1] * wc + out[m, k, 1] * wd,
        out[i, j, 2] * wa + out[i, k, 2] * wb + out[m, j, 2] * wc + out[m, k, 2] * wd,
    )


@compiled
def _mirrored(i: int, t: int, triangles: Triangles, lights: Lights, samples: Samples) -> float:
    """Gives how bright windows are where a ray goes that a glossy surface throws back."""
    x, y, z = samples.place[0, i], samples.place[1, i], samples.place[2, i]
    dx, dy, dz = samples.way[0, i], samples.way[1, i], samples.way[2, i]
    nx, ny, nz = triangles.normal[t, 0], triangles.normal[t, 1], triangles.normal[t, 2]
    if triangles.chart[t] < 0:
        nx, ny, nz = 0.0, 0.0, 0.0
        for k in range(3):
            nx += triangles.bent[t, k, 0] * samples.share[k, i]
            ny += triangles.bent[t, k, 1] * samples.share[k, i]
            nz += triangles.bent[t, k, 2] * samples.share[k, i]
    away = 2 * (nx * dx + ny * dy + nz * dz)
    return _windows(
        x, y, z, dx - away * nx, dy - away * ny, dz - away * nz, triangles.room[t], lights
    )


@compiled
def _windows(
    x: float, y: float, z: float, rx: float, ry: float, rz: float, room: int, lights: Lights
) -> float:
    found = 0.0
    for index in range(lights.pane_start[room], lights.pane_start[room + 1]):
        low, high = lights.pane_low, lights.pane_high
        if high[index, 0] - low[index, 0] < high[index, 1] - low[index, 1]:
            way, apart, along, start, side = rx, low[index, 0] - x, ry, y, 1
        else:
            way, apart, along, start, side = ry, low[index, 1] - y, rx, x, 0
        if way * apart <= 0:
            continue
        reach = apart / way
        u, v = start + reach * along, z + reach * rz
        inside = min(u - low[index, side], high[index, side] - u)
        inside = min(inside, v - low[index, 2], high[index, 2] - v)
        soft = 0.06 + 0.1 * reach
        found = max(found, min(max((inside + soft) / (2 * soft), 0.0), 1.0))
    return 1.4 * found


@compiled
def _charted(u: float, v: float, chart: int, charts: Charts) -> Colour:
    """Gives the light that a chart has at a place, between its texels."""
    rows, columns = charts.shape[chart, 0], charts.shape[chart, 1]
    x = (u - charts.origin[chart, 0]) * charts.per_metre[chart, 0] - 0.5
    y = (v - charts.origin[chart, 1]) * charts.per_metre[chart, 1] - 0.5
    x, y = min(max(x, 0.0), columns - 1.001), min(max(y, 0.0), rows - 1.001)
    i, j = int(y), int(x)
    p, q = y - i, x - j
    at = charts.start[chart] + i * columns + j
    below, light = at + columns, charts.light
    wa, wb, wc, wd = (1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q
    return (
        light[at, 0] * wa + light[at + 1, 0] * wb + light[below, 0] * wc + light[below + 1, 0] * wd,
        light[at, 1] * wa + light[at + 1, 1] * wb + light[below, 1] * wc + light[below + 1, 1] * wd,
        light[at, 2] * wa + light[at + 1, 2] * wb + light[below, 2] * wc + light[below + 1, 2] * wd,
    )
