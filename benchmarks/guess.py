"""Whether what is in sight gives a goal away: a classifier that sees objects and reads nothing.

At the last viewpoint before the goal, it is to say which of the ways that lead on from the start
ends there, from the objects seen at their ends and on the way to them. Where goals are drawn
without regard to what can be seen, it finds no more of them than chance.
"""

# N forks, K ways at most, D features, W words

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp

from vln.data.objects import ObjectViews
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig
from vln.graph import NavGraph

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PENALTY: Final = 100.0
"""Weight of the squared coefficients of standardised features."""


@dataclass(frozen=True, slots=True)
class Guess:
    """How often the classifier finds the goal.

    Attributes:
        accuracy: Share of forks.
        chance: The share that drawing a way at random finds.
        error: Standard error of their difference.
        forks: Forks that were judged; a path whose last step had no alternative gives none.
        trained_on: Forks it learnt from.
    """

    accuracy: float
    chance: float
    error: float
    forks: int
    trained_on: int


def goal_guess(
    graph: NavGraph, objects: ObjectViews, *, train: EpisodeSet, test: EpisodeSet
) -> Guess:
    """Gives how often a conditional logit finds the goals of paths of unseen homes.

    Args:
        graph: Where the paths are.
        objects: What is seen there.
        train: Episodes to learn from.
        test: Episodes to judge.

    Raises:
        BadConfig: No path of a split has an alternative at its last step.
    """
    seen = _Seen(graph, objects)
    known, asked = _forks(graph, train), _forks(graph, test)
    for split, forks in ((train, known), (test, asked)):
        if not len(forks[2]):
            raise BadConfig(
                f"no path of split {split.split!r} has an alternative at its last step."
            )
    values = seen.features(*known[:2])
    scale = values[known[1] >= 0].std(axis=0) + 1e-6
    weights = _fit(values / scale, known[1] >= 0, known[2])
    scores = np.where(asked[1] >= 0, seen.features(*asked[:2]) / scale @ weights, -np.inf)
    hit = (scores.argmax(axis=1) == asked[2]).astype(np.float64)
    chance = 1 / (asked[1] >= 0).sum(axis=1)
    error = float((hit - chance).std(ddof=1) / np.sqrt(len(hit))) if len(hit) > 1 else np.nan
    return Guess(float(hit.mean()), float(chance.mean()), error, len(hit), len(known[2]))


def _forks(graph: NavGraph, episodes: EpisodeSet) -> tuple[Ints, Ints, Ints]:
    """Gives (N,) viewpoints before goals, (N, K) ways on from there, (N,) which is the goal's."""
    paths = {
        (e.start.scan, e.reference): graph.indices(e.start.scan, e.reference)
        for e in episodes
        if e.reference is not None and len(e.reference) > 1
    }
    before, ways, answer = [], [], []
    for path in paths.values():
        fork = int(path[-2])
        neighbour = graph.neighbour[fork, : graph.degree[fork]]
        detour = (
            graph.distance(path[0], fork)
            + graph.candidate_distance[fork, : len(neighbour)]
            - graph.distance(path[0], neighbour)
        )
        onward = neighbour[np.abs(detour) < 1e-6]
        if len(onward) > 1 and path[-1] in onward:
            row = np.full(graph.max_degree, -1, dtype=np.int64)
            row[: len(onward)] = onward
            before.append(fork)
            ways.append(row)
            answer.append(int(np.flatnonzero(onward == path[-1])[0]))
    width = (len(ways), graph.max_degree)
    return np.array(before, np.int64), np.array(ways, np.int64).reshape(width), np.array(answer)


class _Seen:
    """Features of what is seen at viewpoints and in views: words of the objects' names."""

    def __init__(self, graph: NavGraph, objects: ObjectViews) -> None:
        words = sorted({word for name in objects.names for word in name.split()})
        column = {word: i for i, word in enumerate(words)}
        holds = np.zeros((len(objects.names), len(words)))
        for i, name in enumerate(objects.names):
            holds[i, [column[word] for word in name.split()]] = 1
        self._graph = graph
        self._objects = objects
        self._holds = holds
        self._first = np.searchsorted(objects.panorama, np.arange(len(graph.viewpoints) + 1))

    def features(self, before: Ints, ways: Ints) -> Floats:
        """Gives (N, K, D): objects at the end of every way, and in the view of it."""
        values = np.zeros((*ways.shape, 2 * self._holds.shape[1] + 2))
        for n, k in np.argwhere(ways >= 0).tolist():
            values[n, k] = self._way(int(before[n]), int(ways[n, k]))
        return values

    def _way(self, here: int, there: int) -> Floats:
        slot = int(np.flatnonzero(self._graph.neighbour[here] == there)[0])
        at = slice(self._first[there], self._first[there + 1])
        towards = slice(self._first[here], self._first[here + 1])
        in_view = self._objects.view[towards] == self._graph.candidate_view[here, slot]
        end, share = self._words(at, None)
        view, view_share = self._words(towards, in_view)
        return np.concatenate([end, view, [share, view_share]])

    def _words(self, rows: slice, kept: npt.NDArray[np.bool_] | None) -> tuple[Floats, float]:
        name, area = self._objects.name[rows], self._objects.area[rows]
        if kept is not None:
            name, area = name[kept], area[kept]
        if not len(name):
            return np.zeros(self._holds.shape[1]), 0.0
        largest = np.sqrt(self._holds[name] * area[:, None]).max(axis=0)
        return largest, float(area.sum())


def _fit(values: Floats, real: npt.NDArray[np.bool_], answer: Ints) -> Floats:
    """Gives (D,) coefficients of the conditional logit, ridge-penalised."""
    row = np.arange(len(answer))

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = np.where(real, values @ weights, -np.inf)
        total = logsumexp(scores, axis=1, keepdims=True)
        share = np.exp(scores - total)
        share[row, answer] -= 1
        gradient = np.einsum("nk,nkd->d", share, values) + PENALTY * weights
        lost = float((total[:, 0] - scores[row, answer]).sum())
        return lost + PENALTY / 2 * float(weights @ weights), gradient

    start = np.zeros(values.shape[2])
    weights: Floats = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return weights
