"""Wrappers that add to `info` what an agent may not see: the expert's action, the distance left.

Both are absent where the split has no labels.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv, VectorWrapper

from envs.observations import Observation
from envs.panorama import PanoramaEnv
from envs.vector import Ints, PanoramaVectorEnv
from vln.errors import BadConfig

Info = dict[str, Any]


class ExpertActions(
    gymnasium.Wrapper[Observation, np.int64, Observation, np.int64],
    gymnasium.utils.RecordConstructorArgs,
):
    """Adds `info["expert_action"]` (int64) and `info["distance_to_goal"]` (metres, float64).

    The expert follows the shortest walk to the goal from wherever the agent stands (EnvDrop's
    teacher), in the environment's own actions, and stops at the goal.
    """

    def __init__(self, env: gymnasium.Env[Observation, np.int64]) -> None:
        """Wraps a `PanoramaEnv`, other wrappers between them or not.

        Raises:
            BadConfig: There is no `PanoramaEnv` inside; a vector environment needs
                `VectorExpertActions`.
        """
        inner = env.unwrapped
        if not isinstance(inner, PanoramaEnv):
            raise BadConfig(
                f"ExpertActions wraps a PanoramaEnv, given {type(inner).__name__}. For a "
                "PanoramaVectorEnv use VectorExpertActions."
            )
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._inner = inner

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Resets, with the expert in `info`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | self._lesson()

    def step(self, action: np.int64) -> tuple[Observation, Any, bool, bool, Info]:
        """Steps, with the expert at the new place in `info`."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info | self._lesson()

    def _lesson(self) -> Info:
        action, distance, known = self._inner.teaching()
        if not known[0]:
            return {}
        return {"expert_action": action[0], "distance_to_goal": distance[0]}


class VectorExpertActions(
    VectorWrapper[Observation, Ints, Observation, Ints, npt.NDArray[Any]],
    gymnasium.utils.RecordConstructorArgs,
):
    """Adds `info["expert_action"]` (B,) int64 and `info["distance_to_goal"]` (B,) float64.

    Their masks, `_expert_action` and `_distance_to_goal`, hold the rows with labels; without any
    such row the keys are absent. See `ExpertActions`.
    """

    def __init__(self, env: VectorEnv[Observation, Ints, npt.NDArray[Any]]) -> None:
        """Wraps a `PanoramaVectorEnv`, other wrappers between them or not.

        Raises:
            BadConfig: There is none inside; wrap each environment of a Sync- or AsyncVectorEnv
                in `ExpertActions` instead.
        """
        inner = env.unwrapped
        if not isinstance(inner, PanoramaVectorEnv):
            raise BadConfig(
                f"VectorExpertActions wraps a PanoramaVectorEnv, given {type(inner).__name__}. "
                "Wrap single environments in ExpertActions instead."
            )
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        VectorWrapper.__init__(self, env)
        self._inner = inner

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Resets, with the expert in `info`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | self._lessons()

    def step(
        self, actions: Ints
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], Info]:
        """Steps, with the expert at the new places in `info`."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        return observation, reward, terminated, truncated, info | self._lessons()

    def _lessons(self) -> Info:
        action, distance, known = self._inner.teaching()
        if not known.any():
            return {}
        return {
            "expert_action": action,
            "_expert_action": known,
            "distance_to_goal": distance,
            "_distance_to_goal": known.copy(),
        }
