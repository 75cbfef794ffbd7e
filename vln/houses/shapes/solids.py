"""Closed solids that objects are built of, and the parts that place them.

A solid is a unit shape inside the cube from -0.5 to 0.5, its triangles counter-clockwise seen from
outside. Knows nothing of furniture or homes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.building.scene import Finish

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vector = tuple[float, float, float]

SIDES: Final = 12
"""Around round solids."""


@dataclass(frozen=True)
class Part:
    """One solid of an object, in the object's frame: x to its right, y out of its front, z up.

    Attributes:
        solid: A name in `SOLIDS`.
        centre: Of its unit cube, in metres from the middle of the object's base.
        size: Metres along its own x, y and z.
        finish: Its surface.
        turn: Right-handed radians about x, then y, then z.
    """

    solid: str
    centre: Vector
    size: Vector
    finish: Finish
    turn: Vector = (0.0, 0.0, 0.0)


def place(parts: Sequence[Part]) -> tuple[Floats, Ints]:
    """Gives the triangles of parts, and which part each belongs to, in the parts' order.

    Returns:
        (T, 3, 3) float64 metres in the object's frame, and (T,) int64.
    """
    kinds = np.array([_INDEX[part.solid] for part in parts], dtype=np.int64)
    centre = np.array([part.centre for part in parts], dtype=np.float64).reshape(-1, 3)
    size = np.array([part.size for part in parts], dtype=np.float64).reshape(-1, 3)
    turns = rotations(np.array([part.turn for part in parts], dtype=np.float64).reshape(-1, 3))
    corners: list[npt.NDArray[np.float64]] = [np.empty((0, 3, 3))]
    owners: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        unit = _UNITS[kind]
        scaled = unit[None] * size[rows, None, None]
        turned = turn_by(scaled, turns[rows, None, None])
        corners.append((turned + centre[rows, None, None]).reshape(-1, 3, 3))
        owners.append(np.repeat(rows, len(unit)))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(corners)[order], owner[order]


def rotations(turns: Floats) -> Floats:
    """Gives (N, 3, 3) rotations for (N, 3) radians about x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(turns).T, np.cos(turns).T
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return np.array(rows, dtype=np.float64).transpose(2, 0, 1)


def turn_by(points: Floats, matrix: Floats) -> Floats:
    """Gives points turned by matrices that broadcast against them.

    Written as sums, not `@`: a linear algebra library adds in an order of its own, which differs
    from machine to machine.
    """
    x, y, z = points[..., 0:1], points[..., 1:2], points[..., 2:3]
    turned: Floats = matrix[..., 0] * x + matrix[..., 1] * y + matrix[..., 2] * z
    return turned


def volume(corners: Floats) -> float:
    """Gives the signed volume that triangles enclose; positive where they look outwards."""
    a, b, c = (corners[:, i] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6.0)


def lathe(profile: Sequence[tuple[float, float]], *, sides: int = SIDES) -> Floats:
    """Gives the solid that a profile sweeps around the z axis.

    Args:
        profile: (radius, height), from its lower end on the axis along the outside to the upper
            end on the axis.
        sides: Around.
    """
    turn = np.arange(sides + 1) % sides * (2.0 * np.pi / sides)
    rings = [np.stack([r * np.cos(turn), r * np.sin(turn), 0.0 * turn + h], 1) for r, h in profile]
    faces = []
    for low, high, (r0, _), (r1, _) in zip(rings, rings[1:], profile, profile[1:], strict=False):
        if r0 > 0:
            faces.append(np.stack([low[:-1], low[1:], high[1:]], 1))
        if r1 > 0:
            faces.append(np.stack([low[:-1], high[1:], high[:-1]], 1))
    return np.concatenate(faces)


def hull(sections: Sequence[tuple[float, float, float]], outline: Floats) -> Floats:
    """Gives the solid between copies of an outline, closed below and above.

    Args:
        sections: (width, depth, height) of each copy, lowest first.
        outline: (N, 2), a convex outline counter-clockwise, within -0.5 to 0.5.
    """
    rings = [np.column_stack([outline * (w, d), np.full(len(outline), h)]) for w, d, h in sections]
    faces = [
        np.concatenate(
            [
                np.stack([low, np.roll(low, -1, 0), np.roll(high, -1, 0)], 1),
                np.stack([low, np.roll(high, -1, 0), high], 1),
            ]
        )
        for low, high in pairwise(rings)
    ]
    for ring, order in ((rings[0], (0, 2, 1)), (rings[-1], (0, 1, 2))):
        fan = np.stack([np.broadcast_to(ring[0], ring[1:-1].shape), ring[1:-1], ring[2:]], 1)
        faces.append(fan[:, list(order)])
    return np.concatenate(faces)


def hollow(outline: Floats, *, wall: float, floor: float) -> Floats:
    """Gives an open container: its outline outside, a smaller one inside down to a floor."""
    inner = 1.0 - 2.0 * wall
    return hull(
        [(1, 1, -0.5), (1, 1, 0.5), (inner, inner, 0.5), (inner, inner, floor - 0.5)], outline
    )


def _arc(start: float, end: float, count: int) -> list[tuple[float, float]]:
    angles = np.linspace(start, end, count)
    return [(max(0.0, 0.5 * float(np.cos(a))), 0.5 * float(np.sin(a))) for a in angles]


def _sphere(rings: int, sides: int) -> Floats:
    inner = _arc(-np.pi / 2, np.pi / 2, rings + 1)[1:-1]
    return lathe([(0.0, -0.5), *inner, (0.0, 0.5)], sides=sides)


def _ring(thickness: float) -> Floats:
    """Gives a flat torus: a ring around z whose tube is square with cut edges."""
    inner, middle = 0.5 - thickness, 0.5 - thickness / 2
    loop = [(inner, 0.0), (middle, -0.5), (0.5, 0.0), (middle, 0.5), (inner, 0.0)]
    return lathe(loop, sides=16)


def _rounded(corner: float) -> Floats:
    """Gives a square outline with its corners cut by this much."""
    low = 0.5 - corner
    xs = [low, 0.5, 0.5, low, -low, -0.5, -0.5, -low]
    ys = [-0.5, -low, low, 0.5, 0.5, low, -low, -0.5]
    return np.column_stack([xs, ys]).astype(np.float64)


_SQUARE: Floats = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
_PLANK: Floats = np.array(
    [[-0.5, -0.42], [-0.46, -0.5], [0.1, -0.5], [0.38, -0.34], [0.5, -0.1],
     [0.5, 0.1], [0.38, 0.34], [0.1, 0.5], [-0.46, 0.5], [-0.5, 0.42]]
)  # fmt: skip

SOLIDS: Final[dict[str, Floats]] = {
    "box": hull([(1, 1, -0.5), (1, 1, 0.5)], _SQUARE),
    # A cushion: its edges are bevelled on all sides.
    "pad": hull([(0.9, 0.9, -0.5), (1, 1, -0.2), (1, 1, 0.2), (0.84, 0.84, 0.5)], _rounded(0.1)),
    # Splayed sides, wider above.
    "taper": hull([(0.75, 0.75, -0.5), (1, 1, 0.5)], _SQUARE),
    "diamond": lathe([(0, -0.5), (0.5, -0.5), (0.5, 0.5), (0, 0.5)], sides=4),
    "leaf": lathe([(0, -0.5), (0.5, -0.1), (0, 0.5)], sides=4),
    "bud": lathe([(0, -0.5), (0.46, -0.2), (0.46, 0.2), (0, 0.5)], sides=6),
    "tray": hollow(_SQUARE, wall=0.05, floor=0.3),
    "tub": hull(
        [(0.86, 0.86, -0.5), (1, 1, 0.4), (1, 1, 0.5), (0.9, 0.84, 0.5), (0.74, 0.62, -0.25)],
        _rounded(0.12),
    ),
    "cylinder": lathe([(0, -0.5), (0.5, -0.5), (0.5, 0.5), (0, 0.5)]),
    "disc": lathe([(0, -0.5), (0.5, -0.5), (0.5, 0.5), (0, 0.5)], sides=20),
    "rod": lathe([(0, -0.5), (0.5, -0.5), (0.5, 0.5), (0, 0.5)], sides=6),
    "cone": lathe([(0, -0.5), (0.5, -0.5), (0, 0.5)]),
    "shade": lathe([(0, 0.3), (0.48, -0.5), (0.5, -0.5), (0.3, 0.5), (0, 0.5)], sides=16),
    "pot": lathe(
        [(0, -0.5), (0.36, -0.5), (0.46, 0.34), (0.5, 0.34), (0.5, 0.5), (0.42, 0.5), (0.42, 0.4),
         (0, 0.4)], sides=12
    ),
    "vase": lathe(
        [(0, -0.5), (0.28, -0.5), (0.46, -0.22), (0.5, -0.05), (0.42, 0.16), (0.22, 0.34),
         (0.2, 0.4), (0.3, 0.5), (0.2, 0.5), (0.12, 0.38), (0, 0.38)], sides=12
    ),
    "bowl": lathe(
        [(0, -0.5), (0.3, -0.5), (0.46, 0.0), (0.5, 0.5), (0.42, 0.5), (0.36, 0.05), (0, -0.3)],
        sides=12,
    ),
    # An open bin, wider above.
    "barrel": lathe(
        [(0, -0.5), (0.4, -0.5), (0.5, 0.5), (0.45, 0.5), (0.36, -0.3), (0, -0.3)], sides=12
    ),
    "bell": lathe(
        [(0, -0.5), (0.46, -0.5), (0.5, -0.4), (0.44, 0.0), (0.26, 0.38), (0, 0.5)], sides=12
    ),
    # A lamp of sheet metal, open below.
    "hood": lathe(
        [(0, 0.3), (0.2, 0.26), (0.46, -0.5), (0.5, -0.5), (0.26, 0.32), (0.12, 0.5), (0, 0.5)],
        sides=16,
    ),
    "coat": hull(
        [(0.8, 0.9, -0.5), (1, 1, -0.42), (0.7, 0.8, 0.1), (1, 0.8, 0.38), (0.3, 0.5, 0.5)],
        _rounded(0.12),
    ),
    # A board with a pointed end at +x.
    "board": hull([(1, 1, -0.5), (1, 1, 0.5)], _PLANK),
    "dome": lathe([(0, -0.5), (0.5, -0.5), (0.47, -0.1), (0.35, 0.25), (0.18, 0.45), (0, 0.5)]),
    "sphere": _sphere(8, 12),
    "ball": _sphere(5, 8),
    "globe": _sphere(10, 16),
    "ring": _ring(0.1),
    "seat": _ring(0.2),
    "hoop": lathe([(0.46, 0), (0.5, -0.5), (0.5, 0.5), (0.46, 0)], sides=16),
}  # fmt: skip
"""(T, 3, 3) float64 triangles of every unit solid, by name."""

_INDEX = {name: index for index, name in enumerate(SOLIDS)}
_UNITS = tuple(SOLIDS.values())
