"""How a trained follower walks: by name, so that more ways than one can be reported.

A walker gives one trajectory per episode, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from agents.follower.policy import FollowerPolicy
from agents.loading import load_narrator
from agents.scene import Scene
from agents.search.candidates import SearchSettings
from agents.search.pragmatic import PragmaticSearch, ranking_of
from agents.speaker.narrator import Narrator
from benchmarks.players import Player
from benchmarks.translating.setup import Config
from vln.types import Trajectory


@dataclass(frozen=True, eq=False)
class Walking:
    """What a walker may use.

    Attributes:
        player: The follower with its last weights, the graph, and the episodes to walk.
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


Walker = Callable[[Walking], list[Trajectory]]

GREEDY: Final = ""
"""The walker whose walks every other study keeps under the same names."""


def greedy(walking: Walking) -> list[Trajectory]:
    """Takes the likeliest action at every step."""
    return walking.player.play()


def searching(walking: Walking, *, candidates: int) -> list[Trajectory]:
    """Searches, lets the seed's speaker judge, and takes the chosen route alone.

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
    return search.walk(player.episodes, explores=False)


def walkers_of(config: Config) -> Mapping[str, Walker]:
    """Gives a study's walkers by what their files and tables are called; greedy, nothing, first."""
    if not config.search:
        return {GREEDY: greedy}
    name = f"search among {config.search} routes"
    return {GREEDY: greedy, name: partial(searching, candidates=config.search)}
