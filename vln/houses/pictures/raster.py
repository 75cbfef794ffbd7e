"""Which triangle each pixel of a cube around an eye shows, and how far away it is. No colours.

A triangle is drawn with edge functions in homogeneous coordinates: nothing is clipped at a near
plane, and a triangle that reaches behind the eye is no special case. Rows are filled as spans whose
ends are the same number for both triangles at a shared edge, one taking it in and the other leaving
it out, so that neither holes nor doubles lie between them.

Source of the edge functions: Olano and Greer 1997, "Triangle scan conversion using 2D homogeneous
coordinates".

Legend: T triangles, S pixels along a face.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.houses.pictures.compiled import compiled
from vln.panorama.faces import MAX_FACE, NUM_FACES
from vln.panorama.pinhole import FACE_AXES

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]

NOTHING: Final = -1
"""In place of a triangle's number where a pixel shows none."""

_BUCKETS: Final = 1024
_MOST_DISTANT: Final = 40.0
"""Metres beyond which triangles are no longer sorted."""


def visible(
    corners: Floats32, *, eye: npt.ArrayLike, rotation: Floats, size: int
) -> tuple[Ints32, Floats32]:
    """Gives what a cube of pictures around an eye shows.

    Faces, their order and their orientation are those of `vln.panorama.pinhole.FACE_AXES`.

    Args:
        corners: (T, 3, 3) float32 world coordinates of triangles' corners, counter-clockwise as
            seen from the side that can be seen.
        eye: (3,) world coordinates.
        rotation: (3, 3) skybox frame to world, as in `vln.panorama.faces.Panorama`.
        size: S.

    Returns:
        (6, S, S) int32 numbers of triangles, `NOTHING` where there is none; and (6, S, S) float32
        metres along the face's axis, infinite where there is none.

    Raises:
        BadConfig: No such size, or arrays of other shapes.
    """
    if not 1 <= size <= MAX_FACE:
        raise BadConfig(f"faces of {size} pixels; expected 1 to {MAX_FACE}.")
    corners = np.ascontiguousarray(corners, np.float32)
    at, turn = np.asarray(eye, np.float64), np.ascontiguousarray(rotation, np.float64)
    if corners.shape[1:] != (3, 3) or at.shape != (3,) or turn.shape != (3, 3):
        raise BadConfig(
            f"corners {corners.shape}, eye {at.shape} and rotation {turn.shape}; expected "
            "(T, 3, 3), (3,) and (3, 3)."
        )
    triangle = np.empty((NUM_FACES, size, size), np.int32)
    nearness = np.empty((NUM_FACES, size, size), np.float32)
    chosen = np.arange(len(corners), dtype=np.int64)
    local, order = prepare(corners, chosen, at, turn)
    for face in range(NUM_FACES):
        draw(local, order, chosen, FACE_AXES[face], triangle[face], nearness[face])
    with np.errstate(divide="ignore"):
        return triangle, np.divide(np.float32(1), nearness, dtype=np.float32)


@compiled
def prepare(corners: Floats32, chosen: Ints, eye: Floats, rotation: Floats) -> tuple[Floats, Ints]:
    """Gives triangles as an eye sees them.

    Those that turn their back are left out; near ones come first, since what they hide is then
    never written.

    Args:
        corners: As in `visible`.
        chosen: (C,) the triangles that may be seen at all.
        eye: As in `visible`.
        rotation: As in `visible`.

    Returns:
        (C, 3, 3) corners of the chosen in the skybox frame; and (V,) which of them to draw, in
        that order.
    """
    total = chosen.shape[0]
    local = np.empty((total, 3, 3))
    bucket = np.full(total, -1, np.int64)
    starts = np.zeros(_BUCKETS + 1, np.int64)
    for place in range(total):
        index = chosen[place]
        nearest = np.inf
        for corner in range(3):
            x = corners[index, corner, 0] - eye[0]
            y = corners[index, corner, 1] - eye[1]
            z = corners[index, corner, 2] - eye[2]
            nearest = min(nearest, x * x + y * y + z * z)
            for axis in range(3):
                local[place, corner, axis] = (
                    x * rotation[0, axis] + y * rotation[1, axis] + z * rotation[2, axis]
                )
        if _volume(local[place]) < 0:
            share = min(np.sqrt(nearest) / _MOST_DISTANT, 1.0)
            bucket[place] = int(share * (_BUCKETS - 1))
            starts[bucket[place] + 1] += 1
    for b in range(_BUCKETS):
        starts[b + 1] += starts[b]
    order = np.empty(starts[_BUCKETS], np.int64)
    for place in range(total):
        b = bucket[place]
        if b >= 0:
            order[starts[b]] = place
            starts[b] += 1
    return local, order


@compiled
def draw(
    local: Floats,
    order: Ints,
    chosen: Ints,
    axes: Floats,
    triangle: Ints32,
    nearness: Floats32,
) -> None:
    """Draws one face.

    Args:
        local: As `prepare` gives.
        order: As `prepare` gives.
        chosen: As `prepare` takes.
        axes: (3, 3) rows out of, right along and down along the face.
        triangle: (S, at least S), filled with triangles' numbers.
        nearness: (S, at least S), filled with 1 / metres along the face's axis.
    """
    triangle[:] = NOTHING
    nearness[:] = 0
    turned, edges = np.empty((3, 3)), np.empty((3, 3))
    for rank in range(order.shape[0]):
        place = order[rank]
        for corner in range(3):
            x, y, z = local[place, corner, 0], local[place, corner, 1], local[place, corner, 2]
            for axis in range(3):  # right, down, out
                row = (axis + 1) % 3
                turned[corner, axis] = x * axes[row, 0] + y * axes[row, 1] + z * axes[row, 2]
        if not _is_beside(turned):
            _fill(turned, chosen[place], edges, triangle, nearness)


@compiled
def _volume(v: Floats) -> float:
    """Gives the determinant of three corners: negative where the eye sees the triangle's front."""
    return float(
        v[0, 0] * (v[1, 1] * v[2, 2] - v[1, 2] * v[2, 1])
        + v[0, 1] * (v[1, 2] * v[2, 0] - v[1, 0] * v[2, 2])
        + v[0, 2] * (v[1, 0] * v[2, 1] - v[1, 1] * v[2, 0])
    )


@compiled
def _is_beside(v: Floats) -> bool:
    """Tells whether all corners lie beyond one side of a face's pyramid, or behind it."""
    for axis in range(2):
        if v[0, axis] > v[0, 2] and v[1, axis] > v[1, 2] and v[2, axis] > v[2, 2]:
            return True
        if v[0, axis] < -v[0, 2] and v[1, axis] < -v[1, 2] and v[2, axis] < -v[2, 2]:
            return True
    return bool(v[0, 2] <= 0 and v[1, 2] <= 0 and v[2, 2] <= 0)


@compiled
def _rows(v: Floats, size: int) -> tuple[int, int]:
    """Gives the first row that a triangle may touch, and the one after the last."""
    if min(v[0, 2], v[1, 2], v[2, 2]) < 1e-6:
        return 0, size
    a, b, c = v[0, 1] / v[0, 2], v[1, 1] / v[1, 2], v[2, 1] / v[2, 2]
    # a hair is added for rounding; pixel centres lie at odd multiples of 1 / size
    low = (min(a, b, c) + 1) * size / 2 - 0.5 - 1e-6
    high = (max(a, b, c) + 1) * size / 2 - 0.5 + 1e-6
    return int(np.ceil(max(low, 0.0))), int(np.floor(min(high, size - 1.0))) + 1


@compiled
def _fill(v: Floats, index: int, edges: Floats, triangle: Ints32, nearness: Floats32) -> None:
    """Draws one triangle into one face; `edges` (3, 3) is memory for its edge functions."""
    size = triangle.shape[0]
    first, after = _rows(v, size)
    if first >= after:
        return
    for edge in range(3):
        a, b = (edge + 2) % 3, (edge + 1) % 3
        edges[edge, 0] = v[a, 1] * v[b, 2] - v[a, 2] * v[b, 1]
        edges[edge, 1] = v[a, 2] * v[b, 0] - v[a, 0] * v[b, 2]
        edges[edge, 2] = v[a, 0] * v[b, 1] - v[a, 1] * v[b, 0]
    # The three edge functions add up to one over the depth, times this.
    scale = -1 / _volume(v)
    across = (edges[0, 0] + edges[1, 0] + edges[2, 0]) * scale
    down = (edges[0, 1] + edges[1, 1] + edges[2, 1]) * scale
    middle = (edges[0, 2] + edges[1, 2] + edges[2, 2]) * scale
    pixel = 2.0 / size
    left = 1.0 / size - 1.0
    step = np.float32(across * pixel)
    for row in range(first, after):
        y = row * pixel + left
        low, high = _span(edges, y, size)
        if low < high:
            start = np.float32(middle + down * y + across * left)
            _fill_span(row, low, high, start, step, index, triangle, nearness)


@compiled
def _span(edges: Floats, y: float, size: int) -> tuple[int, int]:
    """Gives the first column inside all edges in a row, and the one after the last."""
    low, high = 0.0, float(size)
    for edge in range(3):
        a, b, c = edges[edge, 0], edges[edge, 1], edges[edge, 2]
        if a == 0:
            value = b * y + c
            if value < 0 or (value == 0 and b <= 0):
                return 0, 0
            continue
        # The same number for the triangle beyond the edge, whose a, b and c are the negatives.
        bound = np.ceil((-(b * y + c) / a + 1) * (size / 2) - 0.5)
        if a > 0:
            low = max(low, bound)
        else:
            high = min(high, bound)
    return (int(low), int(high)) if low < high else (0, 0)


@compiled
def _fill_span(
    row: int,
    low: int,
    high: int,
    start: np.float32,
    step: np.float32,
    index: int,
    triangle: Ints32,
    nearness: Floats32,
) -> None:
    for column in range(low, high):
        near = start + step * np.float32(column)
        if near > nearness[row, column]:
            nearness[row, column] = near
            triangle[row, column] = index
