"""Who plays: a trained run or a scripted agent, put together from what a command line names.

Knows no scores and no file format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from agents.base import Agent
from agents.config import TrainConfig
from agents.evaluation import walk
from agents.follower.policy import FollowerPolicy
from agents.loading import (
    Trained,
    check_instructions,
    check_same_eyes,
    load_narrator,
    load_policy,
)
from agents.scene import Scene
from agents.scripted import SCRIPTED
from agents.search.candidates import SearchSettings
from agents.search.pragmatic import PragmaticSearch, ranking_of
from agents.speaker.narrator import Narrator
from agents.stages import holds_stages
from benchmarks.score import load_split
from vln import worlds
from vln.data.episodes import EpisodeSet
from vln.data.predictions import Prediction
from vln.encoders import World, looks
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.types import Trajectory

MAX_STEPS = 35
"""Actions of a scripted agent; none of ours takes as many."""


AGENTS = f"A scripted agent: {', '.join(SCRIPTED)}"
"""What help texts say of --agent."""


@dataclass(frozen=True, kw_only=True)
class SearchChoice:
    """How a run's follower finds its way: greedily, or by search and re-ranking."""

    rule: Literal["none", "follower", "envdrop", "speaker_follower", "dev"] = "none"
    """none: greedily. Else state-factored search, and of the routes found the best by the follower
    alone, by a published weighing of speaker and follower, or by what does best on dev."""
    speaker: Path | None = None
    """Folder of the speaker's run; of a whole recipe its own speaker where absent."""
    candidates: int = 40
    """Routes that an instruction's search ends with."""
    expansions: int = 300
    """States that it looks at, at most."""
    explores: bool = True
    """Writes all that was walked to find the routes, as leaderboards require; without, the chosen
    route alone, as if it had been known."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What commands ask that let an agent play."""

    split: str
    """Split to play, such as val_unseen."""
    run: Path | None = None
    """Folder of a run that `python -m agents.train` wrote; or --agent."""
    agent: Annotated[str | None, tyro.conf.arg(help=f"{AGENTS}; needs --env.")] = None
    env: str | None = None
    """Data set or world: r2r, r4r, houses. A run's own where absent."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights of the run."""
    seed: int = 0
    """Seed of a scripted agent, and of the bootstrap where there is one."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    device: str = "cpu"
    """Where a trained agent's networks live: cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    service: str = ""
    """Socket of a running server (`python -m vln.service serve`) that encodes what a trained agent
    sees, instead of a store."""
    search: SearchChoice = field(default_factory=lambda: SearchChoice())


@dataclass(frozen=True, eq=False)
class Player:
    """An agent and the episodes it is to play.

    Attributes:
        title: One line that says who it is.
        agent: The agent.
        graph: Where it walks.
        episodes: What it is asked.
        max_steps: Actions per episode.
        about: The same as `title` for programs: what it takes to play the same again.
        searcher: Finds the way instead of the agent's own greedy choices; None lets it choose.
        explores: Whether the searcher's walks hold all that it walked.
    """

    title: str
    agent: Agent
    graph: NavGraph
    episodes: EpisodeSet
    max_steps: int
    about: Mapping[str, Any]
    searcher: PragmaticSearch | None = None
    explores: bool = True

    @property
    def env(self) -> str:
        """What was asked for: a data set or a world."""
        return str(self.about["env"])

    def play(self) -> list[Trajectory]:
        """Gives one trajectory per episode, in the order of the episodes."""
        if self.searcher is not None:
            return self.searcher.walk(self.episodes, explores=self.explores)
        return walk(self.agent, self.graph, self.episodes, max_steps=self.max_steps)


def open_player(choice: Choice) -> Player:
    """Gives the player that a command line names.

    Raises:
        BadConfig: Not exactly one of run and agent, or an agent without a data set.
        UnknownName: No such agent, data set or split.
        CheckpointMismatch: No such run, or its data and features are not those found now.
    """
    if (choice.run is None) == (choice.agent is None):
        raise BadConfig("name who plays: either --run RUN, or --agent NAME with --env.")
    torch.set_num_threads(choice.threads)
    if choice.run is not None:
        return _trained(choice, choice.run)
    assert choice.agent is not None
    if choice.env is None:
        raise BadConfig(f"--agent {choice.agent} needs --env, the data set it is to play.")
    graph, episodes = load_split(choice.env, choice.split, data=choice.data)
    return scripted(
        choice.agent,
        graph=graph,
        episodes=episodes,
        seed=choice.seed,
        env=choice.env,
        data=worlds.find(choice.env, choice.data).data,
    )


def scripted(
    name: str,
    *,
    graph: NavGraph,
    episodes: EpisodeSet,
    seed: int,
    env: str = "",
    data: Path | None = None,
) -> Player:
    """Gives a scripted player.

    Args:
        name: A name in `agents.scripted.SCRIPTED`.
        graph: Where it walks.
        episodes: What it is asked.
        seed: Of its chance.
        env: What the command line asked for.
        data: The world's folder, which readers look objects up in.

    Raises:
        UnknownName: No such scripted agent.
        MissingData: A reader, and the world keeps no scenes.
    """
    agent = SCRIPTED[name](seed, None if data is None else World(data, graph))
    about = {
        "agent": name,
        "env": env or episodes.dataset,
        "seed": seed,
        "max_steps": MAX_STEPS,
        "world": graph.world,
    }
    return Player(f"agent {name}, seed {seed}", agent, graph, episodes, MAX_STEPS, about)


def _trained(choice: Choice, folder: Path) -> Player:
    saved = Trained.read(folder, agent="follower", which=choice.checkpoint).config
    env = choice.env or saved.env
    worlds.locate(env, choice.data, pictures=looks(saved.encoder))
    policy, scene, config, state = load_policy(
        folder,
        which=choice.checkpoint,
        data=choice.data,
        env=env,
        device=choice.device,
        service=choice.service,
    )
    episodes = scene.episodes(choice.split)
    check_instructions(
        episodes,
        policy.vocabulary,
        max_words=policy.max_length,
        is_read=not policy.hides_instructions,
    )
    iteration = state["progress"]["iteration"]
    chosen = "" if choice.checkpoint == "last" else f", {_selection(config.select)}"
    title = f"run {folder}, {choice.checkpoint} checkpoint after {iteration:,} updates{chosen}"
    about = {
        "run": str(folder),
        "env": env,
        "agent": config.agent,
        "encoder": config.encoder,
        "hide": config.hide,
        "eyes": config.eyes,
        "seed": config.seed,
        "checkpoint": choice.checkpoint,
        "iteration": iteration,
        "select": config.select,
        "features": scene.fingerprint,
        "trained_on": config.env,
        "max_steps": config.max_steps,
        "world": scene.graph.world,
    }
    player = Player(title, policy, scene.graph, episodes, config.max_steps, about)
    return _searching(player, choice, policy, scene, config)


def _searching(
    player: Player, choice: Choice, policy: FollowerPolicy, scene: Scene, config: TrainConfig
) -> Player:
    """Gives the player that searches where it is asked to."""
    search = choice.search
    if search.rule == "none":
        return player
    narrator = None if search.rule == "follower" else _speaker(choice, scene, config)
    settings = SearchSettings(
        candidates=search.candidates, expansions=search.expansions, max_steps=player.max_steps
    )
    ranking = ranking_of(
        search.rule,
        policy=policy,
        graph=scene.graph,
        narrator=narrator,
        settings=settings,
        dev=scene.episodes("dev") if search.rule == "dev" else None,
    )
    title = (
        f"{player.title}; {search.candidates} routes by state-factored search, the speaker weighs "
        f"{ranking.weight:.2f} ({search.rule}; {ranking.speaker} of words, {ranking.follower} of "
        f"actions), {'all that was walked' if search.explores else 'the route alone'}"
    )
    about = {**player.about, "search": asdict(search) | {"speaker": str(search.speaker or "")}}
    return replace(
        player,
        title=title,
        about=about | {"ranking": asdict(ranking)},
        searcher=PragmaticSearch(policy, scene.graph, narrator, ranking, settings),
        explores=search.explores,
    )


def _speaker(choice: Choice, scene: Scene, config: TrainConfig) -> Narrator:
    """Gives the speaker that says which of a follower's routes is meant."""
    rule, run = choice.search.rule, choice.run
    assert run is not None
    if choice.search.speaker is None and not holds_stages(run):
        raise BadConfig(
            f"--search.rule {rule} needs a speaker: --search.speaker RUN, a run of "
            "`python -m agents.train --agent speaker`; or take --search.rule follower."
        )
    if config.hide == "instruction":
        raise BadConfig(
            f"--search.rule {rule} lets a speaker read the instructions that are hidden from "
            f"{run}. Take --search.rule follower."
        )
    folder = choice.search.speaker or run
    narrator, _, trained, _ = load_narrator(folder, scene, device=choice.device)
    check_same_eyes(trained, config)
    return narrator


def _selection(split: str) -> str:
    kind = "training houses held out" if split == "dev" else "a reported split: optimistic there"
    return f"chosen by success rate on {split} ({kind})"


def as_predictions(trajectories: Sequence[Trajectory]) -> list[Prediction]:
    """Gives trajectories as the scorer reads them from a file."""
    return [
        Prediction(
            id=trajectory.episode_id,
            viewpoints=tuple(pose.viewpoint for pose in trajectory.poses),
            headings=tuple(pose.heading for pose in trajectory.poses),
            elevations=tuple(pose.elevation for pose in trajectory.poses),
        )
        for trajectory in trajectories
    ]
