"""Triangles made ready for light: split where they are long, with normals that bend around curves.

Legend: T triangles.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vln.houses.pictures.compiled import compiled

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ROUND: Final = 0.7
"""Cosine of the largest angle between neighbours that are one curve."""
_MOST_SPLITS: Final = 4


def flat_normals(corners: Floats32) -> Floats:
    """Gives (T, 3) float64 unit normals; straight up where a triangle has no area."""
    a, b, c = np.moveaxis(corners.astype(np.float64), 1, 0)
    normal = np.cross(b - a, c - a)
    length = np.sqrt((normal * normal).sum(axis=1, keepdims=True))
    flat: Floats = np.where(length > 1e-12, normal / np.maximum(length, 1e-12), (0.0, 0.0, 1.0))
    return flat


def split_long(corners: Floats32, which: Flags, *, longest: float) -> tuple[Floats32, Ints]:
    """Gives triangles none of whose edges is long, and the triangle each is a piece of.

    An edge is halved or not by its own length, so that neighbours stay corner to corner.

    Args:
        corners: (T, 3, 3) float32.
        which: (T,) bool, those that may be split.
        longest: Metres; twice that after five rounds, which no furniture needs.
    """
    parent: npt.NDArray[np.int64] = np.arange(len(corners))
    may = which
    for _ in range(_MOST_SPLITS):
        long = may[:, None] & (_lengths(corners) > longest)
        if not long.any():
            break
        corners, piece = _halved(corners, long)
        parent, may = parent[piece], may[piece]
    return np.ascontiguousarray(corners, np.float32), parent


def _lengths(corners: Floats32) -> Floats32:
    """Gives (T, 3) lengths of the edges from each corner to the next."""
    apart = np.roll(corners, -1, axis=1) - corners
    lengths: Floats32 = np.sqrt((apart * apart).sum(axis=2))
    return lengths


def _halved(corners: Floats32, long: Flags) -> tuple[Floats32, Ints]:
    """Gives the pieces of triangles whose long edges are cut in the middle, and whose they are."""
    count = long.sum(axis=1)
    # Turned so that the first edge is cut; of two, the first two; of three, all.
    turn = np.where(count == 2, (np.argmin(long, axis=1) + 1) % 3, np.argmax(long, axis=1))
    order = (turn[:, None] + np.arange(3)) % 3
    turned = np.take_along_axis(corners, order[..., None], axis=1)
    a, b, c = np.moveaxis(turned, 1, 0)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    ways = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    pieces, parent = [], []
    for cuts, some in ways.items():
        rows = np.flatnonzero(count == cuts)
        for three in some:
            pieces.append(np.stack([corner[rows] for corner in three], axis=1))
            parent.append(rows)
    whose = np.concatenate(parent)
    order = np.argsort(whose, kind="stable")
    return np.concatenate(pieces)[order], whose[order]


def bent_normals(
    corners: Floats32, normal: Floats, owner: Ints, finish: Ints
) -> tuple[Floats32, Ints]:
    """Gives unit normals at corners, each the mean of its neighbours' on the same curve.

    Args:
        corners: (T, 3, 3) float32.
        normal: (T, 3) float64 unit normals.
        owner: (T,) whose they are: no curve runs from one object to another.
        finish: (T,) nor from one finish to another.

    Returns:
        (T * 3, 3) float32 normals; and (T * 3,) int64, for every corner the first one that has
        the same place and normal.
    """
    place = np.rint(corners.reshape(-1, 3).astype(np.float64) * 5000).astype(np.int64)
    place = place - place.min(axis=0)
    group = np.repeat((owner << 16) | finish, 3)
    flat = (place[:, 1] << 32) | place[:, 2], (group << 32) | place[:, 0]
    order = np.lexsort(flat)
    first, second = flat[0][order], flat[1][order]
    new = np.flatnonzero((first[1:] != first[:-1]) | (second[1:] != second[:-1])) + 1
    starts = np.concatenate([[0], new, [len(order)]]).astype(np.int64)
    bent, same = np.empty((len(order), 3), np.float32), np.empty(len(order), np.int64)
    _mean_normals(normal, order, starts, bent, same)
    return bent, same


@compiled
def _mean_normals(normal: Floats, order: Ints, starts: Ints, bent: Floats32, same: Ints) -> None:
    """Fills `bent` and `same` from groups of corners that lie at the same place."""
    for group in range(starts.shape[0] - 1):
        first, after = starts[group], starts[group + 1]
        for i in range(first, after):
            own = order[i] // 3
            x, y, z = 0.0, 0.0, 0.0
            a, b, c = normal[own, 0], normal[own, 1], normal[own, 2]
            for j in range(first, after):
                t = order[j] // 3
                if a * normal[t, 0] + b * normal[t, 1] + c * normal[t, 2] > _ROUND:
                    x, y, z = x + normal[t, 0], y + normal[t, 1], z + normal[t, 2]
            length = np.sqrt(x * x + y * y + z * z)
            corner = order[i]
            bent[corner, 0], bent[corner, 1] = x / length, y / length
            bent[corner, 2] = z / length
            same[corner] = corner
            for j in range(first, i):
                near = bent[order[j], 0] * x + bent[order[j], 1] * y + bent[order[j], 2] * z
                if near > 0.9999 * length:
                    same[corner] = same[order[j]]
                    break
