"""Paths that are not shortest, as Room-Across-Room has them: by way of somewhere else, never back.

Knows nothing of words.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import dijkstra

from vln.houses.navigate import Walk

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEPS: Final = (6, 9)
"""Fewest and most edges of a path; RxR has 8 on average."""
METRES: Final = (9.0, 20.0)
DETOUR: Final = 1.2
"""How many times as long as the shortest walk between its ends most paths are."""
_APART: Final = 4.0
"""Metres of walk between the ends at least."""
_DRAWS: Final = 6000


def walking(walk: Walk) -> tuple[Floats, Ints]:
    """Gives (V, V) metres between viewpoints, and (V, V) the last viewpoint before the second."""
    gap = np.linalg.norm(walk.position[:, None] - walk.position, axis=-1)
    distance, before = dijkstra(np.where(walk.adjacency, gap, 0.0), return_predecessors=True)
    return distance, before.astype(np.int64)


def way(before: Ints, start: int, end: int) -> list[int]:
    """Gives a shortest path, both ends included."""
    path = [end]
    while path[-1] != start:
        path.append(int(before[start, path[-1]]))
    return path[::-1]


def detours(rng: np.random.Generator, walk: Walk, *, count: int) -> list[list[int]]:
    """Gives paths by way of a third viewpoint, no viewpoint twice; four of five are detours.

    Args:
        rng: Decides on ends and ways.
        walk: The home's viewpoints.
        count: How many paths.

    Returns:
        Viewpoint indices; fewer paths where a small home has no more, and shorter ones where it
        has none of that length.
    """
    distance, before = walking(walk)
    start, middle, end = rng.integers(len(walk), size=(3, _DRAWS))
    length = distance[start, middle] + distance[middle, end]
    straight = distance[start, end]
    fits = (length >= METRES[0]) & (length <= METRES[1]) & (straight >= _APART)
    is_detour = length >= DETOUR * straight
    chosen = _walks(
        before, start, middle, end, np.flatnonzero(fits & is_detour), -(-count * 4 // 5)
    )
    chosen += _walks(before, start, middle, end, np.flatnonzero(fits), count - len(chosen), chosen)
    if len(chosen) < count:  # a home too small for that
        longest = np.argsort(-length, kind="stable")
        short = (1, STEPS[1])
        chosen += _walks(
            before, start, middle, end, longest, count - len(chosen), chosen, steps=short
        )
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _walks(
    before: Ints,
    start: Ints,
    middle: Ints,
    end: Ints,
    rows: Ints,
    count: int,
    known: list[list[int]] | None = None,
    *,
    steps: tuple[int, int] = STEPS,
) -> list[list[int]]:
    """Gives the first `count` of the drawn walks that visit nothing twice and are not known."""
    found: list[list[int]] = []
    for row in rows.tolist():
        if len(found) >= count:
            break
        a, b, c = int(start[row]), int(middle[row]), int(end[row])
        path = way(before, a, b) + way(before, b, c)[1:]
        once = len(set(path)) == len(path) and steps[0] < len(path) <= steps[1] + 1
        if once and path not in found and path not in (known or []):
            found.append(path)
    return found
