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
from vln.houses.graph.surroundings import Place
from vln.houses.words.landmarks import Landmarks

Floats = npt.NDArray[np.float64]

STEPS: Final = (3, 4, 5, 6)
STEP_CHANCES: Final = (0.06, 0.43, 0.36, 0.15)
"""How many steps a path has; R2R's have 3 to 6, nearly always 4 to 6."""
_CUMULATED = np.cumsum(STEP_CHANCES)[:-1]
MIN_METRES: Final = 5.0
WORDS_ONLY: Final = 0.26
"""Most of a path's steps that words decide without an object."""
MIN_CHOICES: Final = 24
"""Least number of walks as long as the path, never straight back, that its start and turns allow.

Without it, walking straight ahead through a home of few crossings arrives too often."""
_TRIES = 1000
"""Draws per path wanted; poor homes run out of them."""


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
    most = max(2, math.ceil(3 * count / len(places)))
    limit = _TRIES * count
    for attempt in range(limit):
        if len(found) == count:
            break
        route = sampler.draw()
        # Homes of few crossings must make do with fewer choices, and with crowded corners.
        asked = MIN_CHOICES * (1 - 2 * attempt / limit)
        if route is None or choices(places, route.path) < asked:
            continue
        start, fork, goal = route.path[0], route.path[-2], route.path[-1]
        # Spread over the home by start and last fork: a limit on goals would prefer, at a fork,
        # the end that is less often one, and that could be seen.
        crowded = max(used["start", start], used["fork", fork]) >= most
        if (start, goal) in found or (crowded and asked > 0):
            continue
        found[start, goal] = route
        used.update([("start", start), ("fork", fork)])
    return list(found.values())


def choices(places: Sequence[Place], path: Sequence[int]) -> int:
    """Gives how many walks of the path's steps leave its viewpoints, never straight back.

    The goal's own ways do not count, so all ends of a path's last fork are alike in it.
    """
    ways = [len(places[viewpoint].ways) for viewpoint in path[:-1]]
    return math.prod([ways[0], *(max(1, count - 1) for count in ways[1:])])


class _Sampler:
    """Draws routes one by one; keeps the trees of the starts it has met.

    Plain lists throughout: most draws come to nothing, so one must cost microseconds.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        places: Sequence[Place],
        landmarks: Sequence[Landmarks],
    ) -> None:
        self.rng = rng
        self.places = places
        self.landmarks = landmarks
        self.ways: list[list[int]] = [place.ways.tolist() for place in places]
        self.steps: list[list[int]] = [(p.view % geometry.NUM_HEADINGS).tolist() for p in places]
        self.seen: list[list[bool]] = [marks.singles_out.tolist() for marks in landmarks]
        self.stops = [bool(marks.marks_stop.any()) for marks in landmarks]
        self.metres = walked_metres(places)
        self.trees: dict[int, Tree] = {}
        self._said: dict[tuple[int, int, int], bool] = {}

    def draw(self) -> Route | None:
        """Gives a route, None where chance led to a fork that cannot be described."""
        start = int(self.rng.integers(len(self.places)))
        steps = STEPS[int(np.searchsorted(_CUMULATED, self.rng.random()))]
        step = int(self.rng.integers(geometry.NUM_HEADINGS))
        if start not in self.trees:
            self.trees[start] = Tree(self.places, self.metres[start])
        path = self._walk(start, steps, step)
        if path is None:
            return None
        return Route(tuple(path), step * geometry.STEP, float(self.metres[start, path[-1]]))

    def _walk(self, start: int, steps: int, step: int) -> list[int] | None:
        """Gives a path; `step` is the heading one looks along, in steps of 30 degrees."""
        tree, path, words = self.trees[start], [start], 0
        while len(path) <= steps:
            here, left = path[-1], steps - len(path)
            to = self.ways[here]
            ways = [way for way in tree.onward[here] if tree.depth[to[way]] >= left]
            if not ways or (left == 0 and not all(self._may_end(start, to[w]) for w in ways)):
                return None
            if not all(self.seen[here][way] for way in ways):
                words += 1
                if words > WORDS_ONLY * steps or not all(
                    self._has_words(here, w, step) for w in ways
                ):
                    return None
            way = ways[int(self.rng.random() * len(ways))]
            step = self.steps[here][way]
            path.append(to[way])
        return path

    def _may_end(self, start: int, goal: int) -> bool:
        return self.stops[goal] and bool(self.metres[start, goal] >= MIN_METRES)

    def _has_words(self, here: int, way: int, step: int) -> bool:
        key = (here, way, step)
        if key not in self._said:
            self._said[key] = bool(self.landmarks[here].words(way, step * geometry.STEP))
        return self._said[key]
