"""Pragmatic inference: of the routes found, the one whose instruction a speaker would have given.

Two published rules, and everything between them, as weights of what speaker and follower say.

Source: Fried et al. 2018, arXiv:1806.02724; Tan et al. 2019, arXiv:1904.04195.

Legend: E instructions, C routes at most, G weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from agents.search.candidates import Floats, Found, Ints
from agents.search.walks import Path, as_path
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig, UnknownName
from vln.graph import NavGraph
from vln.metrics.paths import SUCCESS_RADIUS
from vln.registry import Registry

Average = Literal["mean", "sum"]
AVERAGES: tuple[Average, ...] = get_args(Average)
Flags = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.float64, np.int64)

Scorer = Callable[[Sequence[Path], Sequence[str]], Sequence[npt.ArrayLike]]
"""Gives, for paths and instructions side by side, a speaker's log-probability of every word of the
instruction given the path; the end of the instruction counts as a word."""

WEIGHTS = 101
"""Weights that `search_weight` tries, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a route's score is made: weight * speaker + (1 - weight) * follower."""

    weight: float
    """Of the speaker, 0 to 1."""
    speaker: Average = "mean"
    """Of the log-probabilities of the instruction's words."""
    follower: Average = "mean"
    """Of the log-probabilities of the route's actions."""
    scaled: bool = False
    """Divides each of the two by its standard deviation over all routes of all instructions that
    are ranked together."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise BadConfig(f"the speaker's weight is {self.weight}; expected 0 to 1.")
        for average in (self.speaker, self.follower):
            if average not in AVERAGES:
                raise UnknownName.of("average", average, AVERAGES)


RANKINGS: Registry[Ranking] = Registry("ranking")
RANKINGS.add("envdrop", Ranking(weight=0.5))
RANKINGS.add("speaker_follower", Ranking(weight=0.95, speaker="sum", follower="sum", scaled=True))


@dataclass(frozen=True, eq=False)
class Scores:
    """What speaker and follower say of all routes, padded where an instruction has fewer than C.

    Attributes:
        speaker: (E, C) float64, log-probability of the instruction given the route.
        words: (E, C) int64, words of it; 0 = padding.
        follower: (E, C) float64, log-probability of the route given the instruction.
        actions: (E, C) int64, actions of it; 0 = padding.
    """

    speaker: Floats
    words: Ints
    follower: Floats
    actions: Ints

    @property
    def is_route(self) -> Flags:
        """Which entries (E, C) are no padding."""
        return self.actions > 0

    def terms(self, ranking: Ranking) -> tuple[Floats, Floats]:
        """Gives what the speaker and the follower contribute, (E, C) each, not yet weighted."""
        return (
            self._term(self.speaker, self.words, average=ranking.speaker, scaled=ranking.scaled),
            self._term(
                self.follower, self.actions, average=ranking.follower, scaled=ranking.scaled
            ),
        )

    def _term(self, total: Floats, count: Ints, *, average: Average, scaled: bool) -> Floats:
        term = total / np.maximum(count, 1) if average == "mean" else total
        spread = float(term[self.is_route].std()) if scaled else 1.0
        return term / spread if spread else term  # alike everywhere: no scale makes a difference


def score_routes(
    graph: NavGraph, found: Sequence[Found], instructions: Sequence[str], scorer: Scorer
) -> Scores:
    """Gives the scores of all routes that were found.

    Args:
        graph: Where the searches took place.
        found: Of E instructions.
        instructions: The same E.
        scorer: Is asked once, for all routes together.

    Raises:
        BadConfig: The scorer's answer is not one finite log-probability or more per route.
    """
    routes = [route for one in found for route in one.routes]
    counts = np.array([len(one.routes) for one in found])
    texts = [text for text, n in zip(instructions, counts, strict=True) for _ in range(n)]
    paths = [as_path(graph, route) for route in routes]
    said = [np.asarray(values, dtype=np.float64) for values in scorer(paths, texts)]
    if len(said) != len(routes):
        raise BadConfig(f"the scorer gave {len(said)} answers for {len(routes)} routes.")
    for number, values in enumerate(said):
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise BadConfig(
                f"the scorer's answer for route {number} of {len(routes)} is {values!r}; expected "
                "a finite log-probability for each word of its instruction."
            )
    real = np.arange(int(counts.max())) < counts[:, None]
    return Scores(
        speaker=_padded(real, np.array([values.sum() for values in said])),
        words=_padded(real, np.array([len(values) for values in said])),
        follower=_padded(real, np.array([route.score for route in routes])),
        actions=_padded(real, np.array([len(route.actions) for route in routes])),
    )


def _padded(real: Flags, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Gives values of the routes in a row as a table (E, C), 0 where there is none."""
    padded = np.zeros(real.shape, dtype=values.dtype)
    padded[real] = values
    return padded


def rerank(scores: Scores, ranking: Ranking) -> Ints:
    """Gives the index (E,) of each instruction's best route; the follower's favourite of equals."""
    speaker, follower = scores.terms(ranking)
    best: Ints = _best(scores, speaker, follower, weights=np.array([ranking.weight]))[0]
    return best


def _best(scores: Scores, speaker: Floats, follower: Floats, *, weights: Floats) -> Ints:
    """Gives the best routes (G, E) for weights (G,)."""
    weight = weights[:, None, None]
    score = weight * speaker + (1 - weight) * follower
    best: Ints = np.where(scores.is_route, score, -np.inf).argmax(axis=2)
    return best


def successes(graph: NavGraph, found: Sequence[Found], episodes: EpisodeSet) -> Flags:
    """Says which routes (E, C) end less than 3 m of walking from the goal; padding does not.

    Raises:
        BadConfig: Labels are held out.
    """
    reached: Flags = np.zeros((len(found), max(len(one.routes) for one in found)), dtype=bool)
    for row, (one, episode) in enumerate(zip(found, episodes, strict=True)):
        if episode.reference is None:
            raise BadConfig(
                f"episode {episode.id} has no reference: its labels are held out, so nobody here "
                "can say which routes succeed. Take a split with labels."
            )
        goal = graph.index(episode.start.scan, episode.reference[-1])
        ends = np.array([route.panoramas[-1] for route in one.routes])
        reached[row, : len(ends)] = graph.distance(ends, goal) < SUCCESS_RADIUS
    return reached


@dataclass(frozen=True, eq=False)
class WeightSearch:
    """How often each setting chooses a route that succeeds.

    Attributes:
        best: The setting that does so most often; of equals the first, in the order of `curves`
            and then of weights.
        success: Its share of instructions.
        weights: (G,) float64.
        curves: Shares (G,) by how the speaker's and the follower's log-probabilities are averaged.
    """

    best: Ranking
    success: float
    weights: Floats
    curves: dict[tuple[Average, Average], Floats]


def search_weight(
    scores: Scores,
    success: Flags,
    *,
    split: str,
    scaled: bool = False,
    reported: bool = False,
) -> WeightSearch:
    """Tries all weights of the speaker, 0 to 1, with all ways of averaging.

    Args:
        scores: Of E instructions.
        success: (E, C), which routes succeed.
        split: Where they are from.
        scaled: As in `Ranking`.
        reported: Allows a split that is reported, for a curve to look at.

    Raises:
        BadConfig: The split is not dev, and `reported` was not given: a setting chosen on what is
            reported makes the report too good.
    """
    if split.partition("@")[0] != "dev" and not reported:
        raise BadConfig(
            f"a weight chosen on {split!r} would be reported on it as well. Choose on dev, or say "
            "reported=True for a curve that nothing is chosen by."
        )
    weights = np.linspace(0, 1, WEIGHTS)
    rows = np.arange(len(success))
    curves = {}
    for speaker, follower in itertools.product(AVERAGES, AVERAGES):
        rule = Ranking(weight=0, speaker=speaker, follower=follower, scaled=scaled)
        best = _best(scores, *scores.terms(rule), weights=weights)
        curves[speaker, follower] = success[rows, best].mean(axis=1)
    averages = max(curves, key=lambda key: curves[key].max())
    place = int(curves[averages].argmax())
    best_rule = Ranking(
        weight=float(weights[place]), speaker=averages[0], follower=averages[1], scaled=scaled
    )
    return WeightSearch(best_rule, float(curves[averages][place]), weights, curves)
