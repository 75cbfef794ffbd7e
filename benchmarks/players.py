"""Who plays: a trained run or a scripted agent, put together from what a command line names.

Knows no scores and no file format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from agents.base import Agent
from agents.evaluation import walk
from agents.loading import Trained, check_instructions, load_policy
from agents.scripted import SCRIPTED
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
    """

    title: str
    agent: Agent
    graph: NavGraph
    episodes: EpisodeSet
    max_steps: int
    about: Mapping[str, Any]

    @property
    def env(self) -> str:
        """What was asked for: a data set or a world."""
        return str(self.about["env"])

    def play(self) -> list[Trajectory]:
        """Gives one trajectory per episode, in the order of the episodes."""
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
    return Player(title, policy, scene.graph, episodes, config.max_steps, about)


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
