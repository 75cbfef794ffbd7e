"""What the pictures' compiled loops share: triangles as they are shaded, and samples of a row.

A pixel is drawn as four samples. Where all four show one surface, it is shaded once; at an outline
every surface in it is shaded and weighs as many quarters as it has samples.

Legend: T triangles, F finishes, S pixels along a face, N samples of a row, at most 4 S.
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
Ints32 = npt.NDArray[np.int32]

LIT: Final = 0
WINDOW: Final = 1
GLOW: Final = 2

PADDING: Final = 48
"""Numbers added to rows whose length is a power of two, which a cache serves badly."""
_SAME_WAY: Final = 0.9
"""Cosine between normals of what is taken for one curve."""
_SAME_DEPTH: Final = 0.04


class Triangles(NamedTuple):
    """What is drawn.

    Attributes:
        corners: (T, 3, 3) float32 metres in the world.
        normal: (T, 3) float64 unit vectors.
        finish: (T,) int64.
        room: (T,) int64.
        chart: (T,) int64, the chart that lights it, -1 where its corners are lit.
        light: (T, 3, 3) float32 linear RGB at the corners, where there is no chart.
        bent: (T, 3, 3) float32 normals at the corners, for what is mirrored.
    """

    corners: Floats32
    normal: Floats
    finish: Ints
    room: Ints
    chart: Ints
    light: Floats32
    bent: Floats32


class Looks(NamedTuple):
    """What finishes look like.

    Attributes:
        kind: (F,) int64: `LIT`, `WINDOW` or `GLOW`.
        colour: (F, 3) float64 linear RGB.
        second: (F, 3) float64 linear RGB.
        gloss: (F,) float64.
        depth: (F,) float64, by how much their pictures' tones count.
        width: (F,) int64 pixels along a picture.
        per_metre: (F,) float64 pixels in a metre.
        start: (F, L) int64 where its levels begin.
        texels: (B, 2) float32 tone and share of the second colour.
    """

    kind: Ints
    colour: Floats
    second: Floats
    gloss: Floats
    depth: Floats
    width: Ints
    per_metre: Floats
    start: Ints
    texels: Floats32


class Samples(NamedTuple):
    """What is known of the samples of one row of pixels; (N,) or (3, N) float32 if not said.

    Attributes:
        triangle: (N,) int32, `NOTHING` where none is seen.
        pixel: (N,) int32, the column it belongs to.
        weight: (N,) int32 quarters of that pixel.
        near: One over the depth.
        across: Where it lies on the face, -1 to 1 to the right.
        down: Where it lies on the face, -1 to 1 down.
        way: (3, N) unit vectors from the eye.
        place: (3, N) where they meet the surface.
        u: Metres along the surface's first direction.
        v: Metres along its second direction.
        blur: Square metres of the surface that a pixel spans.
        facing: Cosine between the ray and the surface's normal.
        tone: Of the finish's picture.
        mix: Share of the second colour.
        share: (3, N) of the triangle's corners, where they carry the light.
        light: (3, N) linear RGB that falls on it, then that comes back.
    """

    triangle: Ints32
    pixel: Ints32
    weight: Ints32
    near: Floats32
    across: Floats32
    down: Floats32
    way: Floats32
    place: Floats32
    u: Floats32
    v: Floats32
    blur: Floats32
    facing: Floats32
    tone: Floats32
    mix: Floats32
    share: Floats32
    light: Floats32


def room_for(size: int) -> Samples:
    """Gives memory for the samples of a row of a face of S pixels."""
    most = 4 * size + PADDING  # or all would share the same few lines of the processor's cache
    whole = np.zeros((3, most), np.int32)
    single = np.zeros((9, most), np.float32)
    triple = np.zeros((4, 3, most), np.float32)
    return Samples(*whole, *single[:3], *triple[:2], *single[3:], *triple[2:])


@compiled
def collect(
    row: int, triangle: Ints32, nearness: Floats32, triangles: Triangles, samples: Samples
) -> int:
    """Sets the samples of a row of pixels, and gives how many there are.

    Args:
        row: Of pixels.
        triangle: (2 S, at least 2 S) as `raster.draw` leaves it.
        nearness: (2 S, at least 2 S) as `raster.draw` leaves it.
        triangles: What is drawn.
        samples: Filled: triangle, pixel, weight, near, across, down.
    """
    count, size = 0, triangle.shape[0]
    seen, near, pixel, weight = samples.triangle, samples.near, samples.pixel, samples.weight
    across, down, finish, normal = samples.across, samples.down, triangles.finish, triangles.normal
    top, scale = 2 * row, 1.0 / size
    for left in range(0, size, 2):
        own, first = triangle[top, left], count
        whole = own == triangle[top, left + 1] and own == triangle[top + 1, left]
        if whole and own == triangle[top + 1, left + 1]:
            seen[count], near[count] = own, nearness[top, left]
            across[count] = (2 * left + 1) * scale - 1
            down[count] = (2 * top + 1) * scale - 1
            pixel[count], weight[count] = left >> 1, 4
            count += 1
            continue
        for quarter in range(4):
            i, j = top + (quarter >> 1), left + (quarter & 1)
            t, depth = triangle[i, j], nearness[i, j]
            known = _known(t, depth, first, count, finish, normal, seen, near)
            if known >= 0:
                weight[known] += 1
                continue
            seen[count], near[count] = t, depth
            across[count] = (2 * j + 1) * scale - 1
            down[count] = (2 * i + 1) * scale - 1
            pixel[count], weight[count] = left >> 1, 1
            count += 1
    return count


@compiled
def _known(
    t: int,
    depth: float,
    first: int,
    after: int,
    finish: Ints,
    normal: Floats,
    seen: Ints32,
    near: Floats32,
) -> int:
    """Gives the sample, of those from `first` on, whose surface a triangle continues; -1 for none.

    Args:
        t: The triangle.
        depth: One over its depth here.
        first: Of the samples.
        after: The one after the last sample.
        finish: Of all triangles.
        normal: Of all triangles.
        seen: The samples' triangles.
        near: One over the samples' depths.
    """
    for k in range(first, after):
        other = seen[k]
        if other == t:
            return k
        if other < 0 or t < 0 or finish[other] != finish[t]:
            continue
        same = normal[t, 0] * normal[other, 0] + normal[t, 1] * normal[other, 1]
        same += normal[t, 2] * normal[other, 2]
        if same > _SAME_WAY and abs(depth - near[k]) < _SAME_DEPTH * depth:
            return k
    return -1


@compiled
def locate(
    count: int, pixel: float, eye: Floats, ways: Floats, triangles: Triangles, samples: Samples
) -> None:
    """Sets where samples lie on their surfaces.

    Args:
        count: N.
        pixel: A pixel's width on a face that reaches from -1 to 1.
        eye: (3,) world coordinates.
        ways: (3, 3) rows out of, right along and down along the face, in the world.
        triangles: What is drawn.
        samples: Filled: way, place, u, v, blur, facing.
    """
    normal, way, place, u, v = triangles.normal, samples.way, samples.place, samples.u, samples.v
    blur, towards, near, seen = samples.blur, samples.facing, samples.near, samples.triangle
    across, down = samples.across, samples.down
    for i in range(count):
        t = max(seen[i], 0)
        p, q = float(across[i]), float(down[i])
        dx = ways[0, 0] + p * ways[1, 0] + q * ways[2, 0]
        dy = ways[0, 1] + p * ways[1, 1] + q * ways[2, 1]
        dz = ways[0, 2] + p * ways[1, 2] + q * ways[2, 2]
        shorter = 1 / math.sqrt(1 + p * p + q * q)
        far = 1.0 / max(float(near[i]), 1e-3)
        x, y, z = eye[0] + far * dx, eye[1] + far * dy, eye[2] + far * dz
        dx, dy, dz = dx * shorter, dy * shorter, dz * shorter
        nx, ny, nz = normal[t, 0], normal[t, 1], normal[t, 2]
        facing = max(-(nx * dx + ny * dy + nz * dz), 0.02)
        nx, ny, nz = abs(nx), abs(ny), abs(nz)
        lying = nz >= max(nx, ny)
        u[i] = y if nx > ny and not lying else x
        v[i] = y if lying else z
        blur[i] = far * far * pixel * pixel / facing
        towards[i] = facing
        way[0, i], way[1, i], way[2, i] = dx, dy, dz
        place[0, i], place[1, i], place[2, i] = x, y, z


@compiled
def develop(count: int, samples: Samples, table: Bytes, scale: float, picture: Bytes) -> None:
    """Sets a row of pixels (S, 3) uint8 to their samples' light, looked up in a table of sRGB."""
    last, half = table.shape[0] - 1, np.int32(2)
    light, pixel, weight = samples.light, samples.pixel, samples.weight
    at, red, green, blue = 0, half, half, half
    for i in range(count):
        if pixel[i] != at:
            at, red, green, blue = pixel[i], half, half, half
        red += weight[i] * np.int32(table[min(int(light[0, i] * scale), last)])
        green += weight[i] * np.int32(table[min(int(light[1, i] * scale), last)])
        blue += weight[i] * np.int32(table[min(int(light[2, i] * scale), last)])
        picture[at, 0], picture[at, 1], picture[at, 2] = red >> 2, green >> 2, blue >> 2
