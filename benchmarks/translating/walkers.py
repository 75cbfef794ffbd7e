"""How a trained follower walks: by name, so that more ways than one can be reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from agents.follower.policy import FollowerPolicy
from agents.loading import load_narrator
from agents.scene import Scene
from agents.search.candidates import SearchSettings
from agents.search.pragmatic import PragmaticSearch, ranking_of
from agents.search.walks import as_trajectories
from agents.speaker.narrator import Narrator
from benchmarks.players import Player
from benchmarks.translating.setup import Config
from vln.data.episodes import EpisodeSet
from vln.types import Trajectory


@dataclass(frozen=True, eq=False)
class Walking:
    """What a walker may use.

    Attributes:
        player: The follower with its last weights, and the graph.
        scene: Where it walks, with the features that it sees.
        speaker_run: Folder of its seed's speaker.
        device: Where networks live.
    """

    player: Player
    scene: Scene
    speaker_run: Path
    device: str

    def speaker(self) -> Narrator:
        """Gives the seed's speaker, with the weights that the others are told by.

        Raises:
            CheckpointMismatch: There is none, or it does not fit.
        """
        return load_narrator(self.speaker_run, self.scene, device=self.device)[0]


WalkSplit = Callable[[EpisodeSet], Mapping[str, list[Trajectory]]]
"""Walks the episodes of a split: by name, one trajectory each, in their order."""


@dataclass(frozen=True)
class Walker:
    """A way of walking.

    Attributes:
        names: What its files and tables are called, the keys of what its walks give.
        begin: Makes a trained follower ready to walk any split.
    """

    names: tuple[str, ...]
    begin: Callable[[Walking], WalkSplit]


GREEDY: Final = ""
"""The walker whose walks every other study keeps under the same names."""


def all_walked(name: str) -> str:
    """Gives what the walks of a search are called that hold the way to all routes, too."""
    return f"{name}, all walked"


def _greedy(walking: Walking) -> WalkSplit:
    """Takes the likeliest action at every step."""
    return lambda episodes: {GREEDY: replace(walking.player, episodes=episodes).play()}


def _searching(walking: Walking, *, name: str, candidates: int) -> WalkSplit:
    """Searches, lets the seed's speaker judge, and takes the chosen route.

    How much the speaker weighs is what succeeds most often on dev.
    """
    player, policy, narrator = walking.player, walking.player.agent, walking.speaker()
    assert isinstance(policy, FollowerPolicy)
    settings = SearchSettings(candidates=candidates, max_steps=player.max_steps)
    ranking = ranking_of(
        "dev",
        policy=policy,
        graph=player.graph,
        narrator=narrator,
        settings=settings,
        dev=walking.scene.episodes("dev"),
    )
    search = PragmaticSearch(policy, player.graph, narrator, ranking, settings)

    def walks(episodes: EpisodeSet) -> dict[str, list[Trajectory]]:
        found = search.find(episodes)
        chosen = search.choose(found, episodes)
        return {
            title: as_trajectories(player.graph, found, chosen, explores=explores)
            for title, explores in ((name, False), (all_walked(name), True))
        }

    return walks


def walkers_of(config: Config) -> Sequence[Walker]:
    """Gives a study's ways of walking, greedy first."""
    greedy = Walker((GREEDY,), _greedy)
    if not config.search:
        return [greedy]
    name = f"search among {config.search} routes"
    searching = partial(_searching, name=name, candidates=config.search)
    return [greedy, Walker((name, all_walked(name)), searching)]
