"""An agent over a whole split, every episode exactly once, and its scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from agents.base import Agent
from agents.follower.policy import FollowerPolicy
from agents.rollout import play_all
from agents.scene import Scene
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln import worlds
from vln.data.episodes import EpisodeSet
from vln.errors import CorruptData, MissingData
from vln.graph import NavGraph
from vln.metrics.paths import PathScores, score_episodes
from vln.panorama.sources import find_panoramas
from vln.types import Episode, Trajectory
from vln.viz.canvas import Image
from vln.viz.episodes import draw_episode
from vln.viz.maps import Walk, write_png

ROWS: Final = 512
"""Episodes played at once on a CPU: more take longer, for they no longer fit its caches (val_unseen
of R2R: 2.4 s, all at once 3.5 s)."""
SHARE: Final = 0.5
"""Of a GPU's free memory that episodes played at once may take."""


def walk(
    agent: Agent, graph: NavGraph, episodes: EpisodeSet, *, max_steps: int = 35
) -> list[Trajectory]:
    """Plays every episode once and gives the trajectories in the order of the episodes.

    Batches hold instructions of similar length, so little of them is padding.
    """
    env = VectorExpertActions(
        PanoramaVectorEnv(
            num_envs=min(rows_at_once(agent), len(episodes)),
            graph=graph,
            episodes=episodes,
            max_steps=max_steps,
        )
    )
    length = np.array([len(episode.instruction) for episode in episodes])
    order = np.argsort(length, kind="stable")
    with torch.inference_mode():
        walked = list(play_all(env, agent, order))
    trajectories = {int(index): path for index, path in zip(order, walked, strict=True)}
    return [trajectories[index] for index in range(len(episodes))]


def rows_at_once(agent: Agent) -> int:
    """Gives how many episodes an agent plays best at once: on a GPU, as many as fit."""
    if not isinstance(agent, FollowerPolicy) or not agent.device.startswith("cuda"):
        return ROWS
    free, _ = torch.cuda.mem_get_info(agent.device)
    return max(1, int(SHARE * free) // agent.row_bytes)


def evaluate(
    policy: FollowerPolicy, scene: Scene, split: str, *, max_steps: int = 35
) -> PathScores:
    """Gives the scores of a follower's greedy walks over a split with labels."""
    policy.model.eval()
    policy.feedback, policy.record = "argmax", None
    episodes = scene.episodes(split)
    return score(walk(policy, scene.graph, episodes, max_steps=max_steps), scene.graph, episodes)


def score(trajectories: list[Trajectory], graph: NavGraph, episodes: EpisodeSet) -> PathScores:
    """Gives the scores of trajectories that stand in the order of the episodes."""
    paths = [[pose.viewpoint for pose in trajectory.poses] for trajectory in trajectories]
    return score_episodes(graph, episodes=episodes.episodes, paths=paths)


def draw_outcomes(
    trajectories: list[Trajectory], scene: Scene, episodes: EpisodeSet, *, folder: Path
) -> str:
    """Draws the first episode that succeeded and the first that failed, step by step.

    Homes of a made world that has no pictures yet are drawn for it.

    Args:
        trajectories: In the order of the episodes.
        scene: Where they were walked.
        episodes: A split with labels.
        folder: Gets success_SPLIT.png and failure_SPLIT.png; older ones are removed.

    Returns:
        What was drawn, what was not and why, for the user.
    """
    scores = score(trajectories, scene.graph, episodes)
    said = []
    for outcome, is_it in (("success", scores.success > 0), ("failure", scores.success == 0)):
        file = folder / f"{outcome}_{episodes.split}.png"
        file.unlink(missing_ok=True)
        if not is_it.any():
            said.append(f"no {outcome} on {episodes.split} to draw")
            continue
        index = int(is_it.argmax())
        episode = episodes.episodes[index]
        title = (
            f"{outcome}, {episodes.split} {episode.id} in {episode.start.scan}: "
            f"ends {scores.navigation_error[index]:.1f} m from the goal"
        )
        picture, how = _drawn(scene, episode, trajectories[index], title=title)
        write_png(picture, file)
        said.append(f"{file} drawn, {how}")
    return "\n".join(said)


def _drawn(
    scene: Scene, episode: Episode, trajectory: Trajectory, *, title: str
) -> tuple[Image, str]:
    """Gives the picture of an episode and how it was drawn: without views where there are none."""
    draw = partial(draw_episode, scene.graph, episode, trajectory, title=title)
    try:
        worlds.draw(scene.data, [episode.start.scan])
        panoramas = find_panoramas(scene.data, graph=scene.graph)
    except MissingData:
        return draw(panoramas=None), "the map alone, for this world has no panoramas"
    except (CorruptData, OSError) as error:
        return draw(panoramas=None), f"the map alone: {error}"
    try:
        return draw(panoramas=panoramas), "step by step"
    except (MissingData, CorruptData) as error:
        return draw(panoramas=None), f"the map alone: {error}"


def sample_walks(
    trajectories: list[Trajectory], graph: NavGraph, episodes: EpisodeSet, *, count: int = 6
) -> list[Walk]:
    """Gives pictures-to-be of a few episodes, spread evenly over the split."""
    scores = score(trajectories, graph, episodes)
    chosen = np.unique(np.linspace(0, len(episodes) - 1, count).astype(np.int64))
    walks = []
    for index in chosen.tolist():
        episode, scan = episodes.episodes[index], episodes.episodes[index].start.scan
        arrived = "arrived" if scores.success[index] else "missed"
        distance = scores.navigation_error[index]
        path = graph.indices(scan, [pose.viewpoint for pose in trajectories[index].poses])
        walks.append(
            Walk(
                path=tuple(path.tolist()),
                reference=tuple(graph.indices(scan, episode.reference or ()).tolist()),
                title=f"{episode.id}: {arrived}, {distance:.1f} m from the goal",
                caption=episode.instruction,
            )
        )
    return walks
