"""The one loop in which agents meet environments, for training, evaluation and submission alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.base import Agent, Ints, Turn
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln.types import Trajectory

Environment = PanoramaVectorEnv | VectorExpertActions


@dataclass(frozen=True)
class Step:
    """One step of the rows still going: all arrays (n,).

    Attributes:
        rows: int64 rows of the environment.
        action: int64.
        expert: int64, or None where labels are held out.
        reward: float64.
    """

    rows: Ints
    action: Ints
    expert: Ints | None
    reward: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rollout:
    """A batch of episodes, played to the end.

    Attributes:
        steps: In order.
        cut: What the rows that ran out of steps would see next.
        trajectories: One per episode asked for, in that order.
    """

    steps: list[Step]
    cut: Turn
    trajectories: list[Trajectory]


def play(env: Environment, agent: Agent, episodes: Ints | None = None) -> Rollout:
    """Plays episodes with an agent, one per row of the environment.

    Args:
        env: A native vector environment with manual reset.
        agent: Is asked only for rows whose episode still goes.
        episodes: (n,) indices into the environment's episodes, at most as many as it has rows;
            None lets the environment draw its next ones, one for each row.
    """
    inner = env.unwrapped
    assert isinstance(inner, PanoramaVectorEnv)
    options = {}
    if episodes is not None:
        chosen = np.full(env.num_envs, -1, dtype=np.int64)
        chosen[: len(episodes)] = episodes
        options["episodes"] = chosen
    observation, info = env.reset(options=options)
    asked = inner.episode_index >= 0
    active = asked.copy()
    truncated: npt.NDArray[np.bool_] = np.zeros(env.num_envs, dtype=bool)
    steps: list[Step] = []
    agent.begin(_turn(observation, info, active))
    while active.any():
        turn = _turn(observation, info, active)
        action = agent.act(turn)
        actions = np.zeros(env.num_envs, dtype=np.int64)
        actions[turn.rows] = action
        observation, reward, terminated, truncated, info = env.step(actions)
        steps.append(Step(turn.rows, action, turn.expert, reward[turn.rows]))
        active &= ~(terminated | truncated)
    cut = _turn(observation, info, truncated & asked)
    return Rollout(steps, cut, inner.trajectories())


def play_all(env: Environment, agent: Agent, order: Ints) -> Iterator[Trajectory]:
    """Plays every episode of `order` exactly once, a batch at a time.

    Args:
        env: As for `play`.
        agent: As for `play`.
        order: (E,) episode indices. Batches take neighbours, so an order by instruction length
            wastes no padding.
    """
    for start in range(0, len(order), env.num_envs):
        yield from play(env, agent, order[start : start + env.num_envs]).trajectories


def _turn(
    observation: Mapping[str, npt.NDArray[Any]],
    info: Mapping[str, Any],
    active: npt.NDArray[np.bool_],
) -> Turn:
    rows = np.flatnonzero(active)
    expert = info.get("expert_action")
    if len(rows) == len(active):
        return Turn(rows, observation, expert)
    seen = {key: values[rows] for key, values in observation.items()}
    return Turn(rows, seen, None if expert is None else expert[rows])
