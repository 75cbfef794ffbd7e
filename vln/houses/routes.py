"""Paths to describe: shortest ones, whose goals nobody can guess from what is in sight.

A path starts anywhere and walks outward on the tree of shortest paths, at each fork with equal
chances for all ways on; it passes only forks at which every way on could be described, so that the
way taken is no better to describe than the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from vln import geometry
from vln.houses.landmarks import Landmarks
from vln.houses.surroundings import Place

Floats = npt.NDArray[np.float64]

STEPS: Final = (3, 4, 5, 6)
STEP_CHANCES: Final = (0.05, 0.37, 0.38, 0.2)
"""How many steps a path has; R2R's have 3 to 6, nearly always 4 to 6."""
MIN_METRES: Final = 5.0
WORDS_ONLY: Final = 0.26
"""Most of a path's steps that words decide without an object."""
MIN_CHOICES: Final = 12
"""Least number of walks as long as the path, never straight back, that its start and turns allow.

Without it, walking straight ahead through a home of few crossings arrives too often."""
_TRIES = 400
"""Draws per path wanted; poor homes run out of them."""
_CHOOSY = 0.5
"""Share of the draws for which `MIN_CHOICES` holds; homes without such paths get others."""


@dataclass(frozen=True)
class Route:
    """One path to describe.

    Attributes:
        path: Viewpoints, start and goal included.
        heading: Where one looks at the start, a multiple of 30 degrees.
        metres: Length of the path.
    """

    path: tuple[int, ...]
    heading: float
    metres: float


class Tree:
    """The shortest walks from one viewpoint to all others.

    Attributes:
        onward: Per viewpoint, the indices of its ways that lead on from the start.
        depth: Per viewpoint, how many more steps lead on at most.
    """

    def __init__(self, places: Sequence[Place], distance: Floats) -> None:
        """Takes all places and (V,) metres from the start."""
        self.distance = distance
        self.onward = [
            np.flatnonzero(
                np.abs(distance[i] + place.length - distance[place.ways]) < 1e-6
            ).tolist()
            for i, place in enumerate(places)
        ]
        self.depth = [0] * len(places)
        for i in np.argsort(-distance, kind="stable").tolist():
            below = [self.depth[int(places[i].ways[way])] + 1 for way in self.onward[i]]
            self.depth[i] = max(below, default=0)


def walked_metres(places: Sequence[Place]) -> Floats:
    """Gives (V, V) metres of the shortest walks."""
    degree = [len(place.ways) for place in places]
    source = np.repeat(np.arange(len(places)), degree)
    target = np.concatenate([place.ways for place in places])
    length = np.concatenate([place.length for place in places])
    size = len(places)
    metres: Floats = dijkstra(csr_array((length, (source, target)), shape=(size, size)))
    return metres


def sample_routes(
    rng: np.random.Generator,
    places: Sequence[Place],
    landmarks: Sequence[Landmarks],
    *,
    count: int,
) -> list[Route]:
    """Gives distinct routes, fewer than `count` where the home is too poor."""
    sampler = _Sampler(rng, places, landmarks)
    found: dict[tuple[int, int], Route] = {}
    used: Counter[tuple[str, int]] = Counter()
    most = max(2, math.ceil(2.5 * count / len(places)))
    for attempt in range(_TRIES * count):
        if len(found) == count:
            break
        route = sampler.draw()
        choosy = attempt < _CHOOSY * _TRIES * count
        if route is None or (choosy and choices(places, route.path) < MIN_CHOICES):
            continue
        start, goal = route.path[0], route.path[-1]
        if (start, goal) in found or max(used["start", start], used["goal", goal]) >= most:
            continue
        found[start, goal] = route
        used.update([("start", start), ("goal", goal)])
    return list(found.values())


def choices(places: Sequence[Place], path: Sequence[int]) -> int:
    """Gives how many walks of the path's steps leave its viewpoints, never straight back.

    The goal's own ways do not count, so all ends of a path's last fork are alike in it.
    """
    ways = [len(places[viewpoint].ways) for viewpoint in path[:-1]]
    return math.prod([ways[0], *(max(1, count - 1) for count in ways[1:])])


class _Sampler:
    """Draws routes one by one; keeps the trees of the starts it has met."""

    def __init__(
        self,
        rng: np.random.Generator,
        places: Sequence[Place],
        landmarks: Sequence[Landmarks],
    ) -> None:
        self.rng = rng
        self.places = places
        self.landmarks = landmarks
        self.seen = [marks.singles_out for marks in landmarks]
        self.stops = [bool(marks.marks_stop.any()) for marks in landmarks]
        self.metres = walked_metres(places)
        self.trees: dict[int, Tree] = {}

    def draw(self) -> Route | None:
        """Gives a route, None where chance led to a fork that cannot be described."""
        start = int(self.rng.integers(len(self.places)))
        steps = int(self.rng.choice(STEPS, p=STEP_CHANCES))
        heading = int(self.rng.integers(geometry.NUM_HEADINGS)) * geometry.STEP
        if start not in self.trees:
            self.trees[start] = Tree(self.places, self.metres[start])
        path = self._walk(start, steps, heading)
        if path is None or self.metres[start, path[-1]] < MIN_METRES:
            return None
        return Route(tuple(path), heading, float(self.metres[start, path[-1]]))

    def _walk(self, start: int, steps: int, heading: float) -> list[int] | None:
        tree, path, words = self.trees[start], [start], 0
        while len(path) <= steps:
            left = steps - len(path)
            place = self.places[path[-1]]
            ways = [w for w in tree.onward[path[-1]] if tree.depth[int(place.ways[w])] >= left]
            if not ways or (left == 0 and not all(self.stops[int(place.ways[w])] for w in ways)):
                return None
            if not self.seen[path[-1]][ways].all():
                words += 1
                marks = self.landmarks[path[-1]]
                if words > WORDS_ONLY * steps or not all(marks.words(w, heading) for w in ways):
                    return None
            way = ways[int(self.rng.integers(len(ways)))]
            heading = float(geometry.view_heading(place.view[way]))
            path.append(int(place.ways[way]))
        return path
