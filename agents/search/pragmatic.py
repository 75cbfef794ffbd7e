"""Search and re-ranking put together: instructions in, walks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt

from agents.follower.policy import FollowerPolicy
from agents.search.best_first import search
from agents.search.candidates import Found, Ints, SearchSettings
from agents.search.rerank import (
    RANKINGS,
    Ranking,
    Scores,
    rerank,
    score_routes,
    search_weight,
    successes,
)
from agents.search.walks import Path, as_trajectories
from agents.speaker.narrator import Narrator
from agents.speaker.routes import RouteTable
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.types import Trajectory

Rule = Literal["follower", "envdrop", "speaker_follower", "dev"]
"""How a route is chosen: by the follower alone, by a published rule, or by the weight and averages
that succeed most often on dev."""


@dataclass(frozen=True, eq=False)
class PragmaticSearch:
    """Searches with a follower, and lets a speaker say which of the routes is meant.

    Attributes:
        policy: The follower.
        graph: Where episodes live.
        narrator: The speaker; None only where the follower alone decides.
        ranking: How the two are weighed.
        settings: Of the search.
    """

    policy: FollowerPolicy
    graph: NavGraph
    narrator: Narrator | None
    ranking: Ranking
    settings: SearchSettings

    def walk(self, episodes: EpisodeSet, *, explores: bool = True) -> list[Trajectory]:
        """Gives one trajectory per episode, in their order.

        Args:
            episodes: What to find routes for; labels are not looked at.
            explores: See `as_trajectories`.
        """
        found = self.find(episodes)
        chosen = self.choose(found, episodes)
        return as_trajectories(self.graph, found, chosen, explores=explores)

    def find(self, episodes: EpisodeSet) -> list[Found]:
        """Gives the routes found for every episode."""
        return search(self.policy, self.graph, episodes, settings=self.settings)

    def choose(self, found: Sequence[Found], episodes: EpisodeSet) -> Ints:
        """Gives (E,) which of the routes found for each of E episodes is meant."""
        return rerank(self.scores(found, episodes), self.ranking)

    def scores(self, found: Sequence[Found], episodes: EpisodeSet) -> Scores:
        """Gives what follower and speaker say of all routes.

        Raises:
            BadConfig: The ranking weighs a speaker, and there is none.
        """
        if self.narrator is None and self.ranking.weight > 0:
            raise BadConfig("this ranking weighs what a speaker says, and there is none.")
        texts = [episode.instruction for episode in episodes]
        return score_routes(self.graph, found, texts, self._heard)

    def _heard(self, paths: Sequence[Path], texts: Sequence[str]) -> Sequence[npt.ArrayLike]:
        if self.narrator is None:
            return [[0.0]] * len(paths)
        routes = RouteTable.compile(self.graph, paths)
        return [scores.numpy() for scores in self.narrator.scores(routes, texts)]


def ranking_of(
    rule: Rule,
    *,
    policy: FollowerPolicy,
    graph: NavGraph,
    narrator: Narrator | None,
    settings: SearchSettings,
    dev: EpisodeSet | None = None,
) -> Ranking:
    """Gives the ranking that a rule names; `dev` is searched for the weights that do best there.

    Raises:
        BadConfig: The rule needs a speaker, or episodes of dev, that are not given.
    """
    if rule == "follower":
        return Ranking(weight=0.0)
    if narrator is None:
        raise BadConfig(f"the ranking {rule} needs a speaker. Name its run, or take follower.")
    if rule != "dev":
        return RANKINGS[rule]
    if dev is None:
        raise BadConfig("the ranking dev needs the episodes of dev, and there are none.")
    trial = PragmaticSearch(policy, graph, narrator, Ranking(weight=0.5), settings)
    found = trial.find(dev)
    scores, reached = trial.scores(found, dev), successes(graph, found, dev)
    return search_weight(scores, reached, split=dev.split).best
