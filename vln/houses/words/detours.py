"""Paths that are not shortest, as Room-Across-Room has them: by way of somewhere else, never back.

Knows nothing of words.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import dijkstra

from vln.houses.graph.navigate import Walk

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
    walks = _Walks(before, np.stack([start, middle, end], axis=1))
    walks.take(np.flatnonzero(fits & is_detour), upto=-(-count * 4 // 5), fewest=STEPS[0])
    walks.take(np.flatnonzero(fits), upto=count, fewest=STEPS[0])
    # A home too small for that gives what it has, the longest first.
    walks.take(np.argsort(-length, kind="stable"), upto=count, fewest=1)
    return [walks.found[i] for i in rng.permutation(len(walks.found))]


class _Walks:
    """Walks by way of a third viewpoint.

    Args:
        before: As `walking` gives it.
        ends: (n, 3) start, middle and end of walks that were drawn.
    """

    def __init__(self, before: Ints, ends: Ints) -> None:
        self.found: list[list[int]] = []
        self._before = before
        self._ends = ends

    def take(self, rows: Ints, *, upto: int, fewest: int) -> None:
        """Adds walks that visit nothing twice, until there are `upto`.

        Args:
            rows: Which of the drawn ones, in order.
            upto: How many walks there shall be.
            fewest: Edges of each at least.
        """
        for start, middle, end in self._ends[rows].tolist():
            if len(self.found) >= upto:
                return
            path = way(self._before, start, middle) + way(self._before, middle, end)[1:]
            once = len(set(path)) == len(path) and fewest < len(path) <= STEPS[1] + 1
            if once and path not in self.found:
                self.found.append(path)
